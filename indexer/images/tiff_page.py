"""Pages of TIFFs: their values as colours, which can be averaged and shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image

from indexer.images.deep import PHOTOMETRIC, WHITE_IS_ZERO, full_opacity, to_image
from indexer.images.tones import Values, map_rows
from indexer.images.upright import turn_upright

GREY, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 1, 2, 3, 5, 6, 8, 9
COLOURS = {WHITE_IS_ZERO: 1, GREY: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
JPEGS = {6, 7, 33007, 34892}  # compressions that the decoder gives in RGB
APERIO_YCBCR = 33003  # a compression whose colours are YCbCr, whatever the page says
PICTURES = {0, 1, 2, 6}  # photometric interpretations that previews have
NO_DATA = 42113  # GDAL's tag
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of transparency: colours are multiplied by it, or are not
MASK = 4  # a bit of the tag that says what a page is for
CHANNELS = 16  # a pixel may have
NOTE = "note"  # the key, in the info of an image, of what was passed over
LAB_WHITE = {CIELAB: 0xFFFF, ICCLAB: 0xFF00}  # the lightness of white in 16 bits


@contextlib.contextmanager
def open_tiff(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the `TiffFile` of a stream, which is left where it was."""
    import tifffile

    place = stream.tell()
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream) as file:
            yield file
    finally:
        stream.seek(place)


def find_subpicture(file: Any, area: int) -> Any:
    """Return the largest picture below the pages of a TIFF, None where none exceeds `area` pixels.

    Camera RAW keeps its preview there, and thumbnails come with the picture itself.
    """
    below = [sub for page in file.pages for sub in (page.pages or ()) if _is_picture(sub)]
    largest = max(below, key=lambda page: page.imagewidth * page.imagelength, default=None)
    if largest is None or largest.imagewidth * largest.imagelength <= area:
        return None
    return largest


def _is_picture(page: Any) -> bool:
    """Whether a page of a TIFF is something to look at, and not the values of a sensor."""
    return kind_of(page) in PICTURES


def orientation_of(page: Any) -> object:
    """Return the EXIF orientation of a page of a TIFF, None where it has none."""
    tag = page.tags.get(ExifTags.Base.Orientation)
    return tag.value if tag else None


def no_data_of(page: Any) -> float | None:
    """Return the value of GDAL's tag for pixels without data.

    Pictures of 8 bits are taken as they look.
    """
    if page.dtype.kind in "ub" and page.dtype.itemsize == 1:
        return None
    tag = page.tags.get(NO_DATA)
    with contextlib.suppress(AttributeError, ValueError):
        return float(str(tag.value).strip("\0 "))
    return None


def kind_of(page: Any) -> int:
    """Return what the values of a page are: its photometric interpretation.

    Where it does not say, black is zero, or else in pictures of one bit, most of which are faxes.
    """
    if PHOTOMETRIC in page.tags:
        return int(page.photometric)
    if page.samplesperpixel >= COLOURS[RGB]:
        return RGB
    return WHITE_IS_ZERO if page.bitspersample == 1 else GREY


def read_page(page: Any, orientation: object) -> Image.Image:
    """Return a page of a TIFF upright and in 8 bits, of mode L, RGB, RGBA, CMYK or LAB.

    What was passed over is told as the `NOTE` of its info. Raises `ValueError` for what is not
    supported.
    """
    because = obstacle(page)
    if because:
        raise ValueError(because)
    values = np.asarray(page.asarray()).reshape(page.shaped)
    separate, depth, height, width, together = values.shape
    if depth > 1:
        raise ValueError(f"it is a volume of {depth} slices; save each as a page of its own")
    if separate > 1:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(height, width, separate * together)
    image = to_picture(page, turn_upright(prepare(page, values), orientation))
    image.info[NOTE] = _passed_over(page)
    return image


def obstacle(page: Any) -> str:
    """Return why the values of a page are no colours, nothing where they are."""
    colours = COLOURS.get(kind_of(page))
    if colours is None or page.samplesperpixel < colours or page.subfiletype & MASK:
        return "its colours are of a kind that is not supported"
    if kind_of(page) == YCBCR and page.compression not in JPEGS and page.dtype != np.uint8:
        return "its colours are of a kind that is not supported"
    if page.dtype is not None and page.dtype.kind == "c":
        return "complex values are not a picture"
    if page.dtype is None or page.dtype.kind not in "uifb":
        return "its values are of a kind that is not supported"
    if kind_of(page) == PALETTE and (page.colormap is None or page.dtype.kind != "u"):
        return "it has no palette"
    if page.samplesperpixel > CHANNELS:
        return f"it has {page.samplesperpixel} channels"
    if page.databytecounts and not any(page.databytecounts):
        return "all of its tiles or strips are missing"
    return ""


def _passed_over(page: Any) -> str:
    """Return what of a page is not shown, nothing where all is."""
    missing = sum(1 for count in page.databytecounts if not count)
    if missing:
        return f"{missing} of its {len(page.databytecounts)} tiles or strips are missing"
    used = _colours_of(page)
    others = page.samplesperpixel - used - (_alpha_of(page) is not None)
    if kind_of(page) in (WHITE_IS_ZERO, GREY) and others:
        which = "one is" if used == 1 else f"{used} are"
        return f"of its {page.samplesperpixel} channels only the first {which} shown"
    return ""


