"""An emulated AWS and a project on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.aws import Clients
from tests.proofs.world import aws
from tests.release.project import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with aws():
        yield Shop(tmp_path, Clients("eu-west-1"))
