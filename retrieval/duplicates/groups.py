"""Groups of duplicates, made of the relations of pairs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.duplicates.relation import Relation

GroupKind = Literal["bytes", "picture", "part"]


@dataclass(frozen=True)
class Member:
    """An image of a group, and how it is related to the first one of it.

    `relation` is that of this image, or of one that is the same, to the first one, or to one that
    is the same as it; it is None for the first, and where only a third image relates the two.
    """

    image_id: int
    relation: Relation | None = None


@dataclass(frozen=True)
class Group:
    """Images that belong together, the one to keep first.

    Of kind `bytes`, all files have the same bytes; of `picture`, all show the same picture; of
    `part`, all others show a part of the first.
    """

    kind: GroupKind
    members: tuple[Member, ...]

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The images, the first one first."""
        return tuple(member.image_id for member in self.members)


def make_groups(
    same_bytes: Collection[Sequence[int]],
    relations: Collection[Relation],
    order: Mapping[int, int],
    kept: Collection[tuple[int, int]] = frozenset(),
) -> list[Group]:
    """Return the groups of images: those of whole pictures, then those of parts.

    `same_bytes` are the ids of images with the same bytes, and `relations` those of one image of
    each content. `order` tells of each image its place: the first of a group is the one to keep.
    Whoever is the same picture as a third belongs together. Of those that show the same picture,
    one stands for all in the groups of parts. `kept` are pairs, ascending, that count as unrelated,
    but those that show the same picture still share a group of parts.
    """
    shown_by = _first_of(same_bytes, relations, order)
    relations = [r for r in relations if (min(r.pair), max(r.pair)) not in kept]
    pictures = {r.pair: r for r in relations if r.kind == "picture"}
    pairs = [pair for ids in same_bytes for pair in _identical_pairs(ids, kept)]
    identical = {i: ids[0] for ids in same_bytes for i in ids}
    whole = [sorted(ids, key=order.__getitem__) for ids in _components([*pairs, *pictures])]
    groups = [_whole_group(ids, identical, pictures) for ids in whole]
    parts = _part_groups([r for r in relations if r.kind == "part"], shown_by, order)
    return [*sorted(groups, key=lambda g: order[g.image_ids[0]]), *parts]


def _first_of(
    same_bytes: Collection[Sequence[int]], relations: Iterable[Relation], order: Mapping[int, int]
) -> dict[int, int]:
    """Return for each image that is there again the first one that shows the same picture."""
    pairs = [pair for ids in same_bytes for pair in _identical_pairs(ids, ())]
    pairs += [relation.pair for relation in relations if relation.kind == "picture"]
    return {i: min(ids, key=order.__getitem__) for ids in _components(pairs) for i in ids}


def _identical_pairs(
    ids: Sequence[int], kept: Collection[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return pairs of images with the same bytes, enough to connect all that count as related."""
    if not kept:
        return [(ids[0], other) for other in ids[1:]]
    return [pair for pair in itertools.combinations(sorted(ids), 2) if pair not in kept]


def _components(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of a graph with these edges."""
    group_of: dict[int, list[int]] = {}
    for pair in pairs:
        one, other = (group_of.setdefault(image_id, [image_id]) for image_id in pair)
        if one is not other:
            larger, smaller = (one, other) if len(one) >= len(other) else (other, one)
            larger += smaller
            group_of.update(dict.fromkeys(smaller, larger))
    return list({id(group): group for group in group_of.values()}.values())


def _whole_group(
    ids: Sequence[int],
    identical: Mapping[int, int],
    pictures: Mapping[tuple[int, int], Relation],
) -> Group:
    contents = [identical.get(i, i) for i in ids]
    members = [Member(ids[0])]
    for image_id, content in zip(ids[1:], contents[1:], strict=True):
        pair = min(content, contents[0]), max(content, contents[0])
        relation = pictures.get(pair)
        if relation is not None and relation.first != content:
            relation = relation.reversed()
        members.append(Member(image_id, relation))
    return Group("bytes" if len(set(contents)) == 1 else "picture", tuple(members))


def _part_groups(
    parts: Iterable[Relation], first_of: Mapping[int, int], order: Mapping[int, int]
) -> list[Group]:
    """Return a group for each picture of which others show a part.

    A part of a part is named in the group of the largest picture only.
    """
    wholes: dict[int, dict[int, Relation]] = defaultdict(dict)  # of each part
    for relation in parts:
        part = first_of.get(relation.first, relation.first)
        whole = first_of.get(relation.second, relation.second)
        if part != whole:
            wholes[part].setdefault(whole, relation)
    found: dict[int, list[Member]] = defaultdict(list)
    for part in sorted(wholes, key=order.__getitem__):
        for whole, relation in wholes[part].items():
            larger = wholes.get(whole, {}).keys() - {part}
            if not larger & wholes[part].keys():
                found[whole].append(Member(part, relation))
    return [
        Group("part", (Member(whole), *found[whole]))
        for whole in sorted(found, key=order.__getitem__)
    ]
