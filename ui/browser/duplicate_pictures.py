"""A group of duplicates on the page: its pictures side by side, and what is known of each."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from indexer.errors import CbirError
from indexer.sources.place import Place
from indexer.store.records import ImageInfo
from retrieval.duplicates.groups import Group, Member
from retrieval.duplicates.relation import Relation
from retrieval.query import Quad
from ui.browser.figures import figure
from ui.browser.session import session
from ui.duplicates_report import Described, bytes_text
from ui.gallery import as_jpeg
from ui.render import printable
from ui.thumbnails import draw_quad

SIDE_PX = 720
LARGE = 4  # pictures of a group that are shown large; of more, thumbnails
SHOWN = 24  # pictures of a group at most
KEYS = 9  # pictures that a key chooses
STYLE = """<style>
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-twin-"]) { flex: 1 1 320px !important;
  max-width: 720px; }
[class*="st-key-twin-"] { width: 100%; }
.st-key-twins { align-items: stretch; }
.st-key-twins > div > [class*="st-key-twin-"] { height: 100%; }
.st-key-twin-1 { outline: 3px solid #0d9488; outline-offset: -1px; }
.cbir-twin .cbir-frame { display: flex; width: 100%; align-items: center; min-height: 120px;
  justify-content: center; }
.cbir-twin .cbir-frame img { max-height: 52vh; width: auto; }
.cbir-twin .cbir-name { font-weight: 600; }
.cbir-facts { font-size: .85rem; line-height: 1.45; overflow-wrap: anywhere; }
.cbir-facts div:first-child { font-variant-numeric: tabular-nums; }
@media (max-width: 640px) {
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-twin-"]) { flex-basis: 100% !important; }
  .cbir-twin .cbir-frame img { max-height: 38vh; }
}
</style>"""


def show(
    described: Described, group: Group, quads: Sequence[Quad], choose: Callable[[int], None]
) -> None:
    """Show the pictures of a group, the one to keep first, with the outlines `quads` on it.

    `choose` gets the place of the image that is said to be the original.
    """
    st.html(STYLE)
    known = [m for m in group.members if m.image_id in described.infos]
    shown = known[:SHOWN]
    pictures = _pictures(described, shown, quads)
    with st.container(horizontal=True, gap="small", key="twins"):
        for place, (member, picture) in enumerate(zip(shown, pictures, strict=True)):
            with st.container(border=True, gap="xsmall", key=f"twin-{place + 1}"):
                st.html(_card(described, group, member, place, picture))
                at = group.members.index(member)
                st.button(
                    "Original",
                    key=f"original-{place + 1}",
                    help="This one is the original, and the others are copies of it",
                    on_click=choose,
                    args=(at,),
                    shortcut=str(place + 1) if place < KEYS else None,
                )
    if len(known) > len(shown):
        st.caption(f"and {len(known) - len(shown):,} more; the table below has them all.")


def _pictures(described: Described, shown: Sequence[Member], quads: Sequence[Quad]) -> list[bytes]:
    infos = [described.infos[member.image_id] for member in shown]
    if len(shown) > LARGE:
        rest = session().gallery.thumbnails(infos[1:])
        return [_picture(infos[0], quads), *rest]
    return [_picture(info, () if place else quads) for place, info in enumerate(infos)]


def _picture(info: ImageInfo, quads: Sequence[Quad]) -> bytes:
    """Return a picture with outlines on it; a grey plate where it cannot be read."""
    shared = session()

    def draw() -> bytes:
        picture = shared.gallery.picture(info.id, SIDE_PX)
        across, down = picture.width / info.width, picture.height / info.height
        for quad in quads:
            draw_quad(picture, tuple((x * across, y * down) for x, y in quad), width=3)
        return as_jpeg(picture)

    try:
        return shared.kept.get(("duplicate", info.id, *quads), draw, len)
    except CbirError:
        return shared.gallery.thumbnails([info])[0]


def _card(described: Described, group: Group, member: Member, place: int, picture: bytes) -> str:
    info = described.infos[member.image_id]
    first, other = ("whole", "part") if group.kind == "part" else ("to keep", "copy")
    card = figure(
        picture,
        f"{place + 1}: {info.path.name}",
        title=f"{place + 1} · {other if place else first}",
        name=info.path.name,
        look="twin",
    )
    facts = facts_of(described, member)
    lines = "".join(f"<div>{html.escape(printable(line))}</div>" for line in facts)
    return f'{card}<div class="cbir-facts">{lines}</div>'


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