def _colours_of(page: Any) -> int:
    """Return how many values of a pixel are its colours: of many bands of grey, three are."""
    colours = COLOURS[kind_of(page)]
    is_grey = kind_of(page) in (WHITE_IS_ZERO, GREY)
    next_two = set(list(page.extrasamples or ())[:2])
    has_bands = page.samplesperpixel >= COLOURS[RGB] and not next_two & {ASSOCIATED, UNASSOCIATED}
    return COLOURS[RGB] if is_grey and has_bands else colours


def _alpha_of(page: Any) -> int | None:
    """Return which value of a pixel is its opacity, None where it has none."""
    if kind_of(page) == CMYK:
        return None
    extra = list(page.extrasamples or ())
    colours = COLOURS[kind_of(page)]
    for place, kind in enumerate(extra):
        if kind in (ASSOCIATED, UNASSOCIATED):
            return colours + place
    is_undeclared = not extra and kind_of(page) == RGB and page.samplesperpixel == colours + 1
    return colours if is_undeclared else None


def is_associated(page: Any) -> bool:
    """Whether the colours of a page were multiplied by their opacity."""
    alpha = _alpha_of(page)
    place = -1 if alpha is None else alpha - COLOURS[kind_of(page)]
    return 0 <= place < len(page.extrasamples) and page.extrasamples[place] == ASSOCIATED


def prepare(page: Any, values: Values) -> Values:
    """Return values (h, w, C) of which a mean makes sense: no bits, no places in a palette.

    Those are the colours of the page, and after them its opacity if it has any.
    """
    if kind_of(page) == PALETTE:
        is_short = int(page.colormap.max()) < 256  # some programs write 8 bits for 16
        palette = (page.colormap if is_short else page.colormap >> 8).astype(np.uint8)
        return np.moveaxis(palette[:, values[:, :, 0]], 0, -1)
    alpha = _alpha_of(page)
    kept = [*range(_colours_of(page)), *(() if alpha is None else (alpha,))]
    if kept != list(range(values.shape[2])):
        values = values[:, :, kept] if kept[-1] >= len(kept) else values[:, :, : len(kept)]
    if page.bitspersample < 8:
        tones = np.arange(2**page.bitspersample) * 255 / (2**page.bitspersample - 1)
        return np.asarray(np.rint(tones).astype(np.uint8)[values.astype(np.uint8)])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def to_picture(page: Any, values: Values) -> Image.Image:
    """Return values of `prepare`, or means of them, in 8 bits: of mode L, RGB, RGBA, CMYK, LAB."""
    if kind_of(page) == CMYK:
        return _merge("CMYK", _to_bytes(values))
    if kind_of(page) in (CIELAB, ICCLAB):
        return _to_lab(values[:, :, :3], kind_of(page))
    is_ycbcr = kind_of(page) == YCBCR and page.compression not in JPEGS
    if is_ycbcr or page.compression == APERIO_YCBCR:
        return _merge("YCbCr", values[:, :, :3]).convert("RGB")
    if is_associated(page):
        values = _divided_by_alpha(values)
    white_is_zero = kind_of(page) == WHITE_IS_ZERO
    return to_image(values, no_data=no_data_of(page), white_is_zero=white_is_zero)


def _merge(mode: str, values: Values) -> Image.Image:
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(values, -1, 0)]
    return Image.merge(mode, planes)


def _to_bytes(values: Values) -> Values:
    """Return shares of the range of their type, or of 1, as bytes."""
    if values.dtype == np.uint8:
        return values
    full = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1.0

    def convert(part: Values) -> Values:
        shares = np.nan_to_num(part.astype(np.float64)) / full
        return np.asarray(np.rint(np.clip(shares, 0, 1) * 255))

    return map_rows(values, convert)


def _to_lab(values: Values, kind: int) -> Image.Image:
    """Return lightness and two colours (h, w, 3) in 8 bits, as Pillow has them."""
    if values.dtype.kind != "f" and values.dtype.itemsize > 2:
        raise ValueError(f"Lab colours of type {values.dtype} are not supported")

    def convert(part: Values) -> Values:
        light: Values
        colours: Values
        if part.dtype.kind == "f":
            light, colours = part[:, :, :1] * np.float64(2.55), part[:, :, 1:]
        else:
            size = part.dtype.itemsize
            white = LAB_WHITE[kind] if size == 2 else 255
            light = np.ascontiguousarray(part[:, :, :1]).view(f"u{size}") * (255 / white)
            colours = _signed(part[:, :, 1:], kind) / (256 if size == 2 else 1)
        lab = np.concatenate([light, colours + 128], axis=2)
        return np.asarray(np.rint(np.clip(np.nan_to_num(lab), 0, 255)))

    return _merge("LAB", map_rows(values, convert))


def _signed(values: Values, kind: int) -> Values:
    """Return the two colours of Lab as numbers around zero."""
    size = values.dtype.itemsize
    plain = np.ascontiguousarray(values)
    if kind == CIELAB:
        return np.asarray(plain.view(f"i{size}"), np.float64)
    return np.asarray(plain.view(f"u{size}"), np.float64) - float(2 ** (8 * size - 1))


def _divided_by_alpha(values: Values) -> Values:
    """Return values whose colours were multiplied by their opacity, the last, as they were."""
    least = 1 if values.dtype.kind in "iu" else 1e-6
    full = full_opacity(values)

    def convert(part: Values) -> Values:
        alpha = np.maximum(part[:, :, -1:].astype(np.float64), least)
        colours = np.minimum(part[:, :, :-1] * (full / alpha), full)
        return np.concatenate([colours.astype(part.dtype), part[:, :, -1:]], axis=2)

    return map_rows(values, convert, values.dtype)
