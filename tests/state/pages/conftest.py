"""One service and one browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.state.server.store import Store
from tests.state.pages.page_service import make_settings, serve, serve_sample_history
from tests.state.pages.sample_history import NOW, FakeClock


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that nobody writes to."""
    with serve_sample_history(tmp_path_factory.mktemp("house")) as (address, _, _):
        yield address


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[tuple[str, Store]]:
    """A service that knows nothing yet."""
    told = make_settings(tmp_path)
    store = Store.open(told.database, FakeClock(NOW))
    with serve(store, told) as address:
        yield address, store
