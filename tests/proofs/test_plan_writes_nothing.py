"""Planning reads.  It needs no permission to write, and none to see a secret."""

from __future__ import annotations

import pytest

from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends]


def reads_only(emulator: Emulator) -> None:
    """Every call so far is a read, and no secret was handed out."""
    assert emulator.calls
    assert [call.name for call in emulator.calls if call.access == "write" or call.reads_secret] == []


def test_a_plan_from_nothing_makes_reads_only(emulator: Emulator, stack: DesiredState) -> None:
    """The first plan of an empty account."""
    real_stack.make_plan(stack)

    reads_only(emulator)


def test_a_plan_of_a_standing_stack_makes_reads_only(emulator: Emulator, applied: DesiredState) -> None:
    """The plan without changes, the plan of a destruction, the drift report: one and the same reading."""
    emulator.clear_calls()

    real_stack.make_plan(applied)
    real_stack.make_plan(applied, destroying=True)

    reads_only(emulator)


def test_a_plan_needs_no_right_to_write_or_to_see_secrets(emulator: Emulator, applied: DesiredState) -> None:
    """Under a policy that denies all writes and GetSecretValue the plan is the same, byte for byte."""
    free = real_stack.make_plan(applied)
    emulator.faults = real_stack.READ_ONLY_FAULTS

    assert real_stack.make_plan(applied) == free
