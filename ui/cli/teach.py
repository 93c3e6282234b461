"""`cbir teach`: concepts from examples, and what the store was taught before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.choices import TapKind
from indexer.errors import CbirError, InvalidConceptError, InvalidLabelsError
from retrieval.query import Query
from ui.cli.shell import EngineOption, JsonOption, StoreOption, app, open_store, say

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.store.store import Store
    from retrieval.concepts import Concept
    from retrieval.examples import Examples

EXAMPLES = "Examples to learn from"
KEPT = "What was taught before"


@app.command()
def teach(
    name: Annotated[
        str | None, typer.Argument(help="The name of the concept, which becomes the tag.")
    ] = None,
    positive: Annotated[
        list[Path] | None,
        typer.Option(
            help="An image that shows it, or a folder of such; give it as often as you like.",
            rich_help_panel=EXAMPLES,
        ),
    ] = None,
    negative: Annotated[
        list[Path] | None,
        typer.Option(
            help="An image that does not show it, or a folder of such.",
            show_default="500 images of the store, drawn by chance",
            rich_help_panel=EXAMPLES,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels that were saved on the Teach page of cbir ui.", rich_help_panel=EXAMPLES
        ),
    ] = None,
    feature: Annotated[
        TapKind,
        typer.Option(
            help="Learn from conv (appearance) or fc (kind of content) features.",
            rich_help_panel=EXAMPLES,
        ),
    ] = Query.feature,
    seed: Annotated[
        int, typer.Option(min=0, help="Of what is drawn by chance.", rich_help_panel=EXAMPLES)
    ] = 0,
    list_all: Annotated[
        bool, typer.Option("--list", help="List the concepts.", rich_help_panel=KEPT)
    ] = False,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="Forget the concept and its tags.", rich_help_panel=KEPT),
    ] = False,
    rename_to: Annotated[
        str | None,
        typer.Option(
            "--rename",
            metavar="<name>",
            help="Give the concept and its tags this name.",
            rich_help_panel=KEPT,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the concept to this file, as JSON.", rich_help_panel=KEPT),
    ] = None,
    import_from: Annotated[
        Path | None,
        typer.Option(
            "--import",
            help="Take a concept from such a file, under its own name or this one.",
            rich_help_panel=KEPT,
        ),
    ] = None,
    store: StoreOption = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Teach the store what something looks like, by images that show it; then run cbir tag.

    Images of the store count as they are stored; others are described and not added. A name that
    is taught again is replaced, and its tags go.
    """
    from ui.process import configure_images

    examples = bool(positive or negative or labels)
    given = [option is not None for option in (rename_to, export, import_from)]
    if sum([examples, list_all, delete, *given]) != 1:
        raise typer.BadParameter(
            "give examples (--positive, --labels), or one of --list, --delete, --rename, --export "
            "and --import"
        )
    if list_all:
        _list(open_store(store), as_json)
        return
    if import_from is not None:
        _import(open_store(store), import_from, name, as_json)
        return
    if name is None:
        raise typer.BadParameter("the name of the concept is missing", param_hint="NAME")
    if delete:
        _delete(open_store(store), name, as_json)
    elif rename_to is not None:
        _rename(open_store(store), name, rename_to, as_json)
    elif export is not None:
        _export(open_store(store), name, export, as_json)
    else:
        configure_images()
        wanted = {"positives": positive or (), "negatives": negative or (), "seed": seed}
        _teach(open_store(store), name, wanted, labels, feature, engine, as_json)


def _teach(
    store: Store,
    name: str,
    wanted: dict[str, Any],
    labels: Path | None,
    feature: TapKind,
    engine: Any,
    as_json: bool,
) -> None:
    from retrieval.collection import Collection
    from retrieval.concepts import check_name
    from retrieval.examples import ExamplePaths
    from retrieval.tagging import teach as learn

    check_name(name)  # before images are described
    if labels is not None:
        wanted["labels"] = _read_labels(store, labels)
    collection = Collection(store, engine=engine)
    concept, found = learn(store, name, collection, ExamplePaths(**wanted), feature)
    for path, reason in found.failed:
        say(f"Left out {path}: {reason}", err=True)
    if as_json:
        failed = [{"path": path, "reason": reason} for path, reason in found.failed]
        drawn = concept.negatives - found.negatives_given
        row = _as_dict(concept) | {"drawn": drawn, "failed": failed}
        say(json.dumps(row))
    else:
        _print_lesson(concept, found)


