"""Region: a box in the upright original image."""

from __future__ import annotations

import math
from dataclasses import dataclass

from indexer.errors import InvalidRegionError


@dataclass(frozen=True)
class Region:
    """A half-open box of integer pixels in the upright original: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if not (0 <= self.x0 < self.x1 and 0 <= self.y0 < self.y1):
            raise InvalidRegionError(
                f"The box {self} is not valid: it needs 0 <= X0 < X1 and 0 <= Y0 < Y1."
            )

    def __str__(self) -> str:
        return f"{self.x0},{self.y0},{self.x1},{self.y1}"

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read `X0,Y0,X1,Y1`, fractions rounded outwards; raises `InvalidRegionError`."""
        try:
            x0, y0, x1, y1 = (float(part) for part in text.split(","))
            return cls(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
        except (ValueError, OverflowError) as error:
            raise InvalidRegionError(
                f"The box {text!r} cannot be read: it needs four numbers X0,Y0,X1,Y1."
            ) from error

    def require_inside(self, width: int, height: int) -> None:
        """Raise `InvalidRegionError`, naming box and size, unless the box lies in the image."""
        if self.x1 > width or self.y1 > height:
            raise InvalidRegionError(
                f"The box {self} does not lie inside the image, which is {width} × {height} pixels."
            )

    def as_tuple(self) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1)."""
        return (self.x0, self.y0, self.x1, self.y1)

    def iou(self, other: Region) -> float:
        """Return the intersection over the union of the two boxes."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    @property
    def area(self) -> int:
        """Pixels in the box."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def shifted(self, dx: int, dy: int) -> Region:
        """Return the box moved by (dx, dy) pixels."""
        return Region(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def scaled(self, size: tuple[int, int], to: tuple[int, int]) -> Region:
        """Return what covers the box once an image of `size` (width, height) is resized to `to`."""
        (width, height), (to_width, to_height) = size, to
        return Region(
            self.x0 * to_width // width,
            self.y0 * to_height // height,
            -(-self.x1 * to_width // width),
            -(-self.y1 * to_height // height),
        )

    def padded(self, share: float, width: int, height: int) -> Region:
        """Return the box grown on every side by `share` of its size, within the image."""
        dx, dy = round(share * (self.x1 - self.x0)), round(share * (self.y1 - self.y0))
        return Region(
            max(0, self.x0 - dx),
            max(0, self.y0 - dy),
            min(width, self.x1 + dx),
            min(height, self.y1 + dy),
        )
