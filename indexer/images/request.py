"""Request: how many pixels are wanted of a picture file, and what in it is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from indexer.choices import Damaged, Oversize, PageChoice
from indexer.errors import DamagedImageError, ImageTooLargeError

REDUCIBLE = ("JPEG", "MPO", "JPEG2000", "TIFF")  # formats that need not be decoded at full size


@dataclass(frozen=True)
class ImageRequest:
    """What `load_image` was asked for; `label` names the file in errors.

    `reserve` is called with the bytes that decoding needs, before it takes them. A request that
    `is_confined` is worked on where a crash of a decoder does no harm.
    """

    at_least: int | None
    part: tuple[int, int, int, int] | None
    max_pixels: int
    label: str
    damaged: Damaged
    oversize: Oversize
    page: int | PageChoice = "auto"
    reserve: Callable[[int], object] = int  # by itself, it changes nothing
    is_confined: bool = True

    def must_reduce(self, width: int, height: int, file_format: str | None) -> bool:
        """Whether an image has to be read at a smaller size.

        Raises `ImageTooLargeError` for one over the limit where that is not asked for, or not
        possible.
        """
        if width * height <= self.max_pixels:
            return False
        if self.oversize == "skip":
            raise self.too_large(width, height, has_remedy=file_format in REDUCIBLE)
        if file_format not in REDUCIBLE:
            raise self.too_large(width, height, because=f"it is {file_format}")
        return True

    def too_large(
        self, width: int, height: int, *, because: str = "", has_remedy: bool = False
    ) -> ImageTooLargeError:
        """Return the error for an image over the limit; `because` says why it is not reduced."""
        fault = f", and cannot be read at a smaller size: {because}" if because else ""
        remedy = ", or --oversize reduce reads it at a smaller size" if has_remedy else ""
        return ImageTooLargeError(
            self.label,
            f"{width} × {height} = {width * height / 1e6:.0f} megapixels is over the limit of "
            f"{self.max_pixels / 1e6:.0f}{fault}; raise it with --max-megapixels{remedy}",
        )

    def draft_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Return the least size to decode an image at, None where that is its own."""
        x0, y0, x1, y1 = self.part or (0, 0, width, height)
        area = (x1 - x0) * (y1 - y0)
        if self.at_least is None or area <= self.at_least**2:
            return None
        scale = self.at_least / math.sqrt(area)
        return math.ceil(width * scale), math.ceil(height * scale)

    def enough(self, width: int, height: int) -> float:
        """Return how many pixels suffice for the whole of an image, infinitely many for all."""
        if self.at_least is None:
            return math.inf
        x0, y0, x1, y1 = self.part or (0, 0, width, height)
        return self.at_least**2 * width * height / max(1, (x1 - x0) * (y1 - y0))

    def check_damage(self, what: str, warnings: list[str]) -> None:
        """Refuse damaged pixels, or warn of them where they are to be taken."""
        if self.damaged == "skip":
            raise DamagedImageError(self.label, f"{what}; --damaged take uses what can be read")
        warnings.append(what)
