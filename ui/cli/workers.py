"""Indexing with many workers: the options of `cbir index` for it, and joining."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.indexing import catching_interrupts, reporting_stops, say_report

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.choices import EngineName
    from indexer.features.extractor import FeatureExtractor
    from indexer.features.spec import FeatureSpec
    from indexer.features.whitening import PcaProjection
    from indexer.shard import Shard
    from indexer.store.store import Store

WITH_JOIN = (
    "photos",
    "join",
    "store",
    "catalog",
    "vectors",
    "trust",
    "as_json",
)  # all that goes with --join
PANEL = "Many workers"

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        help="Index only this shard of the files, such as 3/16, the third of sixteen, into a store "
        "of its own; --join makes them one.",
        show_default="as before, or all files",
        rich_help_panel=PANEL,
    ),
]
JoinOption = Annotated[
    bool,
    typer.Option(
        "--join",
        help="Join stores into one: PHOTOS are the stores, --store is the one that they go into. "
        "No photo is read.",
        rich_help_panel=PANEL,
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Describe the photos on the Ray cluster at this address; auto is that of this "
        "machine, which is started if there is none. All machines must have the photos at the same "
        "place. Needs cbir with its extra ray.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


def read_shard(text: str | None) -> Shard | None:
    """Return the shard that a text like 3/16 names; raises `typer.BadParameter`."""
    from indexer.shard import Shard

    try:
        return None if text is None else Shard.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from error


def extractor_on_ray(store: Store, engine: EngineName) -> Callable[[], FeatureExtractor]:
    """Return what loads the extractor of a store in another process."""
    return partial(_load_extractor, store.spec, engine, store.adaptation())


def _load_extractor(
    spec: FeatureSpec, engine: EngineName, adaptation: PcaProjection | None
) -> FeatureExtractor:
    from indexer.features.extractor import FeatureExtractor
    from ui.process import configure_images

    configure_images()
    return FeatureExtractor(spec, engine=engine, adaptation=adaptation)


def join(
    context: typer.Context,
    parts: list[Path] | None,
    store: Path | None,
    *,
    catalog: str | None,
    vectors: str | None,
    as_json: bool,
) -> None:
    """Join stores into one; raises `typer.BadParameter` for options that do not go with that.

    `catalog` and `vectors` are for a new one, see `open_or_create_whole`.
    """
    started = time.monotonic()
    from indexer.join import join_stores
    from indexer.parts import open_or_create_whole, open_parts
    from indexer.store.layout import STORE_NAME
    from indexer.store.places import find_store
    from ui.process import configure_images, raise_file_limit
    from ui.progress import ConsoleProgress

    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in WITH_JOIN:
            raise typer.BadParameter(f"{option.opts[0]} does not go with --join")
    if not parts:
        raise typer.BadParameter("name the stores to be joined", param_hint="PHOTOS")
    configure_images()
    raise_file_limit()
    place = store or find_store() or Path(STORE_NAME)
    with (
        reporting_stops(),
        catching_interrupts() as interrupted,
        open_parts(parts) as opened,
        open_or_create_whole(place, opened, catalog=catalog, vectors=vectors) as whole,
    ):
        with ConsoleProgress() as progress:
            report = join_stores(whole, opened, progress, interrupted)
        report.elapsed_s = time.monotonic() - started
        say_report(report, whole, as_json=as_json)
