"""`cbir eval classify`: how well features tell classes apart, on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from indexer.choices import Pooling
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.cli.evaluate import evaluation
from ui.cli.shell import EngineOption, JsonOption

if TYPE_CHECKING:  # loaded when the command runs
    from retrieval.evaluation.labelled import LabelledImages
    from retrieval.evaluation.tap_features import TapFeatures

ProbeName = Literal["svm", "logistic", "ridge"]


@evaluation.command()
def classify(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Labelled images: a folder with a folder of images for each class, PASCAL VOC in "
            "its own layout, a manifest (.json) with labels and splits, or a CSV file with path, "
            "label and perhaps split."
        ),
    ],
    backbone: Annotated[
        list[str] | None,
        typer.Option(help="A network, see `cbir backbones`.", show_default=DEFAULT_BACKBONE),
    ] = None,
    tap: Annotated[
        list[str] | None,
        typer.Option(help="A tap of the network.", show_default="all of the backbone"),
    ] = None,
    pooling: Annotated[
        Pooling, typer.Option(help="How conv maps become vectors.")
    ] = FeatureSpec.pooling,
    model: Annotated[
        ProbeName, typer.Option(help="The linear model: SVM, logistic regression or ridge.")
    ] = "svm",
    per_class: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Train on so many images a class, for a learning curve.", show_default="all"
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, help="Images enter the network at about SIZE × SIZE pixels.")
    ] = FeatureSpec.size_px,
    test_share: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="For the test, where there are no splits.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="Of all that is chosen by chance.")] = 0,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train linear models on frozen features, and test them: which layer tells your classes apart?

    Images of one label are judged by accuracy, of several by mean average precision. Each figure
    comes with its 95 % interval (bootstrap over the test images).
    """
    from indexer.features.registry import get_backbone
    from retrieval.evaluation.labelled import read_labelled
    from retrieval.evaluation.tap_features import describe_taps
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    images = read_labelled(dataset, test_share=test_share, seed=seed)
    rows: list[dict[str, Any]] = []
    names = backbone or [DEFAULT_BACKBONE]
    for name in names:
        network = get_backbone(name)
        taps = tap or list(network.taps)
        with ConsoleProgress() as progress:
            features = describe_taps(
                images.paths,
                network,
                taps,
                [pooling],
                size_px=size,
                engine=engine,
                progress=progress,
            )
        for path, reason in features.failed:
            typer.echo(f"Left out {path}: {reason}", err=True)
        counts: list[int | None] = [*per_class] if per_class else [None]
        for count in counts:
            is_first = name == names[0]
            rows += _fit_all(
                name, images, features, model, count, seed, as_json, with_colours=is_first
            )
    if not as_json:
        _print_table(images, rows)


def _fit_all(
    backbone: str,
    images: LabelledImages,
    features: TapFeatures,
    model: ProbeName,
    per_class: int | None,
    seed: int,
    as_json: bool,
    *,
    with_colours: bool,
) -> list[dict[str, Any]]:
    """Return a row for each kind of features; with JSON, print each at once."""
    from retrieval.evaluation.probes import fit_probe, sample_training_rows
    from retrieval.evaluation.tap_features import COLOURS

    train = sample_training_rows(images, features.usable, per_class, seed)
    rows = []
    for name, vectors in features.vectors.items():
        if name == COLOURS and not with_colours:
            continue
        found = fit_probe(vectors, images, train, model, seed=seed)
        row = {
            "dataset": images.name,
            "backbone": None if name == COLOURS else backbone,
            "features": name,
            "dimension": vectors.shape[1],
            "model": model,
            "training_images": len(train),
            "per_class": per_class,
            "accuracy" if images.exclusive else "mAP": round(found.figure, 2),
            "low": round(found.low, 2),
            "high": round(found.high, 2),
            "mAP_11_points": found.eleven_points and round(found.eleven_points, 2),
            "regularisation": found.strength,
        }
        if as_json:
            typer.echo(json.dumps(row))
        rows.append(row)
    return rows


def _print_table(images: LabelledImages, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    figure = "accuracy" if images.exclusive else "mAP"
    test = int((~images.is_train).sum())
    title = f"{escape(images.name)}: {len(images.classes)} classes, {test} test images"
    table = Table(title=title, title_justify="left")
    for name in ("backbone", "features"):
        table.add_column(name, no_wrap=True)
    for name in ("trained on", f"{figure} %", "95 % interval"):
        table.add_column(name, justify="right")
    if not images.exclusive:
        table.add_column("11 points", justify="right")
    for row in sorted(rows, key=lambda row: (row["training_images"], -row[figure])):
        points = row["mAP_11_points"]
        table.add_row(
            row["backbone"] or "",
            row["features"],
            str(row["training_images"]),
            f"{row[figure]:.1f}",
            f"{row['low']:.1f}–{row['high']:.1f}",
            *([] if points is None else [f"{points:.1f}"]),
        )
    Console().print(table)
