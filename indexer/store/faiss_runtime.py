"""FAISS as this project uses it: with threads that sleep while there is nothing to do.

Left alone, the threads of OpenMP keep the processor busy for milliseconds after each search,
waiting for the next one, and a query's network has to share it with them. Import FAISS from here
and nowhere else.
"""

from __future__ import annotations

import os
from typing import Any

# Before the import: OpenMP reads its settings once, when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import faiss as typed_faiss

faiss: Any = typed_faiss  # its type stubs lag behind its Python interface

__all__ = ["faiss"]
