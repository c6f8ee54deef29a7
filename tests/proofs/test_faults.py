"""With a third of all calls throttled or failing, the plan is right and the apply converges."""

from __future__ import annotations

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends, pytest.mark.slow, pytest.mark.timeout(300)]


def is_ours(sentence: str) -> bool:
    """Whether it tells of a fault that was put in, and of nothing else."""
    return "Rate exceeded" in sentence or "We encountered an internal error" in sentence


def test_a_plan_under_throttling_is_the_same_plan(emulator: Emulator, applied: DesiredState) -> None:
    """Nothing is left out and nothing is invented when 30 % of the reads fail."""
    calm = real_stack.make_plan(applied)
    emulator.faults = real_stack.unreliable_faults(0.3, seed=1)

    found = real_stack.make_plan(applied)
    if found.unread:  # one read in 15,000 fails eight times in a row: that is told, and the next plan has it
        assert [one for one in found.unread if not is_ours(one.reason)] == []
        found = real_stack.make_plan(applied)

    assert found == calm


def test_an_apply_under_throttling_converges(emulator: Emulator, stack: DesiredState) -> None:
    """Every write may fail three times in ten; the stack stands at the end all the same."""
    emulator.faults = real_stack.unreliable_faults(0.3, seed=1)

    bad = real_stack.list_failures(real_stack.apply(stack))
    if bad:  # one call in 15,000 fails eight times in a row: the next run goes on
        assert [one for one in bad if not is_ours(one) and "skipped" not in one] == []
        bad = real_stack.list_failures(real_stack.apply(stack))
    emulator.faults = Faults()

    assert bad == []
    assert real_stack.describe_changes(real_stack.make_plan(stack)) == []


def test_answers_lost_after_the_call_was_done_heal_on_the_next_run(emulator: Emulator, stack: DesiredState) -> None:
    """A connection that breaks after AWS has acted leaves nothing double: one more run ends it."""
    emulator.faults = real_stack.lost_response_faults(0.1, seed=3)
    real_stack.apply(stack)
    emulator.faults = Faults()

    assert real_stack.list_failures(real_stack.apply(stack)) == []

    assert real_stack.describe_changes(real_stack.make_plan(stack)) == []
    assert real_stack.count_resources()["cloudfront:list_distributions"] == 1
    assert real_stack.count_resources()["apprunner:list_services"] == 1
