"""`cbir eval`: the group of the commands that measure."""

from __future__ import annotations

import typer

from ui.cli.shell import ErrorReportingGroup, app

evaluation = typer.Typer(
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    help="Measure retrieval and features on labelled images.",
)
app.add_typer(evaluation, name="eval")


@evaluation.callback()
def about() -> None:
    """Measure how well the right images are found, or classes told apart, with labels of yours."""
