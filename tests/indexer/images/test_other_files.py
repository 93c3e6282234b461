"""Files of other formats under the suffix of an image are called what they are."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from indexer.errors import UnreadableImageError
from indexer.images.decode import load_image

PIXELS = np.zeros((16, 16, 3), np.uint8)


def saved(file_format: str) -> bytes:
    out = BytesIO()
    Image.fromarray(PIXELS).save(out, file_format)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bytes(imagecodecs.jpegxl_encode(PIXELS)), "a JPEG XL"),
        (bytes(imagecodecs.jpegxr_encode(PIXELS)), "a JPEG XR"),
        (saved("ICO"), "an icon"),
        (saved("PDF"), "a PDF"),
        (saved("DDS"), "a DDS texture"),
        (b"\0\0\0\x18ftypisom" + bytes(90), "a video"),
        (b"\0\0\0\x18ftypcrx " + bytes(90), "a camera RAW"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (bytes(imagecodecs.jpegls_encode(PIXELS)), "a JPEG of a kind"),
    ],
)
def test_a_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"is {name}.* not read"):
        load_image(data)
