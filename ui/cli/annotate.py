"""`cbir annotate`: fields of the user's own from a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.shell import JsonOption, StoreOption, app, open_store, say
from ui.printable import printable

if TYPE_CHECKING:
    from indexer.annotation_table import AnnotationReport

SHOWN = 10


@app.command()
def annotate(
    table: Annotated[
        Path | None,
        typer.Argument(help="A CSV file in UTF-8: a first line of names, then a row a photo."),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option(help="The column with the paths.", show_default="path, or the first one"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Take only this column; may be given several times.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Forget this field of all photos; may be given several times."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give photos titles, inventory numbers or any other fields, from a table.

    They are shown with hits, and filters know them: cbir query cat.jpg --where 'sku:A1* and
    price<10'. The paths in the table are absolute, or relative to the folder of photos or to that
    of the table. A second table changes what it names; an empty cell clears what was said.
    """
    from indexer.annotation_table import AnnotationReport, apply_table, read_table
    from indexer.store.annotations import delete_field

    if (table is None) == (not remove):
        raise typer.BadParameter("give a table, or --remove FIELD")
    opened = open_store(store)
    report = AnnotationReport([])
    if table is not None:
        rows = read_table(table, path_column=path_column, only=only or ())
        report = apply_table(opened, rows)
    for name in remove or ():
        with opened.writing():
            delete_field(opened, name)
    if as_json:
        counts = {"images": report.images, "repeated": report.repeated}
        lists = {
            name: [{"line": line, "path": path} for line, path in rows]
            for name, rows in (("unknown", report.unknown), ("ambiguous", report.ambiguous))
        }
        say(json.dumps({"fields": report.fields} | counts | lists))
    elif table is None:
        say(f"Forgotten: {printable(', '.join(remove or ()))}.")
    else:
        _say_report(report)


def _say_report(report: AnnotationReport) -> None:
    names = printable(", ".join(report.fields))
    say(f"{report.images:,} photos have {names} from the table.")
    if report.repeated:
        say(
            f"{report.repeated:,} rows are of photos that have a later row, which counts.", err=True
        )
    _say_rows("are of no photo in the store", report.unknown)
    ambiguous = "name photos in several folders, of which the first was taken; make them absolute"
    _say_rows(ambiguous, report.ambiguous)


def _say_rows(what: str, rows: Sequence[tuple[int, str]]) -> None:
    if rows:
        say(f"{len(rows):,} rows {what}:", err=True)
        for line, path in rows[:SHOWN]:
            say(f"  line {line}: {printable(path)}", err=True)
        if len(rows) > SHOWN:
            say("  … (--json lists them all)", err=True)
