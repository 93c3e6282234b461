"""The components of the pages, such as the bar above and lists of images; see ui/frontend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from ui.scripts import script_path

# The script is fetched once, and kept by the browser: a page sends no more than its data.
LOADER = """
const bundle = import(new URL("%s", location.origin).href);
export default (component) => {
  let end, ended = false;
  bundle.then((made) => { if (!ended) end = made.%s(component); }, () => {
    component.parentElement.textContent = "This part of the page did not arrive. Reload the page.";
  });
  return () => { ended = true; end?.(); };
};
"""


def bar(data: dict[str, Any]) -> None:
    """Draw the bar above the page; `data` is `BarData` of ui/frontend/src/bar.tsx."""
    _component("bar")(key="bar", data=data)


def grid(data: dict[str, Any], key: str) -> None:
    """Draw a list of images; `data` is `GridData` of ui/frontend/src/grid.tsx."""
    _component("grid")(key=key, data=data)


def teaching(data: dict[str, Any], key: str, *, on_asked: Callable[[], None]) -> None:
    """Draw what teaches; `data` is `TeachingData` of ui/frontend/src/teaching.tsx.

    `on_asked` is called where it asks for something; `asked_of` returns what.
    """
    _component("teaching")(key=key, data=data, on_asked_change=on_asked)


def twin(data: dict[str, Any], key: str) -> None:
    """Draw one picture of a group of duplicates; `data` is `TwinData` of twin.tsx."""
    _component("twin")(key=key, data=data)


def collection(data: dict[str, Any]) -> None:
    """Draw the head of the collection; `data` is `CollectionData` of collection.tsx.

    The page is drawn again when a job ends.
    """
    _component("collection")(key="collection", data=data, on_ended_change=lambda: None)


def collection_map(data: dict[str, Any]) -> None:
    """Draw the map; `data` is `MapData` of map.tsx."""
    _component("map")(key="map", data=data)


def files(data: dict[str, Any]) -> None:
    """Draw the files with problems; `data` is `FilesData` of files.tsx."""
    _component("files")(key="files", data=data)


def jobs(data: dict[str, Any]) -> None:
    """Draw the jobs; `data` is `JobsData` of jobs.tsx."""
    _component("jobs")(key="jobs", data=data)


def asked_of(key: str) -> dict[str, Any]:
    """Return what a component has just asked for."""
    state = st.session_state.get(key)
    asked = state.get("asked") if state else None
    return dict(asked) if asked else {}


def labels_in(asked: Mapping[str, Any]) -> dict[int, bool]:
    """Return the labels that go along with what a component asks for, by the ids of images."""
    given = asked.get("labels") or {}
    return {
        int(image_id): right
        for image_id, right in given.items()
        if str(image_id).isdigit() and isinstance(right, bool)
    }


def _component(name: str) -> Callable[..., Any]:
    made: Callable[..., Any] = st.components.v2.component(
        f"cbir_{name}", js=LOADER % (script_path("cbir"), name)
    )
    return made
