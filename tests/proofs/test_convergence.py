"""After apply, plan is empty: for the stack, for every schema example, for manifests nobody has thought of."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack
from tests.proofs.scenarios import DELETABLE, IRREVERSIBLE, UPDATES

pytestmark = [pytest.mark.both_backends, pytest.mark.usefixtures("strangers")]


def test_the_whole_stack_converges_in_one_run(emulator: Emulator, stack: DesiredState) -> None:
    """About thirty resources from nothing; then there is nothing left to do, a second and a third time."""
    assert len(real_stack.make_plan(stack).pending_changes) >= 25

    assert real_stack.list_failures(real_stack.apply(stack)) == []

    assert real_stack.describe_changes(real_stack.make_plan(stack)) == []
    assert real_stack.describe_changes(real_stack.make_plan(stack)) == []


def test_a_run_without_changes_writes_nothing(emulator: Emulator, applied: DesiredState) -> None:
    """Applying what is there already makes no call that changes something."""
    emulator.clear_calls()

    real_stack.apply(applied)

    assert [call.name for call in emulator.calls if call.access == "write"] == []


@pytest.mark.parametrize("name", UPDATES)
def test_every_update_converges(emulator: Emulator, applied: DesiredState, tmp_path: Path, name: str) -> None:
    """There and back again: each change of the manifests, and its undoing where AWS has one, ends in an empty plan."""
    edited = real_stack.load_stack(tmp_path / "edited", *UPDATES[name])

    for wanted in (edited,) if name in IRREVERSIBLE else (edited, applied):
        assert real_stack.make_plan(wanted).pending_changes
        assert real_stack.list_failures(real_stack.apply(wanted)) == []
        assert real_stack.describe_changes(real_stack.make_plan(wanted)) == []


def test_destroy_leaves_nothing_behind(emulator: Emulator, tmp_path: Path) -> None:
    """With the manifests' word and the token, everything goes, in an order that AWS accepts."""
    before = real_stack.count_resources()
    mortal = real_stack.load_stack(tmp_path / "mortal", *DELETABLE)
    assert real_stack.list_failures(real_stack.apply(mortal)) == []

    assert real_stack.list_failures(real_stack.apply(mortal, destroying=True)) == []

    after = real_stack.count_resources()
    kept = {"rds:describe_db_snapshots": 1}
    assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == kept
