"""Groups of duplicates as text, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from retrieval.duplicates.groups import Group, Member
from retrieval.duplicates.search import Duplicates
from retrieval.query import Quad
from ui.printable import printable
from ui.render import CARD_PX, quad_as_list, shorten

TITLES = {
    "bytes": "the same bytes",
    "picture": "the same picture",
    "part": "parts of one picture",
}
SHOWN = 40  # groups that are listed at a terminal
COLUMNS = (
    *("group", "kind", "role", "image_id", "path", "width", "height", "size_bytes", "taken_at"),
    *("mirrored", "turned", "agreement", "quad", "decided"),
)


@dataclass(frozen=True)
class Described:
    """Groups with what is known of their images, those to decide about first."""

    groups: Sequence[Group]
    undecided: int
    infos: Mapping[int, ImageInfo]
    sizes: Mapping[int, int]
    said: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, store: StoreReader, found: Duplicates, *, with_decided: bool) -> Described:
        """Describe what was found in a store."""
        groups = [*found.groups, *(found.decided if with_decided else [])]
        ids = sorted({i for group in groups for i in group.image_ids})
        files = store.catalog.known_files().values()
        return cls(
            groups,
            len(found.groups),
            store.image_infos(ids),
            {row.id: row.file.size_bytes for row in files},
            store.reader.annotations(ids),
        )

    @property
    def copies(self) -> list[int]:
        """The images of groups of whole pictures but for the first of each."""
        return [i for group in self.groups if group.kind != "part" for i in group.image_ids[1:]]


def role_of(group: Group, place: int) -> str:
    """Return what an image is in its group."""
    if group.kind == "part":
        return "part" if place else "whole"
    return "copy" if place else "first"


def group_as_dict(described: Described, number: int) -> dict[str, Any]:
    """Return a group as the command line's JSON has it; `number` is from 1."""
    group = described.groups[number - 1]
    images = [
        _member_as_dict(described, member, role_of(group, place))
        for place, member in enumerate(group.members)
        if member.image_id in described.infos
    ]
    decided = number > described.undecided
    return {"group": number, "kind": group.kind, "decided": decided, "images": images}


def _member_as_dict(described: Described, member: Member, role: str) -> dict[str, Any]:
    info, relation = described.infos[member.image_id], member.relation
    said = described.said.get(member.image_id)
    return {
        "role": role,
        "image_id": member.image_id,
        "path": str(info.path),
        "width": info.width,
        "height": info.height,
        "size_bytes": described.sizes.get(member.image_id),
        "taken_at": info.taken_at.isoformat() if info.taken_at else None,
        "mirrored": relation.mirrored if relation else False,
        "turned": relation.turned if relation else 0,
        "agreement": round(relation.agreement, 4) if relation else None,
        "quad": quad_as_list(relation.quad) if relation else None,
        **({"annotations": dict(said)} if said else {}),
    }


def groups_as_csv(described: Described) -> bytes:
    """Return groups as CSV with a header, a row an image; paths keep every byte."""
    out = io.StringIO()
    fields = dict.fromkeys(name for said in described.said.values() for name in said)
    names = [*COLUMNS, *(name for name in fields if name not in COLUMNS)]
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for number in range(1, len(described.groups) + 1):
        group = group_as_dict(described, number)
        for image in group["images"]:
            writer.writerow({**image.get("annotations", {}), **group, **image})
    return out.getvalue().encode("utf-8", "surrogateescape")


def groups_as_text(described: Described, found: Duplicates) -> list[str]:
    """Return groups for people, a line an image, and a summary."""
    lines = []
    for number, group in enumerate(described.groups[:SHOWN], 1):
        note = " · decided" if number > described.undecided else ""
        lines.append(f"{number}. {TITLES[group.kind]}{note}")
        for place, member in enumerate(group.members):
            if member.image_id in described.infos:
                name = printable(shorten(described.infos[member.image_id].path))
                facts = member_text(described, member)
                lines.append(f"   {role_of(group, place):6}{name}  ({facts})")
    if len(described.groups) > SHOWN:
        more = len(described.groups) - SHOWN
        lines.append(f"… and {more:,} more groups; --html, --csv and --json have them all.")
    return [*lines, *_summary(described, found)]


def member_text(described: Described, member: Member) -> str:
    """Return in a few words what an image is, and how it differs from the first one."""
    info, relation = described.infos[member.image_id], member.relation
    facts = [f"{info.width}×{info.height}", bytes_text(described.sizes.get(member.image_id, 0))]
    if relation is not None:
        facts += ["mirrored"] if relation.mirrored else []
        facts += [f"turned by {relation.turned}°"] if relation.turned else []
    return ", ".join(facts)


def bytes_text(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:,.0f} KB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def _summary(described: Described, found: Duplicates) -> list[str]:
    if not described.groups:
        lines = [f"No duplicates among {found.compared:,} images."]
        if found.decided:
            lines.append(f"About {len(found.decided):,} groups it is decided; --all shows them.")
        return lines
    counts = {kind: sum(g.kind == kind for g in described.groups) for kind in TITLES}
    kinds = ", ".join(f"{count:,} of {TITLES[kind]}" for kind, count in counts.items() if count)
    size = bytes_text(sum(described.sizes.get(i, 0) for i in described.copies))
    groups = "1 group" if len(described.groups) == 1 else f"{len(described.groups):,} groups"
    lines = [f"{groups} among {found.compared:,} images: {kinds}."]
    if described.copies:
        lines.append(f"{len(described.copies):,} copies take {size}.")
    if found.unread:
        lines.append(
            f"{len(found.unread):,} photos cannot be read; only their bytes were compared."
        )
    return lines


def groups_as_html(described: Described) -> bytes:
    """Return groups as one page with the pictures inside."""
    from jinja2 import Environment, PackageLoader

    from ui.thumbnails import as_data_url, draw_thumbnail

    loader = PackageLoader(__name__)
    page = Environment(loader=loader, autoescape=True).get_template("duplicates.html")
    groups = []
    for number, group in enumerate(described.groups, 1):
        outlines = [_parts_of(group), *(() for _ in group.members[1:])]
        cards = [
            {
                "image": as_data_url(draw_thumbnail(info.path, CARD_PX, quads=quads)),
                "role": role_of(group, place),
                "name": printable(info.path.name),
                "path": printable(str(info.path)),
                "facts": member_text(described, member),
            }
            for place, (member, quads) in enumerate(zip(group.members, outlines, strict=True))
            if (info := described.infos.get(member.image_id))
        ]
        decided = number > described.undecided
        groups.append({"title": TITLES[group.kind], "cards": cards, "decided": decided})
    return page.render(groups=groups).encode()


def _parts_of(group: Group) -> list[Quad]:
    """Return the outlines of the parts in the first picture of a group."""
    if group.kind != "part":
        return []
    return [m.relation.quad for m in group.members if m.relation and m.relation.quad]
