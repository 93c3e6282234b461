"""Text that is safe to print: names of files may hold what a terminal obeys."""

from __future__ import annotations

JOINERS = "\u200c\u200d"  # harmless: words of many scripts, and emoji, are written with them
LONGEST = 400  # characters of a message on a page


def printable(text: object) -> str:
    """Return text that is safe to print: control characters and stray bytes as escapes."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def shortened(message: str) -> str:
    """Return a message that fits on a page: a long one without its middle, such as a long value."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"