def _print_lesson(concept: Concept, found: Examples) -> None:
    say(
        f"Taught {concept.name!r} from {concept.positives} positive and {concept.negatives} "
        f"negative examples. Left out one by one, {concept.accuracy:.0%} of them are told right."
    )
    if found.drawn.any():
        drawn = concept.negatives - found.negatives_given
        left_out = int(found.drawn.sum()) - drawn
        but = f", without {left_out} that look like positives" if left_out else ""
        say(
            f"{drawn} of the negatives are images of the store, drawn by chance{but}; give "
            "--negative to choose them."
        )
    if not concept.is_informed:
        say(
            "That is no better than chance: give more examples, or choose another --feature.",
            err=True,
        )
    say(f"Tag the images that show it with: cbir tag {concept.name!r}")


def _read_labels(store: Store, file: Path) -> dict[int, bool]:
    from retrieval.labels import load_labels

    try:
        labels, unknown = load_labels(store, file.read_bytes())
    except OSError as error:
        raise InvalidLabelsError(f"{file} cannot be read: {error.strerror}.") from error
    for path in unknown:
        say(f"Left out {path}: it is not in the store", err=True)
    return labels


def _list(store: Store, as_json: bool) -> None:
    from indexer.store.tags import count_tags
    from retrieval.tagging import known_concepts

    counts = count_tags(store)
    concepts = known_concepts(store)
    for concept in concepts:
        count = counts[concept.name]
        fits = concept.fingerprint == store.spec.image_fingerprint
        if as_json:
            say(json.dumps(_as_dict(concept) | {"tagged": count, "fits": fits}))
            continue
        say(
            f"{concept.name}: {count:,} images tagged; from {concept.positives} positive and "
            f"{concept.negatives} negative examples by {concept.feature}, "
            f"{concept.accuracy:.0%} told right{'' if fits else '; does not fit this store'}"
        )
    if not concepts and not as_json:
        say("The store was taught nothing yet: cbir teach NAME --positive PHOTOS")


def _as_dict(concept: Concept) -> dict[str, Any]:
    return {
        "name": concept.name,
        "feature": concept.feature,
        "positives": concept.positives,
        "negatives": concept.negatives,
        "accuracy": round(concept.accuracy, 4),
    }


def _delete(store: Store, name: str, as_json: bool) -> None:
    from indexer.store.tags import delete_concept

    with store.writing():
        delete_concept(store, name)
    say(json.dumps({"deleted": name}) if as_json else f"Forgot {name!r} and its tags.")


def _rename(store: Store, name: str, new_name: str, as_json: bool) -> None:
    from retrieval.tagging import rename

    new_name = rename(store, name, new_name)
    row = {"renamed": name, "to": new_name}
    say(json.dumps(row) if as_json else f"{name!r} and its tags are now called {new_name!r}.")


def _export(store: Store, name: str, file: Path, as_json: bool) -> None:
    from retrieval.concept_files import dump_concept
    from retrieval.tagging import known_concepts

    [concept] = known_concepts(store, [name])
    try:
        file.write_text(dump_concept(concept) + "\n", "utf-8")
    except OSError as error:
        raise CbirError(f"{file} cannot be written: {error.strerror}.") from error
    say(json.dumps({"name": name, "file": str(file)}) if as_json else f"Wrote {file}")


def _import(store: Store, file: Path, name: str | None, as_json: bool) -> None:
    from dataclasses import replace

    from retrieval.concept_files import MAX_BYTES, load_concept
    from retrieval.concepts import check_name
    from retrieval.tagging import keep_concept

    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidConceptError(f"{file} cannot be read: {error.strerror}.") from error
    concept = load_concept(data)
    if name is not None:
        concept = replace(concept, name=check_name(name))
    keep_concept(store, concept)
    if as_json:
        say(json.dumps(_as_dict(concept)))
    else:
        say(f"Took over {concept.name!r}. Tag with: cbir tag {concept.name!r}")
