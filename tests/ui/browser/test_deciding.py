"""Decisions about duplicates in a browser: of groups by keyboard, and of what is selected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from indexer.store.decisions import Decisions, forget_all, read_decisions
from indexer.store.store import Store
from retrieval.collection import Collection
from retrieval.duplicates.search import find_duplicates
from tests.ui.browser.acting import begin, tiles
from tests.ui.browser.conftest import Served

IMAGES = ("cat-1.jpg", "cat-3.jpg", "cat-5.jpg")


@pytest.fixture
def cats(served: Served) -> Iterator[list[int]]:
    """Some images, about which nothing is decided before and after."""
    ids = [served.id_of(f"sample/{name}") for name in IMAGES]
    forget(served, ids)
    yield ids
    forget(served, ids)


def forget(served: Served, ids: list[int]) -> None:
    store = Store.open(served.store)
    with store.writing():
        forget_all(store, ids)
    store.close()


def decided(served: Served, ids: list[int]) -> Decisions:
    store = Store.open(served.store)
    found = read_decisions(store)
    store.close()
    return Decisions(
        frozenset(pair for pair in found.kept if set(pair) <= {*ids}),
        frozenset(pair for pair in found.copies if set(pair) <= {*ids}),
    )


def test_a_selection_is_decided_about_as_a_group(
    page: Page, served: Served, cats: list[int]
) -> None:
    begin(page, served, f"?image={cats[0]}&name=cat-*")
    for name in IMAGES:
        if name == IMAGES[1]:
            expect(page.get_by_text("Duplicates", exact=True)).to_have_count(1)  # the page alone
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("region", name="Selection").get_by_text("Duplicates", exact=True).click()
    group = page.get_by_role("group", name="Duplicates")
    group.get_by_text("cat-1.jpg is the original, and the other 2 are copies").click()
    expect(group.get_by_text("Decided: the others are copies")).to_be_visible()
    assert decided(served, cats).copies == {(cats[0], cats[1]), (cats[0], cats[2])}
    group.get_by_text("Forget what was decided").click()
    expect(group.get_by_text("Nothing is decided")).to_be_visible()
    assert decided(served, cats) == Decisions()
    group.get_by_text("They are no duplicates").click()
    expect(group.get_by_text("Decided: all of them stay")).to_be_visible()
    assert len(decided(served, cats).kept) == 3
    assert tiles(page).count() == 5


# --- groups by keyboard ---------------------------------------------------------------------------


def test_two_groups_by_keyboard_then_a_reload(page: Page, served: Served) -> None:
    opened = Store.open(served.store)
    found = find_duplicates(Collection(opened))
    opened.close()
    total = len(found.groups)
    address = f"{served.url}/duplicates"
    page.goto(address)
    expect_heading(page, f"1 of {total}: ")
    stages = page.locator(".twin .stage")
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="130 %")).not_to_have_count(0)
    moves = stages.evaluate_all("all => all.map(one => one.style.transform)")
    assert len({*moves}) == 1
    assert "scale(1.3)" in moves[0]
    for key, number in (
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("2", 2),
        ("k", 3),
        ("u", 2),
        ("k", 3),
    ):
        press_key(page, key, f"{number} of {total}: ")
    expect(page.get_by_text("2 decided")).to_be_visible()
    page.goto("about:blank")
    page.goto(address)
    expect_heading(page, f"1 of {total - 2}: ")


def press_key(page: Page, key: str, heading: str) -> None:
    """Press a key, again if the page did not listen yet, and wait for what it leads to."""
    page.keyboard.press(key)
    if not page_shows(page, heading):
        page.keyboard.press(key)
    expect_heading(page, heading)


def page_shows(page: Page, heading: str) -> bool:
    """Whether a heading comes within a few seconds."""
    try:
        page.get_by_role("heading", name=heading).wait_for(timeout=10_000)
    except TimeoutError:
        return False
    return True


def expect_heading(page: Page, text: str) -> None:
    """Wait until a group is on screen, and its buttons listen to keys."""
    expect(page.get_by_role("heading", name=text)).to_be_visible()
    expect(page.locator("figure").first).to_be_visible()
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_visible()
