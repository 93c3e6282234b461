"""Colour: pictures with a colour profile, in sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of profiles, and the modes that they fit
SAME = 3  # of 255: a profile that changes no colour by more is taken for that of sRGB
NO_CACHE = 0x40  # cmsFLAGS_NOCACHE: threads may share the transform
GRID = 9  # colours a channel by which a profile is compared with sRGB


class ProfileError(ValueError):
    """A colour profile that cannot be used."""


def is_srgb(profile: bytes) -> bool:
    """Whether a profile is that of sRGB, or so near to it that nobody sees it."""
    try:
        return _transform(profile)[1] is None
    except ProfileError:
        return False


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an image of mode L, RGB or CMYK in RGB, its colours as its profile says.

    Raises `ProfileError` for a damaged profile, and one of another kind of picture.
    """
    space, transform = _transform(profile)
    if image.mode == "L" and space == "RGB":
        image = image.convert("RGB")
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    if space != image.mode:
        raise ProfileError(f"is for {space} pictures, and this one is {image.mode}")
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ProfileError("cannot be applied")
    return converted


@lru_cache(32)
def _transform(profile: bytes) -> tuple[str, Any]:
    """Return the mode that a profile is for, and its transform to sRGB, None where it is sRGB."""
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = opened.profile.xcolor_space
        mode = SPACES.get(space)
        if mode is None:
            raise ProfileError(f"is for {space.strip()} pictures")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | NO_CACHE,
        )
    except (OSError, ImageCms.PyCMSError) as error:
        raise ProfileError("is damaged") from error
    return mode, None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: Any) -> bool:
    steps = np.linspace(0, 255, GRID).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    converted = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return bool(abs(np.asarray(converted, int) - colours).max() <= SAME)
