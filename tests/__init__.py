import os

# Threads of faiss that wait leave the processors to others; it is read when faiss is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
