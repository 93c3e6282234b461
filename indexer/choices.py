"""The choices that a store, a query and a command offer, by name, and limits they share."""

from __future__ import annotations

from typing import Literal, get_args

MAX_PIXELS = 200_000_000  # of one image, unless a run says otherwise
DECODE_S = 120.0  # for one image: JPEG 2000, the slowest format, takes half of it for MAX_PIXELS

TapKind = Literal["conv", "fc"]
TAP_KINDS: tuple[TapKind, ...] = get_args(TapKind)

ClassSet = Literal["imagenet-1k"]
"""Classes that a network tells apart, by the name of the file that lists them."""

ExportFormat = Literal["parquet", "numpy"]
"""The files of an exported folder: Parquet, or NumPy arrays with lines of JSON."""

Verdict = Literal["same picture", "same object", "similar", "weak"]
Scope = Literal["image", "region"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

Pooling = Literal["spoc", "mac", "gem", "rmac"]

Scheme = Literal["grid", "sliding", "none"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

Damaged = Literal["skip", "take"]
"""What becomes of images whose files say that their pixels are damaged."""

PageChoice = Literal["auto", "all", "first", "largest"]
"""Which pages of a file with several pictures are images: auto is the first, or the largest where
the first is a thumbnail."""

Oversize = Literal["skip", "reduce"]
"""What becomes of images with more pixels than the limit, in formats that can be read smaller."""

Resampling = Literal["linear", "bicubic"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)

EngineName = Literal["auto", "openvino", "torch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

TAG_THRESHOLD = 0.5  # the probability from which an image has a tag

IndexType = Literal["exact", "balanced", "compact"]
INDEX_TYPES: tuple[IndexType, ...] = get_args(IndexType)
IndexChoice = Literal["auto", "exact", "balanced", "compact"]
"""An index type, or the one that suits the number of vectors."""
