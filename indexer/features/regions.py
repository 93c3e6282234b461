"""Region: a box in the upright original image."""

from __future__ import annotations

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
                f"The box {self} is no box: it needs 0 <= X0 < X1 and 0 <= Y0 < Y1."
            )

    def __str__(self) -> str:
        return f"{self.x0},{self.y0},{self.x1},{self.y1}"

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read `X0,Y0,X1,Y1`; raises `InvalidRegionError`."""
        try:
            x0, y0, x1, y1 = (int(part) for part in text.split(","))
        except ValueError as error:
            raise InvalidRegionError(
                f"The box {text!r} cannot be read: it needs four whole numbers X0,Y0,X1,Y1."
            ) from error
        return cls(x0, y0, x1, y1)

    def require_inside(self, width: int, height: int) -> None:
        """Raise `InvalidRegionError`, naming box and size, unless the box lies in the image."""
        if self.x1 > width or self.y1 > height:
            raise InvalidRegionError(
                f"The box {self} does not lie inside the image, which is {width} × {height} pixels."
            )

    def as_tuple(self) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1)."""
        return (self.x0, self.y0, self.x1, self.y1)
