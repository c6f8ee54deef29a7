"""One service and one browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.state.server.store import Store
from tests.state.pages.house import serving, settings, shop
from tests.state.pages.past import NOW, Clock


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
