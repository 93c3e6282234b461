"""FAISS, imported from here and nowhere else."""

from __future__ import annotations

from typing import Any

import faiss as typed_faiss

faiss: Any = typed_faiss  # its type stubs lag behind its Python interface

__all__ = ["faiss"]
