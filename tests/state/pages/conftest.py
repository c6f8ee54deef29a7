"""One service and one browser for all tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.state.store import Store
from tests.state.pages.house import serving, settings, shop
from tests.state.pages.past import NOW, Clock

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that nobody writes to."""
    with shop(tmp_path_factory.mktemp("house")) as (address, _, _):
        yield address


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[tuple[str, Store]]:
    """A service that knows nothing yet."""
    told = settings(tmp_path)
    store = Store.open(told.database, Clock(NOW))
    with serving(store, told) as address:
        yield address, store


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A chromium."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
