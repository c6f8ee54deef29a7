"""What a process of the service is begun with: a log that costs nothing until something is said."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.state.server import startup

LOADED = """
import sys
from orchestrator.state.server import app, startup
from orchestrator.state.server.settings import Settings
app.create_app(Settings(database="sqlite:///state.db"), log=startup.create_logger(sys.stderr, "json", verbose=False))
print(*sorted({"alembic", "boto3", "jinja2", "psycopg", "rich", "structlog", "yaml"} & sys.modules.keys()))
"""


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The logger of all libraries, afterwards as it was."""
    known = logging.getLogger()
    handlers, level = known.handlers[:], known.level
    yield known
    known.handlers[:], known.level = handlers, level


def test_a_library_that_warns_first_opens_the_log(root: logging.Logger) -> None:
    """Its word is not lost, and comes once, as all others do."""
    stream = io.StringIO()
    log = startup.create_logger(stream, "json", verbose=False)
    logging.getLogger("uvicorn.error").warning("the address is taken")
    logging.getLogger("uvicorn.error").warning("again")
    log.info("request", status=200)

    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["event"] for one in told] == ["the address is taken", "again", "request"]
    assert told[2]["status"] == 200
    assert log not in root.handlers


@pytest.mark.slow
def test_a_start_loads_only_what_it_needs(tmp_path: object) -> None:
    """Where the database stands at the newest step: no migrations, and nothing of pages and logs before the first."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", LOADED], cwd=str(tmp_path), capture_output=True, text=True, check=True
        )
    assert done.stdout.split() == []
