"""`cbir export` and `cbir merge`: vectors and metadata for other programs, and back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.choices import ExportFormat
from ui.cli.indexing import catching_interrupts, reporting_stops, say_report
from ui.cli.shell import JsonOption, StoreOption, app, open_store, say
from ui.cli.stores import stoppable
from ui.printable import printable

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.exports.write import ExportReport

FORMAT_HELP = "Parquet files for pandas, DuckDB and others, or NumPy arrays with lines of JSON."


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The folder to make; nothing is replaced.")],
    store: StoreOption = None,
    where: Annotated[
        str,
        typer.Option(
            help="Only images that meet this, such as 'folder:2019/*'; see docs/filters.md."
        ),
    ] = "",
    format: Annotated[ExportFormat, typer.Option("--format", help=FORMAT_HELP)] = "parquet",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only vectors of this kind, as cbir info names them; may be given several times. "
            "cbir merge needs all.",
            show_default="all",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write vectors and metadata into a folder that other programs read; no photo is copied.

    The folder appears once all is written.
    """
    from indexer.exports.write import export_store
    from ui.progress import ConsoleProgress

    started = time.monotonic()
    opened = open_store(store)
    with stoppable("Nothing was exported."), ConsoleProgress() as progress:
        report = export_store(
            opened, folder, where=where, kinds=kind, format=format, progress=progress
        )
    if as_json:
        values = {
            "folder": str(folder),
            "format": format,
            "fingerprint": opened.spec.fingerprint,
            "images": report.images,
            "rows": report.rows,
            "bytes": report.bytes,
            "elapsed_s": round(time.monotonic() - started, 2),
        }
        say(json.dumps(values))
    else:
        _say_export(report, folder, where)


def _say_export(report: ExportReport, folder: Path, where: str) -> None:
    rows = ", ".join(f"{count:,} {_noun(name)}" for name, count in report.rows.items())
    images = "1 image" if report.images == 1 else f"{report.images:,} images"
    say(f"Exported {images}{f' ({rows})' if rows else ''} to {printable(folder)}.")
    say(f"{report.bytes / 1e6:,.1f} MB in all.")
    if where and not report.images:
        say("No image meets the filter.", err=True)


def _noun(table: str) -> str:
    return "boxes" if table == "regions" else f"{table} vectors"


@app.command()
def merge(
    sources: Annotated[
        list[Path], typer.Argument(help="Stores, and folders that cbir export made.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take over images of other stores and of exported folders; no photo is read.

    They go into --store, which is made if there is none. A photo that both have, at the same path,
    is kept once; where the two differ, the newer one counts.
    """
    from indexer.merge import merge_stores, merging
    from indexer.store.layout import STORE_NAME
    from indexer.store.places import find_store
    from ui.process import configure_images, raise_file_limit
    from ui.progress import ConsoleProgress

    started = time.monotonic()
    configure_images()
    raise_file_limit()
    place = store or find_store() or Path(STORE_NAME)
    with (
        reporting_stops(),
        catching_interrupts() as interrupted,
        ConsoleProgress() as progress,
        merging(place, sources, progress) as (whole, parts),
    ):
        report = merge_stores(whole, parts, progress, interrupted)
        report.elapsed_s = time.monotonic() - started
        progress.stop()
        say_report(report, whole, as_json=as_json)
