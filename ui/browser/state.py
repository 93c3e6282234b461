"""What the user asks for: kept in the session, mirrored in the URL, turned into queries."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from indexer.choices import TapKind
from indexer.errors import CbirError
from indexer.features.regions import Region
from indexer.image_set import ImageSet
from indexer.images.decode import load_image
from indexer.images.facts import ImageFacts
from indexer.sources.place import named
from indexer.store.filters import ImageFilter
from retrieval.query import Hit, Query
from ui.browser import further
from ui.browser.session import allowed_ids, require_wanted, session, tag_counts, turn
from ui.further import FurtherFeature, with_further
from ui.gallery import as_jpeg

UPLOAD_PIXELS = 100_000_000
QUERY_PX = 720
PAGE_HITS = 24
HIT_BYTES = 2_000  # about what Python takes for a hit and its path
DEPTHS = (96, 480)  # how many hits are asked for, by how far the user pages
IN_URL = ("image", "text", "box", "page", *further.IN_URL)  # the rest belongs to bound widgets


@dataclass(frozen=True)
class Upload:
    """An image that the user uploaded: it stays in memory and is never written to disk.

    `preview` is a JPEG for the panel.
    """

    data: bytes
    name: str
    facts: ImageFacts
    preview: bytes


def start() -> None:
    """Read the query from the URL, once a visit."""
    if "started" in st.session_state:
        return
    st.session_state.started = True
    st.session_state.labels = {}
    st.session_state.upload = None
    st.session_state.error = ""
    st.session_state.image = st.session_state.box = st.session_state.text = None
    st.session_state.page = 1
    st.session_state.where_applied = st.session_state.where_error = ""
    st.session_state.further = {}
    parameters = st.query_params
    try:
        if "image" in parameters:
            text = parameters["image"]
            if not _is_number(text):
                raise CbirError(f"{text!r} is not the number of an image in this collection.")
            session().gallery.info(int(text))
            st.session_state.image = int(text)
            if "box" in parameters:
                take_box(Region.parse(parameters["box"]))
        elif "text" in parameters:
            take_text(parameters["text"])
        further.start()
        if _is_number(parameters.get("page", "1")):
            st.session_state.page = max(1, int(parameters.get("page", "1")))
    except CbirError as error:
        st.session_state.error = str(error)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def write_url() -> None:
    """Put the query into the URL, so that it can be bookmarked."""
    image = st.session_state.image
    text = st.session_state.text
    box = st.session_state.box if image is not None else None
    values = {"image": image, "text": text, "box": box, **further.in_url()}
    named = image is not None or text is not None
    values["page"] = st.session_state.page if named and st.session_state.page > 1 else None
    for name in IN_URL:
        if values[name] is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != str(values[name]):
            st.query_params[name] = str(values[name])


def has_query() -> bool:
    """Whether there is something to search for."""
    return has_image() or st.session_state.text is not None


def has_image() -> bool:
    """Whether there is a query image."""
    return st.session_state.image is not None or st.session_state.upload is not None


def take_text(text: str) -> None:
    """Make a word the query, in place of an image; an empty one clears it."""
    text = text.strip()
    drop_query()
    if text:
        st.session_state.text = st.session_state.text_typed = text


def take_image(image_id: int, box: Region | None = None) -> None:
    """Make an indexed image, or a box in it, the query."""
    st.session_state.image, st.session_state.upload = image_id, None
    st.session_state.labels = {}
    further.clear()
    _new_box(box)


def take_upload(data: bytes, name: str) -> None:
    """Make an uploaded image the query; an unusable one sets an error message."""
    try:
        with turn():
            loaded = load_image(
                data, at_least=QUERY_PX, max_pixels=UPLOAD_PIXELS, name=name, damaged="take"
            )
    except CbirError as error:
        st.session_state.error = str(error).split("; raise it with --max-megapixels")[0]
        return
    picture = loaded.image
    picture.thumbnail((QUERY_PX, QUERY_PX))
    preview = as_jpeg(picture)
    st.session_state.upload, st.session_state.image = (
        Upload(data, name, loaded.facts, preview),
        None,
    )
    st.session_state.labels = {}
    further.clear()
    _new_box(None)


def drop_query() -> None:
    """Clear the query image."""
    st.session_state.image = st.session_state.upload = None
    st.session_state.labels = {}
    further.clear()
    _new_box(None)


def take_box(box: Region | None) -> None:
    """Query with a box of the image, or with all of it; an invalid box sets an error message."""
    if box is not None:
        try:
            box.require_inside(*query_size())
        except CbirError as error:
            st.session_state.error = str(error)
            return
    _new_box(box)


def _new_box(box: Region | None) -> None:
    st.session_state.box = box
    st.session_state.box_text = "" if box is None else str(box)
    st.session_state.page = 1
    st.session_state.error = ""
    st.session_state.text = None
    st.session_state.text_typed = ""


def to_first_page() -> None:
    """Show the first hits again: what is asked has changed."""
    st.session_state.page = 1


def query_size() -> tuple[int, int]:
    """Return width and height of the query image, in pixels of the upright original."""
    upload: Upload | None = st.session_state.upload
    if upload is not None:
        return upload.facts.width, upload.facts.height
    info = session().gallery.info(st.session_state.image)
    return info.width, info.height


def wanted_images() -> ImageFilter:
    """Return the filter that the user set."""
    values, folder = st.session_state, st.session_state.get("folder")
    since, until = values.get("since"), values.get("until")
    return ImageFilter(
        folder=named(folder) if folder else None,
        name=(values.get("name") or "").strip(),
        since=since if isinstance(since, dt.date) else None,
        until=until if isinstance(until, dt.date) else None,
        tags=tuple(tag for tag in values.get("tags") or () if tag in tag_counts()),
        where=values.where_applied,
    )


def further_word() -> str:
    """Return the word that is asked with beside an image; empty if none is."""
    return (st.session_state.get("also_text") or "").strip() if has_image() else ""


def make_query(**changes: Any) -> Query:
    """Return the query as the panel shows it, with some of its fields changed.

    Of a word only the number of hits can be changed.
    """
    values = st.session_state
    spec = session().spec
    allowed, depth = _allowed(), _depth()
    if values.text is not None:
        k = changes.get("k", depth)
        return Query.for_store(spec, text=values.text, k=k, allowed=allowed)
    by_region = values.get("search") == "region" and spec.regions != "none"
    features = _features()
    fields: dict[str, Any] = {
        "image_id": values.image,
        "data": values.upload.data if values.upload is not None else None,
        "box": values.box,
        "feature": "conv" if by_region else features[0],
        "search": "region" if by_region else "image",
        "turns": bool(values.get("turns")),
        "verify": bool(values.get("verify")),
        "rerank": by_region and bool(values.get("rerank")),
        "k": depth,
        "allowed": allowed,
        "damaged": "take",  # the user sees what was uploaded
    }
    return Query.for_store(spec, **(fields | changes))


def make_whole_query() -> Query:
    """Return the query as the panel and the chips show it: with further photos, words, features.

    Photos beside a word are asked with as images with a word beside them.
    """
    spec, images = session().spec, further.images()
    if st.session_state.text is None:
        word = further_word()
        query = make_query()
        by_region = query.search == "region"
        more = [] if by_region else [FurtherFeature(name) for name in _features()[1:]]
        words = [(word, 1.0)] if word else []
        return with_further(spec, query, images=images, features=more, words=words)
    if not images:
        return make_query()
    (first, _), *others = sorted(images, key=lambda further: further[1] < 0)
    query = Query.for_store(spec, **first, k=_depth(), allowed=_allowed())
    return with_further(spec, query, images=others, words=[(st.session_state.text, 1.0)])


def _features() -> tuple[TapKind, ...]:
    """Return the features of whole images that are chosen."""
    chosen = st.session_state.get("feature")
    if chosen == "both":
        return ("conv", "fc")
    return ("fc",) if chosen == "fc" else ("conv",)


def _allowed() -> ImageSet | None:
    wanted = wanted_images()
    return allowed_ids(wanted) if wanted else None


def _depth() -> int:
    """Return how many hits to ask for, by how far the user pages."""
    return DEPTHS[0] if st.session_state.page * PAGE_HITS <= DEPTHS[0] else DEPTHS[1]


def search(query: Query) -> list[Hit]:
    """Return the hits of a query, once it is this visitor's turn; the last ones are kept."""
    shared = session()

    def ask() -> list[Hit]:
        with turn():
            return shared.engine.search(query, require_wanted=require_wanted)

    key = shared.as_of_now("hits", without_data(query))
    return shared.kept.get(key, ask, lambda hits: HIT_BYTES * len(hits))


def without_data(query: Query) -> Query:
    """Return a query with a digest of its image in place of the image, to keep something by."""
    if query.data is None:
        return query
    return replace(query, data=hashlib.sha256(query.data).digest())
