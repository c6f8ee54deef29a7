"""Pages with one row, with a hundred environments of long names, and with ten thousand runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.state.server.store import Store
from tests.state.pages.many_rows import ENVIRONMENT_COUNT, LONG_PROJECT, PAGES, RUN_COUNT, fill_many
from tests.state.pages.page_service import make_settings, serve
from tests.state.pages.page_view import WIDTHS, open_page
from tests.state.pages.sample_history import NOW, FakeClock

MAX_BYTES = 80_000


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """The address of a service with many rows."""
    settings = make_settings(tmp_path_factory.mktemp("crowded"))
    store = Store.open(settings.database, FakeClock(NOW))
    fill_many(store)
    with serve(store, settings) as address:
        yield address, store


def test_the_rows_are_as_many_as_they_should_be(crowded: tuple[str, Store]) -> None:
    _, store = crowded
    environments = store.list_environments()

    assert len(environments) == ENVIRONMENT_COUNT
    count, cursor = 0, ""
    while True:
        page = store.list_runs(cursor=cursor, limit=500)
        count, cursor = count + len(page.items), page.cursor
        if not cursor:
            break
    assert count == RUN_COUNT + ENVIRONMENT_COUNT - 10


@pytest.mark.parametrize("width", WIDTHS)
def test_many_rows_fit_and_weigh_little(crowded: tuple[str, Store], browser: Any, width: int) -> None:
    address, _ = crowded
    faults: dict[str, object] = {}
    with open_page(browser, width) as view:
        for name, path in PAGES.items():
            view.transferred_bytes = 0
            status = view.open(address + path)
            if status != 200 or view.errors or view.overflow or view.transferred_bytes > MAX_BYTES:
                faults[name] = (status, view.errors, view.overflow, view.transferred_bytes)

    assert len(PAGES) >= 6
    assert faults == {}


def test_what_needs_attention_is_named_before_a_hundred_cards(crowded: tuple[str, Store], browser: Any) -> None:
    """Who has a hundred environments does not look through them for the one that failed."""
    address, _ = crowded
    with open_page(browser, 390) as view:
        view.open(address)
        attention = view.page.locator("#attention")
        text = attention.inner_text()
        attention.get_by_role("link").first.click()

        assert "failed" in text
        assert "drifted" in text
        assert "/e/" in view.page.url
        assert view.page.locator("h1").is_visible()


def test_one_row_is_a_page_too(blank: tuple[str, Store], browser: Any) -> None:
    """One environment without a release: nothing needs attention, and nothing is said about it."""
    from orchestrator.state.protocol.records import Run, RunResult
    from orchestrator.state.protocol.timestamps import format_timestamp

    address, store = blank
    at = format_timestamp(NOW - 60)
    store.begin_run(Run("r1", f"{LONG_PROJECT}/prod", "apply", "ana", "c", at), "ana", from_journal=True)
    store.end_run("r1", None, RunResult("succeeded", at), "ana")
    with open_page(browser, 390) as view:
        for path in ("/", f"/e/{LONG_PROJECT}/prod", f"/e/{LONG_PROJECT}/prod/cost", "/digest", "/history"):
            assert (view.open(address + path), view.errors, view.overflow) == (200, [], []), path
        view.open(address)
        assert view.page.locator("#attention").count() == 0
