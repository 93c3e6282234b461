"""A group of duplicates on the page: its pictures side by side, and what is known of each."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from indexer.sources.place import Place
from indexer.store.records import ImageInfo
from retrieval.duplicates.groups import Group, Member
from retrieval.duplicates.relation import Relation
from retrieval.query import Quad
from ui.browser import components
from ui.browser.session import session
from ui.duplicates_report import Described, bytes_text
from ui.gallery import version_of
from ui.render import printable

LARGE = 4  # pictures of a group that are shown large; of more, thumbnails
SHOWN = 24  # pictures of a group at most
KEYS = 9  # pictures that a key chooses
STYLE = """<style>
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-card-"]) { flex: 1 1 230px !important;
  max-width: 720px; }
[class*="st-key-card-"] { width: 100%; }
.st-key-twins { align-items: stretch; }
.st-key-twins > div > [class*="st-key-card-"] { height: 100%; }
.st-key-card-1 { outline: 3px solid #0d9488; outline-offset: -1px; }
.cbir-facts { font-size: .85rem; line-height: 1.45; overflow-wrap: anywhere; }
.cbir-facts div:first-child { font-variant-numeric: tabular-nums; }
.st-key-twins-head h3 { font-size: 1.15rem; padding: 0; }
@media (max-width: 640px) {
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-card-"]) { flex-basis: 150px !important; }
  [class*="st-key-card-"] { padding: .5rem; }
  .st-key-twins-head { gap: .35rem; }
  .st-key-twins-head > :first-child { flex: 1 0 100% !important; }
  .st-key-twins-head button { padding-inline: .5rem; }
}
</style>"""


def show(
    described: Described,
    group: Group,
    quads: Sequence[Quad],
    choose: Callable[[int], None],
    upcoming: Sequence[ImageInfo] = (),
) -> None:
    """Show the pictures of a group, the one to keep first, with the outlines `quads` on it.

    `choose` gets the place of the image that is said to be the original. The pictures of `upcoming`
    images are fetched ahead.
    """
    known = [m for m in group.members if m.image_id in described.infos]
    shown = known[:SHOWN]
    is_large = len(shown) <= LARGE
    with st.container(horizontal=True, gap="small", key="twins"):
        for place, member in enumerate(shown, 1):
            info = described.infos[member.image_id]
            data = _picture(info, is_large=is_large or place == 1) | {
                "group": ",".join(map(str, group.image_ids)),
                "place": place,
                "title": f"{place} · {_role(group, place)}",
                "outlines": [_corners(quad) for quad in quads] if place == 1 else [],
                "next": [_address(one) for one in upcoming[:LARGE]] if place == 1 else [],
            }
            with st.container(border=True, gap="xsmall", key=f"card-{place}"):
                components.twin(data, f"picture-{place}")
                _original(place, group.members.index(member), choose)
                _facts(described, member)
    if len(known) > len(shown):
        st.caption(f"and {len(known) - len(shown):,} more; the table below has them all.")


def _role(group: Group, place: int) -> str:
    first, other = ("whole", "part") if group.kind == "part" else ("to keep", "copy")
    return first if place == 1 else other


def _picture(info: ImageInfo, *, is_large: bool) -> dict[str, Any]:
    """Return where a picture is, its name and size; its thumbnail alone where it is small."""
    return {
        "name": printable(info.path.name),
        "src": _address(info) if is_large else _thumbnail(info, 640),
        "behind": _thumbnail(info, 320),
        "w": info.width,
        "h": info.height,
    }


def _address(info: ImageInfo) -> str:
    return f"/v1/images/{info.id}/picture?v={version_of(info)}"


def _thumbnail(info: ImageInfo, side_px: int) -> str:
    return f"/v1/images/{info.id}/thumbnail?side={side_px}&v={version_of(info)}"


def _corners(quad: Quad) -> list[float]:
    return [round(value, 1) for corner in quad for value in corner]


def _original(place: int, at: int, choose: Callable[[int], None]) -> None:
    st.button(
        "Original",
        key=f"original-{place}",
        help="This one is the original, and the others are copies of it",
        on_click=choose,
        args=(at,),
        shortcut=str(place) if place <= KEYS else None,
    )


def _facts(described: Described, member: Member) -> None:
    lines = (html.escape(printable(line)) for line in facts_of(described, member))
    body = "".join(f"<div>{line}</div>" for line in lines)
    st.html(f'<div class="cbir-facts">{body}</div>')


def facts_of(described: Described, member: Member) -> list[str]:
    """Return in lines what is known of an image, and how it differs from the first one."""
    info = described.infos[member.image_id]
    size = f"{info.width:,} × {info.height:,} pixels"
    lines = [f"{size} · {bytes_text(described.sizes.get(info.id, 0))}"]
    lines.append(f"{info.taken_at:%d %B %Y, %H:%M}" if info.taken_at else "no date")
    lines.append(folder_text(info.path))
    if member.relation is not None and (pose := pose_text(member.relation)):
        lines.append(pose)
    said = described.said.get(info.id, {})
    return [*lines, *(f"{name}: {text}" for name, text in said.items())]


def folder_text(path: Place) -> str:
    """Return the folder of an image: below that which was indexed, if that is the only one."""
    roots = list(session().store.roots().values())
    folder = path.parent
    if len(roots) == 1 and isinstance(folder, Path) and isinstance(roots[0], Path):
        root = roots[0]
        return str(folder.relative_to(root.parent)) if folder.is_relative_to(root) else str(folder)
    return str(folder)


def pose_text(relation: Relation) -> str:
    """Return in words how the first image of a relation lies; empty where as the second does."""
    words = ["mirrored"] if relation.mirrored else []
    # It must be turned clockwise: so it lies turned the other way, unless it was mirrored before.
    turned = relation.turned if relation.mirrored else -relation.turned % 360
    if turned:
        side = {90: "90° to the right", 180: "180°", 270: "90° to the left"}[turned]
        words.append(f"turned by {side}")
    return ", ".join(words)
