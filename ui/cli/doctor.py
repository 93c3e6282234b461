"""`cbir doctor`: check the store, and mend it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.indexing import catching_interrupts, extractor_loader
from ui.cli.shell import EngineOption, JsonOption, StoreOption, app, say

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.diagnosis import Diagnosis


@app.command()
def doctor(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Mend what is damaged: build indexes again, describe photos again, delete what is "
            "left over. What cannot be mended is said.",
        ),
    ] = False,
    store: StoreOption = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Check everything in the store against its checksums: catalogue, vectors, indexes, photos.

    Nothing is changed without --repair. The exit code is 0 for a store without damage, else 1.
    """
    from indexer.diagnosis import examine
    from indexer.doctor import Doctor
    from indexer.run import IndexingStopped
    from indexer.store.places import require_store
    from ui.progress import ConsoleProgress

    place = require_store(store)
    done: list[str] = []
    try:
        with catching_interrupts() as interrupted, ConsoleProgress() as progress:
            found = examine(place, progress)
            first = found
            if repair and not found.is_clean:
                mender = Doctor(
                    lambda opened: extractor_loader(opened, engine), progress, interrupted
                )
                mended = mender.repair(place, found)
                done, found = mended.done, mended.after
    except (KeyboardInterrupt, IndexingStopped) as stop:
        say("Stopped. Nothing is lost; run it again to continue.", err=True)
        raise typer.Exit(130) from stop
    if as_json:
        say(json.dumps(_as_dict(place, first, done, found)))
    else:
        _print(place, first, done, found)
    if not found.is_sound:
        raise typer.Exit(1)


def _as_dict(place: Path, first: Diagnosis, done: list[str], last: Diagnosis) -> dict[str, object]:
    return {
        "store": str(place),
        "sound": last.is_sound,
        "images": last.images,
        "vectors": last.vectors,
        "findings": [dataclasses.asdict(finding) for finding in first.findings],
        "done": done,
        "left": [dataclasses.asdict(finding) for finding in last.findings] if done else [],
    }


def _print(place: Path, first: Diagnosis, done: list[str], last: Diagnosis) -> None:
    for finding in first.findings:
        say(f"{finding.gravity}: {finding.what}")
    for line in done:
        say(f"repair: {line}")
    if done:
        for finding in last.findings:
            say(f"left: {finding.gravity}: {finding.what}")
    if last.is_clean:
        say(f"The store at {place} is sound: {last.images:,} images, {last.vectors:,} vectors.")
    if not (last.is_clean or done):
        say(f"Mend it with: cbir doctor --repair --store {place}")
