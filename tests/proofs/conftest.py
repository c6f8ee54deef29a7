"""One emulated AWS a test, of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import world


@pytest.fixture(params=world.BACKENDS)
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An empty AWS."""
    with world.emulated_aws(request.param) as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path) -> DesiredState:
    """The real production stack."""
    return world.load_stack(tmp_path / "manifests")


@pytest.fixture
def applied(emulator: Emulator, stack: DesiredState) -> DesiredState:
    """The real production stack, standing."""
    assert world.list_failures(world.apply(stack)) == []
    return stack
