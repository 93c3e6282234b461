"""Laying out a map beside a server."""

from __future__ import annotations

import numpy as np

from retrieval.collection_map import read_map
from tests.desk import Desk
from tests.pictures import plain, shades
from ui.map_job import MapJob


def fill(desk: Desk, count: int) -> None:
    for number, colour in enumerate(shades(count)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()


def test_a_map_is_laid_out_beside_a_server(desk: Desk) -> None:
    fill(desk, 14)
    search = desk.search()
    job = MapJob(search)
    job.wait(60)
    assert (job.running, job.error, job.stopped, job.step.share) == (False, "", False, 1.0)
    assert job.found is not None
    kept = read_map(search.collection)
    assert kept is not None
    np.testing.assert_array_equal(kept.points, job.found.points)


def test_a_stopped_map_can_be_started_again(desk: Desk) -> None:
    fill(desk, 14)
    search = desk.search()
    job = MapJob(search)
    job.stop()
    job.wait(60)
    assert (job.running, job.error, job.stopped, job.found) == (False, "", True, None)
    again = MapJob(search)
    again.wait(60)
    assert again.found is not None


def test_too_few_images_are_told_in_a_sentence(desk: Desk) -> None:
    fill(desk, 3)
    job = MapJob(desk.search())
    job.wait(60)
    assert "at least 10 images" in job.error
