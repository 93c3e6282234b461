"""Where a query lies in a hit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from retrieval.collection import Collection
from retrieval.correspondences import Correspondences, find_correspondences
from retrieval.localize import Localization, localize
from retrieval.query import Query
from tests.ui.page_routes.conftest import Fetched

PART = (120, 30, 360, 210)  # of the astronaut, in pixels of the photo that is indexed


def located(fetched: Fetched, hit: str, what: str, **asked: Any) -> Any:
    parameters = {"hit": fetched.id_of(hit), "what": what, **asked}
    return fetched.http.get("/page/located", params=parameters)


def layer(fetched: Fetched, what: str, **asked: Any) -> Image.Image:
    answer = located(fetched, "astronaut.png", what, **asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    found = Image.open(io.BytesIO(answer.content))
    assert found.mode == "RGBA"
    assert found.width / found.height == pytest.approx(480 / 360, abs=0.01)
    return found


def test_heat_lies_where_the_query_is(fetched: Fetched) -> None:
    part = fetched.id_of("trips/2019/part.png")
    found = layer(fetched, "heat.png", image=part, verify="yes")
    opacity = np.asarray(found)[:, :, 3].astype(float)
    scale = found.width / 480
    x0, y0, x1, y1 = (round(edge * scale) for edge in PART)
    assert opacity[y0:y1, x0:x1].mean() > 2 * opacity.mean()
    assert opacity.min() == 0


def test_what_lies_outside_the_query_is_darkened(fetched: Fetched) -> None:
    part = fetched.id_of("trips/2019/part.png")
    found = layer(fetched, "mask.png", image=part, verify="yes", search="region")
    opacity = np.asarray(found)[:, :, 3]
    scale = found.width / 480
    x0, y0, x1, y1 = (round(edge * scale) for edge in PART)
    assert opacity[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].max() == 0
    assert opacity[: y0 - 8].min() == opacity.max() > 100
    assert set(np.unique(np.asarray(found)[:, :, :3])) == {0}


def test_heat_and_mask_that_are_asked_for_at_once_are_found_once(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Query] = []

    def counting(collection: Collection, query: Query, *given: Any, **named: Any) -> Localization:
        found.append(query)
        return localize(collection, query, *given, **named)

    monkeypatch.setattr("ui.page_routes.located.localize", counting)
    asked = {"image": fetched.id_of("coffee.png"), "hit": fetched.id_of("rocket.png")}
    paths = [f"/page/located?{urlencode(asked)}&what={what}" for what in ("heat.png", "mask.png")]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(fetched.http.get, paths * 2))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(found) == 1


def test_points_lie_in_both_pictures(fetched: Fetched) -> None:
    part = fetched.id_of("trips/2019/part.png")
    found = located(
        fetched, "astronaut.png", "matches.json", image=part, verify="yes", search="region"
    ).json()
    assert (found["proved"], found["mirrored"]) == (True, False)
    assert np.abs(np.array(found["box"]) - PART).max() <= 4
    corners = [(PART[0], PART[1]), (PART[2], PART[1]), (PART[2], PART[3]), (PART[0], PART[3])]
    assert np.abs(np.array(found["quad"]) - corners).max() <= 4
    shares = np.array(found["matches"])
    assert len(shares) >= 8
    expected_x = (PART[0] + shares[:, 0] * 240) / 480
    expected_y = (PART[1] + shares[:, 1] * 180) / 360
    assert np.abs(shares[:, 2] - expected_x).max() < 0.02
    assert np.abs(shares[:, 3] - expected_y).max() < 0.02


def test_of_a_box_points_are_in_shares_of_the_whole_query(fetched: Fetched) -> None:
    whole = fetched.id_of("astronaut.png")
    box = ",".join(map(str, PART))
    found = located(fetched, "trips/2019/part.png", "matches.json", image=whole, box=box).json()
    shares = np.array(found["matches"])
    assert found["proved"] is True
    expected_x = (PART[0] + shares[:, 2] * 240) / 480
    assert np.abs(shares[:, 0] - expected_x).max() < 0.02


def test_of_several_boxes_the_one_that_found_the_hit_is_located(fetched: Fetched) -> None:
    whole = fetched.id_of("astronaut.png")
    boxes = ["380,220,480,360", ",".join(map(str, PART))]
    found = located(
        fetched, "trips/2019/part.png", "matches.json", image=whole, box=boxes, verify="yes"
    ).json()
    assert found["proved"] is True
    shares = np.array(found["matches"])
    assert (shares[:, 0] >= PART[0] / 480 - 0.02).all()
    assert (shares[:, 0] <= PART[2] / 480 + 0.02).all()
    assert np.abs(np.array(found["box"]) - (0, 0, 480, 360)).max() <= 8


def test_what_shares_nothing_has_no_outline(fetched: Fetched) -> None:
    rocket = fetched.id_of("rocket.png")
    found = located(fetched, "coffee.png", "matches.json", image=rocket).json()
    assert (found["proved"], found["quad"], found["box"]) == (False, None, None)


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("hit=1&image=1&what=box.png", 422, "'box.png'; it must be one of heat.png, mask.png"),
        ("hit=1&text=cat&what=heat.png", 422, "Only a picture can be found"),
        ("hit=999999&image=1&what=heat.png", 404, "no image 999999 any more"),
        ("hit=1&picture=0123456789abcdef&what=heat.png", 422, "no longer in memory"),
    ],
)
def test_what_cannot_be_located_is_told(
    fetched: Fetched, query: str, status: int, says: str
) -> None:
    answer = fetched.http.get(f"/page/located?{query}")
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize("rerank", [False, True])
def test_proved_hits_help_to_find_points_where_they_helped_to_prove(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch, rerank: bool
) -> None:
    given: list[Sequence[int]] = []

    def noting(
        collection: Collection, query: Query, image_id: int, *, proved: Sequence[int]
    ) -> Correspondences | None:
        given.append(proved)
        return find_correspondences(collection, query, image_id, proved=proved)

    monkeypatch.setattr("ui.page_routes.located.find_correspondences", noting)
    whole, part = fetched.id_of("astronaut.png"), fetched.id_of("trips/2019/part.png")
    asked = {"image": whole, "box": "124,34,356,206", "verify": "yes"}  # no other test asks so
    more = {"rerank": "yes"} if rerank else {}
    found = located(fetched, "trips/2019/part.png", "matches.json", **asked, **more).json()
    assert found["proved"]
    assert [set(ids) for ids in given] == ([{whole, part}] if rerank else [set()])
