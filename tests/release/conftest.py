"""An emulated AWS and a project on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from tests.proofs.world import aws, clients
from tests.release.project import Shop
from tests.release.web import V1, V2
from tests.release.whole import WithSite


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with aws() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> Shop:
    return Shop(tmp_path, clients())


@pytest.fixture
def halfway(tmp_path: Path, emulator: Emulator) -> WithSite:
    """One release (OLD), and the checkout of the next (NEW)."""
    found = WithSite(tmp_path, emulator)
    found.web.build(V1)
    found.deploy(issuer="one", versioning="true")
    found.web.build(V2)
    found.write(issuer="two", versioning="false")
    return found


@pytest.fixture
def twice(halfway: WithSite) -> WithSite:
    """Two releases, OLD and NEW."""
    halfway.deploy()
    return halfway
