"""Provide an emulated AWS account per test, on either backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.vocabulary import DesiredState
from tests.proofs import foreign_account, real_stack


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make proofs` and the weekly workflow run."""
    if real_stack.is_exhaustive():
        return
    left_out = [
        item
        for item in items
        if "tests/proofs/" in item.nodeid
        and "[ministack" in item.nodeid
        and not any(part in item.nodeid for part in real_stack.ON_BOTH)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(params=real_stack.BACKENDS)
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Provide an empty account."""
    with real_stack.emulated_aws(request.param) as running:
        yield running


@pytest.fixture
def strangers(emulator: Emulator) -> Iterator[None]:
    """Put somebody else's resources into the account; afterwards they are untouched to the byte."""
    before = foreign_account.populate()
    yield
    emulator.faults = Faults()
    assert list(foreign_account.list_changes(before, foreign_account.look())) == []


@pytest.fixture
def stack(tmp_path: Path) -> DesiredState:
    """Provide the real production stack."""
    return real_stack.load_stack(tmp_path / "manifests")


@pytest.fixture
def applied(emulator: Emulator, stack: DesiredState) -> DesiredState:
    """Provide the real production stack, applied."""
    assert real_stack.list_failures(real_stack.apply(stack)) == []
    return stack
