"""Files that are no images, or of formats that are not read: what they are called."""

from __future__ import annotations

import os
from pathlib import Path

from indexer.sources.source import Entry

STARTS = {  # of files, by what they are
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"II\xbc\x01": "a JPEG XR",
    b"8BPS": "a Photoshop document",
    b"8BPB": "a Photoshop document",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"v/1\x01": "an OpenEXR file",
    b"#?RADIANCE": "a Radiance file",
    b"DDS ": "a DDS texture",
    b"SIMPLE  =": "a FITS file",
    b"gimp xcf": "a GIMP file",
    b"\0\0\x01\0": "an icon",
    b"\0\0\x02\0": "a cursor",
    b"P7\n": "a PAM",
    b"PF\n": "a PFM",
    b"Pf\n": "a PFM",
    b"IIU\0": "a camera RAW",
    b"IIRO": "a camera RAW",
    b"IIRS": "a camera RAW",
    b"FUJIFILM": "a camera RAW",
    b"<svg": "an SVG",
    b"<?xml": "an XML file",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"version https://": "a pointer of Git LFS",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x1aE\xdf\xa3": "a video",
}
JPEG = b"\xff\xd8\xff"
LONGEST = 16  # bytes of a file that tell


def explain(start: bytes) -> str:
    """Return why a file that begins like this is not read."""
    for beginning, name in STARTS.items():
        if start.startswith(beginning):
            return f"is {name}, which is not read"
    if start[4:8] == b"ftyp":
        name = "a camera RAW" if start[8:12] == b"crx " else "a video or another kind of MP4"
        return f"is {name}, which is not read"
    if start.startswith(JPEG):
        return "is a JPEG of a kind that is not read, or its header is damaged"
    return "is not a readable image, or its header is damaged"


def name_entry(entry: Entry) -> str:
    """Return what something in a folder is that is neither a file nor a folder."""
    if not isinstance(entry, os.DirEntry) or not entry.is_symlink():
        return "special file"
    if entry.is_dir():
        return "folder link"
    return "special file" if Path(entry.path).exists() else "broken link"
