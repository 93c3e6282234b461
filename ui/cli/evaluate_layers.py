"""`cbir eval layers`: which layer, pooling, size and whitening serves a collection best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from indexer.choices import Pooling
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.cli.evaluate import evaluation
from ui.cli.evaluate_classification import (
    KEPT,
    CacheOption,
    DatasetArgument,
    VocListsOption,
    voc_lists_of,
)
from ui.cli.shell import EngineOption, JsonOption, require_choice, say
from ui.cli.stores import stoppable

TaskName = Literal["classification", "retrieval"]
TaskChoice = Literal["both", "classification", "retrieval"]


@evaluation.command()
def layers(
    dataset: DatasetArgument,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="A network, see `cbir backbones`; repeatable.", show_default=DEFAULT_BACKBONE
        ),
    ] = None,
    tap: Annotated[
        list[str] | None,
        typer.Option(help="A tap of the network; repeatable.", show_default="all of the backbone"),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(
            callback=require_choice(get_args(Pooling)),
            metavar=f"<{'|'.join(get_args(Pooling))}>",
            help="How conv maps become vectors; repeatable.",
            show_default="all",
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=32,
            help="Images enter the network at about SIZE × SIZE pixels; repeatable.",
            show_default=str(FeatureSpec.size_px),
        ),
    ] = None,
    whiten: Annotated[
        bool, typer.Option("--whiten/--no-whiten", help="Try PCA whitening, too.")
    ] = True,
    task: Annotated[
        TaskChoice,
        typer.Option(help="What is measured; both as far as the images allow."),
    ] = "both",
    choose_by: Annotated[
        TaskName | None,
        typer.Option(
            help="The task that the recommendation is for.",
            show_default="retrieval where it is measured",
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Write the recommendation here, for cbir index --spec.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help='Write the layer curves as PNG or SVG; it needs pip install "cbir\\[lab]".',
            show_default=False,
        ),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(min=0.05, max=0.95, help="Of images for the test, where there are no splits."),
    ] = 0.5,
    voc_lists: VocListsOption = "train:val",
    cache: CacheOption = True,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare backbones, taps, poolings, input sizes and whitening, and recommend a spec.

    Classification trains a ridge classifier; retrieval ranks by cosine. Settings are chosen on one
    half of the test images or queries and reported on the other. A setting is recommended if it
    beats the default there beyond the 95 % interval.
    """
    from retrieval.evaluation.datasets import find_tasks
    from retrieval.evaluation.layer_study import Grid, LayerStudy, recommend
    from ui.layer_report import print_study, recommendation_row, setting_row, write_spec
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    wanted: tuple[TaskName, ...] = ("retrieval", "classification") if task == "both" else (task,)
    tasks = find_tasks(dataset, wanted, voc_lists=voc_lists_of(voc_lists), test_share=test_share)
    grid = Grid(
        tuple(backbone or [DEFAULT_BACKBONE]),
        tuple(tap or ()),
        cast(tuple[Pooling, ...], tuple(pooling or get_args(Pooling))),
        tuple(size or [FeatureSpec.size_px]),
        whitens=whiten,
        engine=engine,
        cached=cache,
    )
    with stoppable(KEPT), ConsoleProgress() as progress:
        run = LayerStudy(tasks, grid, progress)
        results = []
        for result in run.results():
            results.append(result)
            if as_json:
                say(json.dumps(setting_row(result)))
    for path, reason in sorted(run.failed.items()):
        say(f"Left out {path}: {reason}", err=True)
    found = recommend(results, choose_by or tasks[0].name)
    if as_json:
        say(json.dumps(recommendation_row(found)))
    else:
        print_study(results, found, tasks)
    if spec is not None:
        write_spec(spec, found)
    if plot is not None:
        from ui.charts import plot_layers, save_chart

        save_chart(plot_layers([setting_row(result) for result in results]), plot)
