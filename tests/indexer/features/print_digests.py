"""Prints a digest of the features of each photo, worked out in a process of its own.

python -m tests.indexer.features.print_digests ENGINE SPEC PHOTO...
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from tests.features import describe


def digest(features: ImageFeatures) -> str:
    """Return the SHA-256 of the vectors and the boxes of an image, in hex."""
    arrays = [vectors for _, vectors in sorted(features.vectors.items())]
    data = b"".join(array.tobytes() for array in (*arrays, features.boxes))
    return hashlib.sha256(data).hexdigest()


def main(engine: Any, spec: str, *photos: str) -> None:
    extractor = FeatureExtractor(FeatureSpec.from_json(spec), engine=engine)
    for features in describe(extractor, [load_image(photo).pixels for photo in photos]):
        print(digest(features))


if __name__ == "__main__":
    main(*sys.argv[1:])
