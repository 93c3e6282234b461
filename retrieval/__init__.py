"""A question in, ranked hits out."""

import indexer  # noqa: F401  before NumPy, whose threads it puts to sleep
