"""`cbir eval localize` and `cbir eval segment`: where concepts are, against true boxes or masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.cli.evaluate import evaluation
from ui.cli.evaluate_classification import KEPT, VocListsOption, voc_lists_of
from ui.cli.shell import EngineOption, JsonOption, say
from ui.cli.stores import stoppable

if TYPE_CHECKING:  # loaded when the command runs
    from retrieval.evaluation.localization import LocalizationRow

What = Literal["boxes", "masks"]

LOCALIZE = """Train concepts on labels of whole images, and compare their boxes with true ones.

CorLoc is the share of boxes with an IoU of at least 0.5 with a true one. Beside the concepts are a
centred box of the size that fits the training part best, the whole image, and a random box of the
size of a training object.
"""
SEGMENT = """Train concepts on labels of whole images, and compare their masks with true ones.

Beside the IoU of the masks are those of a centred box, the whole image and a random box.
"""
TRUTHS: dict[str | None, What] = {"localize": "boxes", "segment": "masks"}


@evaluation.command("localize", help=LOCALIZE)
@evaluation.command("segment", help=SEGMENT)
def measure(
    context: typer.Context,
    dataset: Annotated[
        Path,
        typer.Argument(
            help="PASCAL VOC in its own layout, a manifest (.json) with labels and boxes, or a CSV "
            "file with path, label, perhaps split, and x0, y0, x1, y1 or mask.",
            show_default=False,
        ),
    ],
    backbone: Annotated[
        str, typer.Option(help="The network, see `cbir backbones`.")
    ] = DEFAULT_BACKBONE,
    tap: Annotated[
        str | None, typer.Option(help="The conv tap.", show_default="the backbone's")
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, help="Images enter the network at about SIZE × SIZE pixels.")
    ] = FeatureSpec.size_px,
    test_share: Annotated[
        float,
        typer.Option(min=0.05, max=0.95, help="Of images for the test, where there are no splits."),
    ] = 0.5,
    voc_lists: VocListsOption = "train:val",
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure what the command that was called says."""
    from indexer.features.registry import get_backbone
    from retrieval.evaluation.boxed import read_boxed
    from retrieval.evaluation.feature_cache import FeatureCache
    from retrieval.evaluation.localization import evaluate_localization
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    what = TRUTHS[context.info_name]
    configure_images()
    network = get_backbone(backbone)
    boxed = read_boxed(dataset, voc_lists=voc_lists_of(voc_lists), test_share=test_share)
    with stoppable(KEPT), ConsoleProgress() as progress:
        rows = evaluate_localization(
            boxed,
            network,
            tap or network.default_conv,
            what=what,
            size_px=size,
            engine=engine,
            cache=FeatureCache(),
            progress=progress,
        )
    if as_json:
        for row in rows:
            say(json.dumps({"dataset": boxed.images.name, "truth": what, **_as_dict(row)}))
    else:
        _print_table(boxed.images.name, what, rows)


def _as_dict(row: LocalizationRow) -> dict[str, Any]:
    return {
        "way": row.way,
        "objects": row.objects,
        "iou": round(row.iou, 2),
        "iou_low": round(row.iou_interval[0], 2),
        "iou_high": round(row.iou_interval[1], 2),
        "iou>=0.5": round(row.correct, 2),
        "iou>=0.5_low": round(row.correct_interval[0], 2),
        "iou>=0.5_high": round(row.correct_interval[1], 2),
    }


def _print_table(name: str, what: str, rows: list[LocalizationRow]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ui.printable import printable

    title = f"{escape(printable(name))}: {rows[0].objects:,} {what}, per cent with 95 % intervals"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("found by", no_wrap=True)
    table.add_column("CorLoc" if what == "boxes" else "IoU ≥ 0.5", justify="right", no_wrap=True)
    table.add_column("mean IoU", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.way,
            "{:.1f} ({:.1f}–{:.1f})".format(row.correct, *row.correct_interval),
            "{:.1f} ({:.1f}–{:.1f})".format(row.iou, *row.iou_interval),
        )
    Console().print(table)
