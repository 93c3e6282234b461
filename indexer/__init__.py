"""Photos in, a store of deep features out."""

import os

# Left alone, the threads of NumPy's OpenBLAS keep the processor busy for some 20 ms after each
# product of matrices, waiting for the next one, and a network has to share it with them. Told to
# wait for 2^18 ticks, a tenth of a millisecond, they sleep soon. OpenBLAS reads this when NumPy is
# loaded: so it comes first.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "18")
