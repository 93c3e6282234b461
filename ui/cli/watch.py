"""`cbir watch`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.errors import NoImagesError, StoreLockedError
from indexer.sources.place import Place, Remote, absolute, to_place
from ui.cli.shell import EngineOption, JsonOption, StoreOption, app, say

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.store.store import Store

LONGEST_WAIT_S = 300  # changes that never pause are indexed this often
SETTLE_S = 2.0


@app.command()
def watch(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders to watch.", show_default="all that the store knows", metavar="[PHOTOS]..."
        ),
    ] = None,
    store: StoreOption = None,
    settle: Annotated[
        float, typer.Option(min=0.1, help="Wait until nothing has changed for so many seconds.")
    ] = SETTLE_S,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Keep the index up to date: index now, and again whenever photos change, until Ctrl-C."""
    from indexer.build import index_photos
    from ui.cli.indexing import (
        catching_interrupts,
        extractor_loader,
        open_or_create,
        say_report,
    )
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    places = [to_place(photo) for photo in photos or ()]
    try:
        with catching_interrupts() as interrupted, open_or_create(store, None, {}) as opened:
            _refuse_urls(opened, places)
            load_extractor = extractor_loader(opened, engine)

            def update(*, is_first: bool = False) -> None:
                with ConsoleProgress() as progress:
                    report = index_photos(
                        opened, places, load_extractor, None, progress, interrupted
                    )
                if is_first or report.added + report.updated + report.moved + report.removed:
                    say_report(report, opened, as_json=as_json)

            update(is_first=True)
            folders = _folders(opened, places)
            names = ", ".join(map(str, folders))
            say(f"Watching {names}. Stop with Ctrl-C.", err=True)
            _follow(_changes(folders, opened.path, settle), update)
    except KeyboardInterrupt:
        say("Stopped. What was indexed is safe.", err=True)


def _follow(changes: Iterator[bool], update: Callable[[], None]) -> None:
    """Update after each change, and once more where another process was writing meanwhile.

    It also updates once as soon as it watches: photos may have changed since they were indexed.
    """
    is_waiting = True
    for has_changed in changes:
        if not (has_changed or is_waiting):
            continue
        try:
            update()
            is_waiting = False
        except StoreLockedError:
            is_waiting = True
        except NoImagesError as error:
            say(f"Warning: {error}", err=True)


def _refuse_urls(store: Store, places: Sequence[Place]) -> None:
    """Raise `NoImagesError` for a URL to be watched."""
    known = places or [*store.roots().values()]
    remote = [place for place in known if isinstance(place, Remote)]
    if remote and (places or len(remote) == len(known)):
        raise NoImagesError(
            f"{remote[0]} cannot be watched: nobody tells of changes there. Run cbir index at "
            "times instead, for example by cron."
        )


def _folders(store: Store, places: Sequence[Place]) -> list[Path]:
    """Return the folders to watch; raises `NoImagesError` where none of them is there.

    URLs of the store are left out.
    """
    known = [absolute(place) for place in places] or [*store.roots().values()]
    local = [place for place in known if isinstance(place, Path)]
    folders = [folder if folder.is_dir() else folder.parent for folder in local]
    there = sorted({folder for folder in folders if folder.is_dir()})
    if not there:
        raise NoImagesError("None of the folders to watch is there.")
    return there


def _changes(folders: Sequence[Path], store: Path, settle_s: float) -> Iterator[bool]:
    """Yield True once photos have changed and then rest, and False now and then meanwhile."""
    import watchfiles

    def counts(_: watchfiles.Change, path: str) -> bool:
        place = Path(path)
        return not (place.is_relative_to(store) or place.name.startswith("._"))

    found = watchfiles.watch(
        *folders,
        watch_filter=counts,
        step=round(settle_s * 1000),
        debounce=LONGEST_WAIT_S * 1000,
        rust_timeout=round(max(settle_s, 1.0) * 1000),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    for changed in found:
        yield bool(changed)
