"""What a page shows, without a browser: the data of its components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

import ui

APP = Path(ui.__file__).with_name("app.py")


def new_app() -> AppTest:
    return AppTest.from_file(str(APP), default_timeout=60)


def run_at(app: AppTest, address: dict[str, str | list[str]]) -> AppTest:
    """Run the page at an address, as the browser does when somebody follows a link."""
    app.query_params.clear()
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def data_of(app: AppTest, name: str) -> list[dict[str, Any]]:
    """Return the data of each component of a kind, in order."""
    protos = [element.proto for element in app.get("bidi_component")]
    return [json.loads(p.json) for p in protos if p.component_name == f"cbir_{name}"]


def bar_of(app: AppTest) -> dict[str, Any]:
    [bar] = data_of(app, "bar")
    return bar


def grid_of(app: AppTest) -> dict[str, Any]:
    """Return the data of the last list of images."""
    return data_of(app, "grid")[-1]


def names_of(app: AppTest) -> list[str]:
    """Return the names of the images that are shown, in order."""
    return [row["n"] for row in grid_of(app)["rows"]]


def chips_of(app: AppTest) -> dict[str, str]:
    """Return the addresses without what a chip stands for, by the texts of the chips."""
    return {chip["text"]: chip["href"] for chip in bar_of(app)["chips"]}
