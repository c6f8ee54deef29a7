"""The same tests on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.state.server.store import Store
from tests.state import postgres

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL for the whole session."""
    binaries = postgres.find_binaries()
    if binaries is None:
        pytest.skip("needs postgresql")
    with postgres.run_cluster(binaries) as made:
        yield made


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database with its tables, one of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    url = cluster.create_database(_tables)
    yield url
    cluster.drop_database(url)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A store that knows nothing yet."""
    store = Store.open(database)
    yield store
    store.engine.dispose()


def _tables(url: str) -> None:
    Store.open(url).engine.dispose()
