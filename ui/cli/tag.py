"""`cbir tag`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.choices import TAG_THRESHOLD, EngineName
from ui.cli.shell import EngineOption, JsonOption, StoreOption, app, open_store, say, say_csv

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.store.store import Store
    from retrieval.tagging import Tagging

BEST = 3  # of the images that are named
BLOCK = 500  # images whose paths are asked for together


@app.command()
def tag(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Concepts.", show_default="all that were taught"),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="Tag images that show it with at least this probability."),
    ] = TAG_THRESHOLD,
    classes: Annotated[
        bool,
        typer.Option(
            "--classes",
            help="Instead, name the three likeliest of the 1,000 classes that the network knows, "
            "for each image.",
        ),
    ] = False,
    locate: Annotated[
        bool,
        typer.Option(
            "--locate",
            help="Say where in each image the concept is, as a box; with --json or --csv. Each "
            "tagged image is described again.",
        ),
    ] = False,
    store: StoreOption = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the tagged images as CSV.")] = False,
) -> None:
    """Tag the images that show what the store was taught by cbir teach.

    Tags of before are replaced. Images that are added later have no tags until you run it again.
    """
    from retrieval.tagging import tag_images

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if classes and names:
        raise typer.BadParameter("--classes takes no names")
    if locate and not (as_json or as_csv):
        raise typer.BadParameter("--locate needs --json or --csv, which have the boxes")
    opened = open_store(store)
    if classes:
        _print(_classes(opened), ("path", "image_id", "classes"), as_json, as_csv)
        return
    tagged = tag_images(opened, names or (), threshold)
    if as_json or as_csv:
        columns = ("path", "image_id", "tag", "probability", *(["box"] if locate else []))
        boxes = _boxes(opened, tagged, engine) if locate else None
        _print(_rows(opened, tagged, boxes), columns, as_json, as_csv)
    for tagging in tagged:
        say(_sum_up(opened, tagging), err=as_json or as_csv)


def _boxes(
    store: Store, tagged: Sequence[Tagging], engine: EngineName
) -> dict[tuple[str, int], list[int]]:
    """Return the boxes of concepts by name and image; an image that cannot be read has none."""
    from retrieval.collection import Collection
    from retrieval.tagging import locate_tagged
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    collection = Collection(store, engine=engine)
    with ConsoleProgress() as progress:
        return {
            (tagging.name, image_id): list(box.as_tuple())
            for tagging in tagged
            for image_id, box in locate_tagged(collection, tagging, progress).items()
        }


def _rows(
    store: Store,
    tagged: Sequence[Tagging],
    boxes: Mapping[tuple[str, int], list[int]] | None,
) -> Iterator[dict[str, Any]]:
    for tagging in tagged:
        pairs = list(tagging.probabilities.items())
        for start in range(0, len(pairs), BLOCK):
            part = pairs[start : start + BLOCK]
            infos = store.image_infos(image_id for image_id, _ in part)
            for image_id, probability in part:
                row = {
                    "path": str(infos[image_id].path),
                    "image_id": image_id,
                    "tag": tagging.name,
                    "probability": round(probability, 4),
                }
                yield row if boxes is None else row | {"box": boxes.get((tagging.name, image_id))}


def _classes(store: Store) -> Iterator[dict[str, Any]]:
    from retrieval.class_names import classes_of_images

    for image_ids, classes in classes_of_images(store, BLOCK):
        infos = store.image_infos(image_ids)
        for image_id, names in zip(image_ids, classes, strict=True):
            yield {"path": str(infos[image_id].path), "image_id": image_id, "classes": names}


def _print(
    rows: Iterator[dict[str, Any]], columns: Sequence[str], as_json: bool, as_csv: bool
) -> None:
    from ui.printable import printable

    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    if as_csv:
        writer.writeheader()
    for row in rows:
        if as_json:
            say(json.dumps(row))
            continue
        names = ", ".join(row.get("classes", ()))
        if as_csv:
            writer.writerow(row | ({"classes": names} if names else {}))
        else:
            say(f"{printable(row['path'])}: {names}")
    if as_csv:  # paths keep every byte that they have on disk
        say_csv(out.getvalue().encode("utf-8", "surrogateescape"))


def _sum_up(store: Store, tagging: Tagging) -> str:
    from ui.printable import printable
    from ui.render import shorten

    count = len(tagging.probabilities)
    best = [*tagging.probabilities.items()][:BEST]
    infos = store.image_infos(image_id for image_id, _ in best)
    named = [f"{printable(shorten(infos[i].path))} ({p:.2f})" for i, p in best]
    images = "1 image" if count == 1 else f"{count:,} images"
    share = f"{100 * tagging.prior:.1f} % of all probably show it"
    return f"{tagging.name}: {images} tagged; {share}." + (
        f" Best: {', '.join(named)}" if named else ""
    )
