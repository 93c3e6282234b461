"""What `cbir index --rebuild` does to the store, and what it says of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.cli.shell import say
from ui.printable import printable

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.features.spec import FeatureSpec
    from indexer.sources.place import Place
    from indexer.store.store import Store
    from indexer.store.user_data import UserData


@contextmanager
def built_again(
    place: Path,
    photos: list[Place],
    backbone: str | None,
    choices: Mapping[str, Any],
    catalog: str | None,
    vectors: str | None,
) -> Iterator[Store]:
    """Delete a store and create it again, with its settings where nothing else is chosen.

    Its catalogue and its vectors stay where they are, unless URLs of servers are given. If there
    are no `photos`, they get what is to be indexed. What people said of images is kept for
    `say_restored`. Raises `NoImagesError` where nothing is there, `FeatureError`, and `StoreError`
    for servers that cannot be used; nothing is deleted then.
    """
    from indexer.carry_over import keep_user_data
    from indexer.rebuild import remembered_places, require_places
    from indexer.store.catalogs import server_urls
    from indexer.store.store import Store

    before = remembered_places(place)
    spec = before.spec(backbone, choices)
    is_all = not photos
    photos += before.places if is_all else []
    require_places(photos)
    if not is_all:
        for root in before.not_below(photos):
            say(f"The store also held photos of {printable(str(root))}.", err=True)
    if catalog is not None or vectors is not None:
        _require_servers(place, spec, catalog, vectors)
    urls = server_urls(place)
    for lost in keep_user_data(place):
        say(f"The store is damaged: {lost} cannot be read, and will be lost.", err=True)
    Store.delete(place)
    made = Store.create(place, spec, catalog_url=catalog or urls[0], vectors_url=vectors or urls[1])
    try:
        if before.settings is not None:
            made.index_type = before.settings.index_type
            made.keep_keypoints(before.settings.keeps_keypoints)
        for root, options in before.roots if is_all else ():
            made.add_root(root, options)
        yield made
    finally:
        if is_all:  # the next run needs to know its folders
            made.close()
        else:
            made.close_or_discard()


def _require_servers(
    place: Path, spec: FeatureSpec, catalog: str | None, vectors: str | None
) -> None:
    """Create a store on these servers and delete it again; raises `StoreError` if that fails."""
    import tempfile

    from indexer.errors import StoreError
    from indexer.store.store import Store

    with tempfile.TemporaryDirectory(prefix="cbir-") as scratch:
        trial = Path(scratch) / "store"
        try:
            Store.create(trial, spec, catalog_url=catalog, vectors_url=vectors).close()
            Store.delete(trial)
        except StoreError as error:
            raise StoreError(
                f"{str(error).replace(str(trial), str(place))} Nothing was deleted."
            ) from error


def say_restored(store: Store) -> None:
    """Take over what people said of images before the store was built again, and report it."""
    from indexer.carry_over import restore_user_data

    restored = restore_user_data(store)
    if restored is None:
        return
    taken = [
        f"fields of {_count(restored.fields, 'photo')}" if restored.fields else "",
        f"concepts: {', '.join(restored.concepts)}" if restored.concepts else "",
        f"{_count(restored.decisions, 'decision')} about duplicates" if restored.decisions else "",
    ]
    if any(taken):
        say(f"Taken over from the store before: {'; '.join(filter(None, taken))}.", err=True)
    if restored.left:
        say(_left_in_words(restored.left), err=True)


def _left_in_words(left: UserData) -> str:
    """Return what waits for its photos, or for the network of its concepts."""
    from indexer.store.layout import USER_DATA

    images = {number for own in left.fields.values() for number in own}
    waiting = [
        f"fields of {_count(len(images), 'photo')}" if images else "",
        f"{_count(len(left.decisions), 'decision')} about photos" if left.decisions else "",
    ]
    parts = [" and ".join(filter(None, waiting)) + " not in the store"] if any(waiting) else []
    if left.concepts:
        parts.append(f"concepts of another network: {', '.join(left.concepts)}")
    return f"Kept until they fit, in {USER_DATA}: {printable('; '.join(parts))}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
