"""Commands on the store as a whole: `whiten`, `optimize`, `info`, `remove`; and `backbones`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ui.cli.shell import JsonOption, StoreOption, app, open_store


@contextmanager
def stoppable(left: str) -> Iterator[None]:
    """Report on Ctrl-C what the store holds then."""
    try:
        yield
    except KeyboardInterrupt as stop:
        typer.echo(f"Stopped. {left}", err=True)
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
        typer.echo(json.dumps({"adaptation": spec.adaptation, "regions": count}))
    else:
        typer.echo(f"Learned the whitening {spec.adaptation}; {count:,} regions are re-encoded.")


@app.command()
def optimize(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Merge what many runs of index left, drop removed vectors, retrain large indexes.

    It is safe to interrupt, and queries continue meanwhile.
    """
    import dataclasses

    from indexer.optimize import optimize_store
    from ui.progress import ConsoleProgress

    with (
        ConsoleProgress() as progress,
        stoppable("What was finished is kept; run it again to continue."),
    ):
        reports = optimize_store(open_store(store), progress)
    for report in reports:
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(report)))
            continue
        recall = "" if report.recall is None else f", recall@10 {report.recall:.3f}"
        typer.echo(f"{report.kind}: {report.rows:,} vectors, {report.index_type}{recall}")


@app.command()
def info(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what the store holds: images, failed files, vectors, spec, bytes on disk."""
    from ui import reports

    opened = open_store(store)
    if as_json:
        typer.echo(json.dumps(reports.summary_as_dict(opened)))
    else:
        reports.print_summary(opened)


@app.command()
def remove(
    photos: Annotated[
        list[Path], typer.Argument(help="Indexed images, or folders: all indexed images below.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove images from the index; the files themselves are not touched."""
    from indexer.remove import remove_images

    removed = remove_images(open_store(store), photos)
    if as_json:
        typer.echo(json.dumps({"removed": removed}))
    else:
        images = "1 image" if removed == 1 else f"{removed} images"
        typer.echo(f"Removed {images} from the index; the files are untouched.")


@app.command()
def backbones(as_json: JsonOption = False) -> None:
    """List the networks, their taps, and whether their weights are here or are downloaded."""
    from ui import reports

    if as_json:
        for row in reports.backbones_as_dicts():
            typer.echo(json.dumps(row))
    else:
        reports.print_backbones()
