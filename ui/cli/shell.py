"""What the commands share: the app, error reporting, options, and opening the store."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from indexer.choices import Damaged, EngineName, Oversize
from indexer.errors import CbirError

TRUST = "CBIR_TRUST"  # see `indexer.store.trust`

if TYPE_CHECKING:  # a command that needs no store does not load it
    from indexer.store.reader import StoreReader
    from indexer.store.store import Store


def _trust(context: Any, _option: Any, is_trusted: bool) -> None:
    if is_trusted:
        before = os.environ.get(TRUST)
        os.environ[TRUST] = "1"
        context.call_on_close(
            lambda: os.environ.pop(TRUST) if before is None else os.environ.update({TRUST: before})
        )


def _require_finite(_context: Any, _option: Any, value: Any) -> Any:
    """Return a number, or several, if any; raises `typer.BadParameter` for nan and inf."""
    numbers = value if isinstance(value, tuple | list) else () if value is None else (value,)
    if not all(map(math.isfinite, numbers)):
        raise typer.BadParameter("it must be a finite number")
    return value


def require_choice(choices: Sequence[str]) -> Callable[[list[str] | None], list[str] | None]:
    """Return a callback for an option that may be repeated, each time with one of these."""

    def check(values: list[str] | None) -> list[str] | None:
        for value in values or ():
            if value not in choices:
                raise typer.BadParameter(f"{value!r} is not one of {', '.join(choices)}")
        return values

    return check


def say(*lines: str, err: bool = False) -> None:
    """Print lines on stdout, or on stderr: all that the commands say, JSON included.

    Names of files come in them. A terminal obeys the control characters that these may have, so
    they are printed as escapes.
    """
    from ui.printable import printable

    for line in lines:
        typer.echo(printable(line), err=err)


def say_csv(data: bytes) -> None:
    """Print CSV on stdout: as it is, or at a terminal with control characters as escapes."""
    if not sys.stdout.isatty():
        typer.echo(data, nl=False)
        return
    import csv
    import io

    from ui.printable import printable

    shown = io.StringIO()
    writer = csv.writer(shown, lineterminator="\n")
    for row in csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")):
        writer.writerow(map(printable, row))
    typer.echo(shown.getvalue(), nl=False)


class ErrorReportingGroup(TyperGroup):
    """Turns every `CbirError` into one line on stderr and exit code 1.

    Every command that has a store gets the option to trust it.
    """

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            return None
        for option in command.params:
            if option.type.name.startswith("float") and option.callback is None:
                option.callback = _require_finite
        names = {option.name for option in command.params}
        if "store" in names and "trust" not in names:
            command.params.append(
                TyperOption(
                    param_decls=["--trust"],
                    is_flag=True,
                    default=False,
                    expose_value=False,
                    callback=_trust,
                    help="Trust a store that another account or machine made: read its vector "
                    "index, and photos outside its folder. What writes to it remembers that.",
                )
            )
        return command

    def invoke(self, ctx: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except CbirError as error:
            say(f"Error: {error}", err=True)
            raise typer.Exit(1) from error
        except typer.BadParameter as error:
            from ui.printable import printable

            error.message = printable(error.message)
            raise


app = typer.Typer(
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find where you have seen an image, or a part of it, before: on your own machine.",
    epilog="Start with: cbir index PHOTOS, then: cbir query IMAGE",
)

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="The store's folder; else CBIR_STORE, else .cbir here or in a folder above.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line on stdout, and nothing else.")
]
LimitOption = Annotated[
    float | None,
    typer.Option(
        "--max-megapixels",
        min=0.001,
        show_default="that of the store",
        help="Refuse images with more pixels than this, see --oversize.",
    ),
]
DAMAGED_HELP = (
    "Images whose own checksums or decoder call them damaged: skip them, or take what can be read."
)
DamagedOption = Annotated[
    Damaged,
    typer.Option(
        "--damaged",
        help=DAMAGED_HELP,
    ),
]
OVERSIZE_HELP = (
    "Images with more pixels than the limit: skip them, or reduce them, that is read them at a "
    "smaller size; JPEG, JPEG 2000 and TIFF allow that."
)
OversizeOption = Annotated[
    Oversize,
    typer.Option(
        "--oversize",
        help=OVERSIZE_HELP,
    ),
]
RerankOption = Annotated[
    bool, typer.Option("--rerank", help="Verify and re-rank the first images; slower, sharper.")
]
VerifyOption = Annotated[
    bool | None,
    typer.Option(
        "--verify/--no-verify",
        help="Look for the query's keypoints in the first images; those that are proved to show "
        "the same come first.",
        show_default="yes where the store keeps keypoints",
    ),
]
CandidatesOption = Annotated[
    int, typer.Option(min=1, help="How many of the first images are looked at.")
]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="What runs the network.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"cbir {version('cbir')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Find where you have seen an image, or a part of it, before: on your own machine."""
    del version  # its callback has printed it


def limit_of(store: StoreReader, max_megapixels: float | None) -> int:
    """Return how many pixels a query image may have: as chosen, or as when indexing."""
    return store.max_pixels if max_megapixels is None else round(max_megapixels * 1e6)


def open_store(path: Path | None) -> Store:
    """Open the store at `path`, or that of the current folder, to read or write it."""
    from indexer.store.places import require_store
    from indexer.store.store import Store

    return Store.open(require_store(path))
