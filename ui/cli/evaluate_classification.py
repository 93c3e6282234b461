"""`cbir eval classify`: how well features tell classes apart, on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import typer

from indexer.choices import Pooling
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.cli.evaluate import evaluation
from ui.cli.shell import EngineOption, JsonOption, require_choice, say
from ui.cli.stores import stoppable

ProbeName = Literal["svm", "logistic", "ridge"]
FigureName = Literal["accuracy", "mAP", "AUC"]
Baseline = Literal["colours", "bow", "fisher", "scratch"]
Architecture = Literal["vgg16", "efficientnet_lite0"]


def _either(choices: Any) -> str:
    return f"<{'|'.join(get_args(choices))}>"


KEPT = "Features that were computed are kept; run it again to continue."
FEATURES, TRAINING, OUTPUT = "Features", "Training and test", "Output"

DatasetArgument = Annotated[
    Path,
    typer.Argument(
        help="Labelled images: a folder with a folder of images for each class, PASCAL VOC in its "
        "own layout, a manifest (.json) with labels and splits, or a CSV file with path, label and "
        "perhaps split. VOC2007, where there is no such file, is fetched by torchvision.",
        show_default=False,
    ),
]
VocListsOption = Annotated[
    str,
    typer.Option(help="The lists of PASCAL VOC for training and test.", rich_help_panel=TRAINING),
]
CacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep features in the user's cache folder (or CBIR_CACHE), so that they are computed "
        "once, and a run that was stopped goes on.",
        rich_help_panel=FEATURES,
    ),
]


@evaluation.command()
def classify(
    dataset: DatasetArgument,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="A network, see `cbir backbones`; repeatable.",
            show_default=DEFAULT_BACKBONE,
            rich_help_panel=FEATURES,
        ),
    ] = None,
    tap: Annotated[
        list[str] | None,
        typer.Option(
            help="A tap of the network; repeatable.",
            show_default="all of the backbone",
            rich_help_panel=FEATURES,
        ),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(
            callback=require_choice(get_args(Pooling)),
            metavar=_either(Pooling),
            help="How conv maps become vectors; repeatable.",
            show_default=FeatureSpec.pooling,
            rich_help_panel=FEATURES,
        ),
    ] = None,
    joined: Annotated[
        bool,
        typer.Option(
            "--joined/--no-joined",
            help="Try the default conv and fc tap side by side, too.",
            rich_help_panel=FEATURES,
        ),
    ] = True,
    size: Annotated[
        int,
        typer.Option(
            min=32,
            help="Images enter the network at about SIZE × SIZE pixels.",
            rich_help_panel=FEATURES,
        ),
    ] = FeatureSpec.size_px,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Take the vectors that this store holds of the images, instead of computing any.",
            show_default=False,
            rich_help_panel=FEATURES,
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            callback=require_choice(get_args(Baseline)),
            metavar=_either(Baseline),
            help="What to compare with: colours (a histogram), bow (a bag of words), fisher "
            "(Fisher vectors) or scratch (a network from random weights; slow without a GPU); "
            "repeatable.",
            show_default="colours",
            rich_help_panel=FEATURES,
        ),
    ] = None,
    scratch_network: Annotated[
        Architecture | None,
        typer.Option(
            help="What is trained from scratch.",
            show_default="vgg16 on a GPU, else efficientnet_lite0",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    scratch_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For how many epochs.",
            show_default="120 on a GPU, else 10",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    model: Annotated[
        ProbeName,
        typer.Option(
            help="The linear model: SVM, logistic regression or ridge.", rich_help_panel=TRAINING
        ),
    ] = "svm",
    figure: Annotated[
        FigureName | None,
        typer.Option(
            help="What is measured.",
            show_default="accuracy where images have one label, else mAP",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    per_class: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Train on so many images a class, too, for a learning curve; repeatable.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(
            min=0.05,
            max=0.95,
            help="For the test, where there are no splits.",
            rich_help_panel=TRAINING,
        ),
    ] = 0.5,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Cross-validate: each image is scored by a model that was trained on the other "
            "folds, whatever the splits.",
            show_default="none",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    voc_lists: VocListsOption = "train:val",
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Repeat with so many seeds what is chosen by chance, and report the mean.",
            rich_help_panel=TRAINING,
        ),
    ] = 1,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with the table, its plots, the confusion matrix and the most "
            "confident mistakes as pictures.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            help="Write the confusion matrix of the best features as CSV.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Write the plot of the figures, or the learning curves, as PNG or SVG; it needs "
            'pip install "cbir\\[lab]".',
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cache: CacheOption = True,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train linear models on frozen features, and test them: which layer tells your classes apart?

    Each figure comes with its 95 % interval (bootstrap over the test images). The regularisation
    is chosen by cross-validation on the training images alone. Ctrl-C is safe: features that are
    computed are kept.
    """
    from retrieval.evaluation.contenders import ScratchChoice
    from retrieval.evaluation.experiment import Experiment, ExperimentRun
    from ui.classification_report import as_row, print_table, write_confusion, write_page
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    experiment = Experiment(
        dataset,
        tuple(backbone or [DEFAULT_BACKBONE]),
        tuple(tap or ()),
        cast(tuple[Pooling, ...], tuple(pooling or [FeatureSpec.pooling])),
        joined=joined,
        size_px=size,
        store=store,
        baselines=cast(tuple[Baseline, ...], tuple(baseline or ["colours"])),
        scratch=ScratchChoice(scratch_network, scratch_epochs),
        model=model,
        figure=figure,
        per_class=tuple(per_class or ()),
        test_share=test_share,
        folds=folds,
        voc_lists=voc_lists_of(voc_lists),
        seeds=seeds,
        cached=cache,
        engine=engine,
    )
    with stoppable(KEPT), ConsoleProgress() as progress:
        run = ExperimentRun(experiment, progress)
        for path, reason in run.failed:
            say(f"Left out {path}: {reason}", err=True)
        results = []
        for result in run.results():
            results.append(result)
            if as_json:
                say(json.dumps(as_row(result, run.images.name, model, run.figure)))
    if not as_json:
        print_table(results, run.images, run.figure)
    if html is not None:
        write_page(html, results, run.images.name, run.figure)
    if confusion is not None:
        write_confusion(confusion, results)
    if plot is not None:
        from ui.charts import plot_results, save_chart

        save_chart(
            plot_results([as_row(r, run.images.name, model, run.figure) for r in results]), plot
        )


def voc_lists_of(text: str) -> tuple[str, str]:
    """Return the names of the two lists; raises `typer.BadParameter`."""
    train, colon, test = text.partition(":")
    if not (train and colon and test):
        raise typer.BadParameter(f"{text!r} is not like train:val", param_hint="--voc-lists")
    return train, test
