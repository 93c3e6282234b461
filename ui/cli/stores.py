"""Commands on the store as a whole, from `whiten` to `relocate`; and `backbones`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ui.cli.shell import JsonOption, StoreOption, app, open_store, say


def is_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty()


@contextmanager
def stoppable(left: str) -> Iterator[None]:
    """Report on Ctrl-C what the store holds then."""
    try:
        yield
    except KeyboardInterrupt as stop:
        say(f"Stopped. {left}", err=True)
        raise typer.Exit(130) from stop


@app.command()
def whiten(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Learn a whitening from your own collection and re-encode its regions; no image is read.

    It helps to find instances, such as logos and prints; it may hurt where you look for kinds.
    """
    from indexer.adapt import adapt_store
    from indexer.optimize import update_indexes
    from indexer.store.statistics import summarize
    from ui.progress import ConsoleProgress

    opened = open_store(store)
    with ConsoleProgress() as progress:
        with stoppable("The store is unchanged."):
            spec = adapt_store(opened, progress)
        with stoppable("The regions are re-encoded; rebuild their index with: cbir optimize"):
            update_indexes(opened, progress)
    count = summarize(opened).vectors["region"]
    if as_json:
        say(json.dumps({"adaptation": spec.adaptation, "regions": count}))
    else:
        say(f"Learned the whitening {spec.adaptation}; {count:,} regions are re-encoded.")


@app.command()
def optimize(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Merge what many runs of index left, drop removed vectors, retrain large indexes.

    It is safe to interrupt, and queries continue meanwhile.
    """
    from indexer.optimize import optimize_store
    from ui.progress import ConsoleProgress

    with (
        ConsoleProgress() as progress,
        stoppable("What was finished is kept; run it again to continue."),
    ):
        reports = optimize_store(open_store(store), progress)
    for report in reports:
        if as_json:
            say(json.dumps(dataclasses.asdict(report)))
            continue
        recall = "" if report.recall is None else f", recall@10 {report.recall:.3f}"
        say(f"{report.kind}: {report.rows:,} vectors, {report.index_type}{recall}")


@app.command()
def info(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what the store holds: images, failed files, vectors, spec, bytes on disk."""
    from ui import reports

    opened = open_store(store)
    if as_json:
        say(json.dumps(reports.summary_as_dict(opened)))
    else:
        reports.print_summary(opened)


@app.command()
def remove(
    photos: Annotated[
        list[str],
        typer.Argument(
            help="Indexed images, or folders, archives or URLs: all indexed images below."
        ),
    ],
    exclude: Annotated[
        bool | None,
        typer.Option(
            "--exclude/--no-exclude",
            help="Leave them out of later runs of index, too, while their files are still there.",
            show_default="asks at a terminal, else no",
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove images from the index; the files themselves are not touched."""
    from indexer.remove import remove_images
    from indexer.sources.access import may_exist
    from indexer.sources.place import to_place

    places = [to_place(photo) for photo in photos]
    there = [place for place in places if may_exist(place)]
    if exclude is None and there and not as_json and is_terminal():
        from ui.printable import printable

        names = printable(", ".join(map(str, there)))
        exclude = typer.confirm(f"{names}: still there. Leave out of later runs of index, too?")
    removed = remove_images(open_store(store), places, exclude=bool(exclude))
    if as_json:
        say(json.dumps({"removed": removed, "excluded": bool(exclude)}))
        return
    images = "1 image" if removed == 1 else f"{removed} images"
    say(f"Removed {images} from the index; the files are untouched.")
    if there and not exclude:
        say("The next run of cbir index finds them again; --exclude leaves them out.")


@app.command()
def relocate(
    old: Annotated[
        str, typer.Argument(help="Where the store knows images: a folder, a file or a URL.")
    ],
    new: Annotated[str, typer.Argument(help="Where they are now.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that photos were moved or a drive was renamed; nothing is read or indexed again."""
    from indexer.relocate import relocate_images
    from indexer.sources.place import to_place

    report = relocate_images(open_store(store), to_place(old), to_place(new))
    if as_json:
        say(json.dumps(dataclasses.asdict(report)))
        return
    say(f"Relocated {report.moved} images to {new}.")
    if report.missing:
        say(f"{len(report.missing)} of them are not there; cbir index looks again.")


@app.command()
def backbones(as_json: JsonOption = False) -> None:
    """List the networks, their taps, and whether their weights are here or are downloaded."""
    from ui import reports

    if as_json:
        for row in reports.backbones_as_dicts():
            say(json.dumps(row))
    else:
        reports.print_backbones()
