"""Independent resources are applied at the same time, and dependencies are honoured, as AWS sees it."""

from __future__ import annotations

from orchestrator.emulator import Emulator, Faults
from orchestrator.planning.events import ChangeFinished, ChangeStarted, Event
from orchestrator.vocabulary import DesiredState
from tests import performed_calls
from tests.proofs import real_stack


def test_the_stack_is_made_in_parallel(stack: DesiredState) -> None:
    """On an AWS where every call takes 20 ms, many are under way at once."""
    with real_stack.emulated_aws("moto") as emulator:
        emulator.faults = Faults(latency_ms=20)
        assert real_stack.list_failures(real_stack.apply(stack)) == []

        assert widest(emulator) >= 4


def widest(emulator: Emulator) -> int:
    """The most writes that were in flight at one time."""
    writes = [call for call in emulator.calls if call.access == "write"]
    ends = [(call.started, 1) for call in writes] + [(call.ended or call.started, -1) for call in writes]
    level = most = 0
    for _, step in sorted(ends):
        level += step
        most = max(most, level)
    return most


def test_the_stack_is_made_in_the_order_of_its_dependencies(stack: DesiredState) -> None:
    """No resource of the real stack begins before what it depends on has ended."""
    from orchestrator.planning import pipeline

    ended: set[str] = set()
    early: list[str] = []
    with real_stack.emulated_aws("moto"):
        wanted = pipeline.plan(stack)
        pending = {change.address for change in wanted.plan.pending_changes}
        needs = {change.address: pending & set(change.depends_on) for change in wanted.plan.pending_changes}

        def watch(event: Event) -> None:
            if isinstance(event, ChangeStarted):
                early.extend(f"{event.address} before {other}" for other in needs[event.address] - ended)
            elif isinstance(event, ChangeFinished):
                ended.add(event.address)

        performed_calls.apply(wanted, watch, clients=real_stack.clients())

    assert early == []
    assert ended == pending
