"""Every shell a person touches: command line, contact sheets, browser."""

import indexer  # noqa: F401  before NumPy, whose threads it puts to sleep
