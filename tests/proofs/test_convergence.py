"""After apply, plan is empty: for the stack, for every schema example, for manifests nobody has thought of."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import world
from tests.proofs.scenarios import DELETABLE, IRREVERSIBLE, UPDATES

pytestmark = [pytest.mark.both_backends]


def test_the_whole_stack_converges_in_one_run(emulator: Emulator, stack: DesiredState) -> None:
    """About thirty resources from nothing; then there is nothing left to do, a second and a third time."""
    assert len(world.make_plan(stack).pending_changes) >= 25

    assert world.list_failures(world.apply(stack)) == []

    assert world.describe_changes(world.make_plan(stack)) == []
    assert world.describe_changes(world.make_plan(stack)) == []


def test_a_run_without_changes_writes_nothing(emulator: Emulator, applied: DesiredState) -> None:
    """Applying what is there already makes no call that changes something."""
    emulator.clear_calls()

    world.apply(applied)

    assert [call.name for call in emulator.calls if call.access == "write"] == []


@pytest.mark.parametrize("name", UPDATES)
def test_every_update_converges(emulator: Emulator, applied: DesiredState, tmp_path: Path, name: str) -> None:
    """There and back again: each change of the manifests, and its undoing where AWS has one, ends in an empty plan."""
    edited = world.load_stack(tmp_path / "edited", *UPDATES[name])

    for wanted in (edited,) if name in IRREVERSIBLE else (edited, applied):
        assert world.make_plan(wanted).pending_changes
        assert world.list_failures(world.apply(wanted)) == []
        assert world.describe_changes(world.make_plan(wanted)) == []


def test_destroy_leaves_nothing_behind(emulator: Emulator, tmp_path: Path) -> None:
    """With the manifests' word and the token, everything goes, in an order that AWS accepts."""
    before = world.count_resources()
    mortal = world.load_stack(tmp_path / "mortal", *DELETABLE)
    assert world.list_failures(world.apply(mortal)) == []

    assert world.list_failures(world.apply(mortal, destroying=True)) == []

    after = world.count_resources()
    kept = {"rds:describe_db_snapshots": 1}
    assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == kept
