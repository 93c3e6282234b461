"""Pictures and texts as safe HTML and Markdown: names are escaped, pictures travel inside."""

from __future__ import annotations

import base64
import html
import math
import re

from indexer.features.regions import Region
from retrieval.query import Quad
from ui.printable import printable, shortened

STYLE = """<style>
[data-testid="stHeader"] { display: none; }
[data-testid="stMainBlockContainer"] { padding: 1rem 2rem 5rem; }
@media (max-width: 640px) { [data-testid="stMainBlockContainer"] { padding: .6rem .8rem 6rem; } }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * { opacity: 1 !important; }
[data-testid="stCaptionContainer"] p { color: #5b5f66; }
@media (prefers-color-scheme: dark) { [data-testid="stCaptionContainer"] p { color: #a9adb5; } }
.cbir-figure { margin: 0; }
.cbir-frame { position: relative; display: block; line-height: 0; border-radius: .5rem;
  overflow: hidden; background: rgb(128 128 128 / 18%); width: fit-content; margin: 0 auto;
  max-width: 100%; }
.cbir-frame img { max-width: 100%; height: auto; display: block; }
.cbir-box { position: absolute; border: 2px solid #ff3b30; box-sizing: border-box;
  box-shadow: 0 0 0 1px #fff, inset 0 0 0 1px #fff; }
.cbir-side { position: absolute; height: 3px; margin-top: -1.5px; transform-origin: 0 50%;
  background: #00b341; box-shadow: 0 0 0 1px #fff; }
.cbir-figure figcaption { line-height: 1.3; font-size: .85rem; padding-top: .4rem;
  overflow-wrap: anywhere; }
.cbir-score { font-variant-numeric: tabular-nums; font-weight: 600; }
body:not(:has([data-test-connection-state="CONNECTED"]))
  [data-testid="stDialog"]:not(:has([data-testid="stVerticalBlock"])) section > div {
  > * { display: none; } /* Streamlit's words, which name a command that is not ours */
  &::after { content: "The page has lost its server. If it was stopped, start it again in a \
terminal with: cbir ui"; }
}
</style>"""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:@&])")


def plain(text: str) -> str:
    """Return text so that Streamlit's Markdown shows it literally."""
    return _MARKDOWN.sub(r"\\\1", shortened(printable(text)))


def data_url(jpeg: bytes) -> str:
    """Return a JPEG file as a URL that contains it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def figure(
    jpeg: bytes,
    alt: str,
    *,
    title: str = "",
    name: str = "",
    said: str | None = None,
    box: Region | None = None,
    quad: Quad | None = None,
    size: tuple[int, int] = (1, 1),
    look: str = "large",
) -> str:
    """Return a picture with a caption; `box`, or else `quad`, is in pixels of the original `size`.

    `look` is large, card or small; `said`, if not None, is a line below the name, which may be
    empty.
    """
    mark = ""
    if quad is not None:
        mark = _outline(quad, size)
    elif box is not None:
        w, h = size
        left, top = 100 * box.x0 / w, 100 * box.y0 / h
        wide, high = 100 * (box.x1 - box.x0) / w, 100 * (box.y1 - box.y0) / h
        mark = (
            f'<div class="cbir-box" style="left:{left:.2f}%;top:{top:.2f}%;'
            f'width:{wide:.2f}%;height:{high:.2f}%"></div>'
        )
    caption = f'<div class="cbir-score">{html.escape(title)}</div>' if title else ""
    if name:
        shown = html.escape(printable(name), quote=True)
        caption += f'<div class="cbir-name" title="{shown}">{shown}</div>'
    if said is not None:
        shown = html.escape(printable(said), quote=True)
        caption += f'<div class="cbir-said" title="{shown}">{shown or "&nbsp;"}</div>'
    picture = f'<img src="{data_url(jpeg)}" alt="{html.escape(printable(alt), quote=True)}">'
    body = f'<span class="cbir-frame">{picture}{mark}</span><figcaption>{caption}</figcaption>'
    return f'<div class="cbir-{look}"><figure class="cbir-figure">{body}</figure></div>'


def _outline(quad: Quad, size: tuple[int, int]) -> str:
    """Return the four sides of an outline, each a thin turned block."""
    w, h = size
    sides = []
    for (x0, y0), (x1, y1) in zip(quad, (*quad[1:], quad[0]), strict=True):
        length, angle = math.hypot(x1 - x0, y1 - y0), math.degrees(math.atan2(y1 - y0, x1 - x0))
        sides.append(
            f'<div class="cbir-side" style="left:{100 * x0 / w:.2f}%;top:{100 * y0 / h:.2f}%;'
            f'width:{100 * length / w:.2f}%;transform:rotate({angle:.2f}deg)"></div>'
        )
    return "".join(sides)
