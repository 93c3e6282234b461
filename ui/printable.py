"""Text that is safe to print: names of files may hold what a terminal obeys."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return text that is safe to print: control characters and stray bytes as escapes."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
