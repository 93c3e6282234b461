"""`cbir eval`: the group of the commands that measure."""

from __future__ import annotations

import typer

from ui.cli.shell import ErrorReportingGroup, app

evaluation = typer.Typer(
    cls=ErrorReportingGroup, no_args_is_help=True, help="Measure features on labelled images."
)
app.add_typer(evaluation, name="eval")


@evaluation.callback()
def about() -> None:
    """Measure how well features serve, on images of your own with labels."""
