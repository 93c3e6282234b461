"""`cbir localize`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from indexer.errors import CbirError
from retrieval.query import Query
from ui.cli.shell import (
    DamagedOption,
    EngineOption,
    JsonOption,
    LimitOption,
    OversizeOption,
    StoreOption,
    app,
    limit_of,
    say,
)
from ui.cli.source import PrivateOption, read_source


@app.command()
def localize(
    image: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="The query image: a file, an http or https URL, or - for standard input.",
        ),
    ],
    target: Annotated[
        str, typer.Argument(help="The image to look in, indexed or not: a file or a URL.")
    ],
    store: StoreOption = None,
    box: Annotated[
        str | None, typer.Option(help="Query with this box X0,Y0,X1,Y1 of the upright image.")
    ] = None,
    context: Annotated[
        float, typer.Option(min=0, max=10, help="Pad the box on each side by this share of it.")
    ] = Query.context,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write box.png, heat.png, mask.png, overlay.png and matches.png into this folder."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Look for the query's keypoints first: they prove the match and outline it.",
        ),
    ] = True,
    max_megapixels: LimitOption = None,
    oversize: OversizeOption = "skip",
    damaged: DamagedOption = "skip",
    allow_private: PrivateOption = False,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show where in one image the query is, and whether that is proved: box, heat map and mask."""
    from indexer.features.regions import Region
    from indexer.images.decode import load_image
    from retrieval.engine import SearchEngine
    from retrieval.localize import localize as find
    from ui.process import configure_images
    from ui.render import points_text, quad_as_list, source_name

    configure_images()
    searcher = SearchEngine.open(store, engine=engine)
    region = None if box is None else Region.parse(box)
    max_pixels = limit_of(searcher.store, max_megapixels)
    asked = Query(
        **read_source(image, allow_private=allow_private),
        box=region,
        context=context,
        search="region",
        verify=verify,
        max_pixels=max_pixels,
        damaged=damaged,
        oversize=oversize,
    )
    there = read_source(target, allow_private=allow_private)
    looked_in = load_image(
        there["path"] if "path" in there else there["data"],
        name=there.get("name"),
        max_pixels=max_pixels,
        damaged=damaged,
        oversize=oversize,
    )
    found = find(searcher.collection, asked, looked_in.image)
    files: dict[str, Path] = {}
    if out is not None:
        from ui.overlay import write_overlays

        try:
            files = write_overlays(out, found)
        except OSError as error:
            raise CbirError(
                f"{error.filename or out} cannot be written: {error.strerror}."
            ) from error
    proof = found.proof
    size = (looked_in.facts.width, looked_in.facts.height)
    place, quad = found.place_in(size)
    pixels = round(float(found.mask.mean()) * size[0] * size[1])
    if as_json:
        answer = {
            "query": {
                "path": source_name(asked),
                "box": list(region.as_tuple()) if region else None,
            },
            "target": there.get("name", target),
            "box": list(place.as_tuple()),
            "score": round(found.score, 6),
            "quad": quad_as_list(quad),
            "inliers": proof.inliers if proof else None,
            "mirrored": proof is not None and proof.mirrored,
            "inverted": proof is not None and proof.inverted,
            "mask_pixels": pixels,
            "files": {name: str(path) for name, path in files.items()},
        }
        say(json.dumps(answer))
        return
    proved = f"proved by {points_text(proof.inliers, proof)}" if proof else "not proved"
    say(f"box {place}  score {found.score:.3f}  {proved}  mask {pixels} pixels")
    for path in files.values():
        say(f"wrote {path}")
