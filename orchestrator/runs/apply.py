"""Carrying a plan out in front of somebody: progress while it runs, the report when it ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.planning.events import Answered, Asking, Event, Finished, Started, StepDone, Waiting
from orchestrator.problems import Exit
from orchestrator.render import apply_report
from orchestrator.render.progress import Board, Display, Lines, Table
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Outcome

if TYPE_CHECKING:
    from orchestrator.planning.plan import Planned
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.lock import Turn

INTERRUPTED = 130


def see_through(
    planned: Planned, settings: Settings, turn: Turn, approval: Approval, ask: tuple[str, str], again: str, workers: int
) -> int:
    """Show ``planned``, have somebody agree to it, and carry it out; the exit code.

    ``ask`` is the question, with ``{count}`` and ``{place}``, and the word that says yes; ``again`` is how to go on.
    Raises Problems when it is not what was reviewed, or nobody agrees.
    """
    from orchestrator.runs import plan_output, reporter

    plan, record, terminal = planned.plan, turn.record, settings.terminal
    reporter.choose(record, planned)
    with reporter.agreeing(record):
        approval.refuse_stale(plan)
    plan_output.to(terminal, planned, approval.detail(verbose=settings.verbose))
    if plan.is_vetoed:
        reporter.vetoed(record, plan)
        return Exit.VETOED
    if not plan.pending:
        return nothing_to_do(planned, settings)
    place = f"{plan.project}/{plan.environment} in account {plan.account}"
    question, word = ask
    with reporter.agreeing(record):
        approval.obtain(terminal, question.format(count=len(plan.pending), place=place), word)
    return carry_out(planned, settings, workers, again, turn)


def carry_out(planned: Planned, settings: Settings, parallelism: int, again: str, turn: Turn | None = None) -> int:
    """Apply ``planned``, show how it goes and what became of it; the exit code.  ``again`` is how to go on.

    The record of ``turn`` is told all of it, and its clients stop the run when somebody else writes.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.planning.apply import InterruptedApplyError, exit_code
    from orchestrator.runs import reporter
    from orchestrator.state.client.run_reporter import Record

    record = turn.record if turn else Record()
    clients = turn.clients if turn else Clients(planned.scope.region)

    ended: list[str] = []
    began = time.monotonic()
    interrupted = False
    with display(planned, settings) as shown:

        def tell(event: Event) -> None:
            if isinstance(event, Finished):
                ended.append(event.address)
            record.event(event)
            shown(event)

        try:
            outcomes = pipeline.apply(planned, tell, parallelism=parallelism, clients=clients)
        except InterruptedApplyError as stop:
            outcomes, interrupted = stop.outcomes, True
    outcomes = tuple(_by_end(outcomes, ended))
    seen = apply_report.view(outcomes, time.monotonic() - began, again, settings.command("plan"))
    reporter.applied(record, outcomes, seen.next_command, interrupted=interrupted)
    settings.terminal.say("\n" + apply_report.text(seen, settings.terminal.style))
    return INTERRUPTED if interrupted else exit_code(outcomes)


def nothing_to_do(planned: Planned, settings: Settings) -> int:
    """The exit code when no change is pending: what is there may still be unwell."""
    from orchestrator.vocabulary import Health

    settings.terminal.say("No changes.")
    well = all(change.health is Health.HEALTHY for change in planned.plan.changes)
    return Exit.OK if well else Exit.UNHEALTHY


def display(planned: Planned, settings: Settings) -> Display:
    """The display that fits: a log, a table in place, or plain lines."""
    terminal = settings.terminal
    if log := settings.logger():
        return Logged(log)
    board = Board(planned.plan.pending)
    if terminal.live:
        return Table(board, terminal.err, colour=terminal.colour)
    return Lines(board, terminal.tell, terminal.style, in_actions=terminal.in_actions)


class Logged:
    """Events as log entries."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def __enter__(self) -> Logged:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: Event) -> None:
        match event:
            case Started(address, action):
                self._log.info("started", address=address, action=action.value)
            case StepDone(address, step, seconds):
                self._log.debug("step done", address=address, step=step.action, note=step.note, seconds=seconds)
            case Waiting(address, what, seconds):
                self._log.info("waiting", address=address, what=what, seconds=seconds)
            case Asking(address, what):
                self._log.info("proving", address=address, what=what)
            case Answered(address, passed, saw, seconds):
                self._log.info("proved" if passed else "not proved", address=address, saw=saw, seconds=seconds)
            case Finished(address, outcome):
                self._log.info(
                    "finished",
                    address=address,
                    action=outcome.action.value,
                    actuation=outcome.actuation.value,
                    health=outcome.health.value,
                    reason=outcome.reason,
                    seconds=outcome.seconds,
                )


def _by_end(outcomes: Sequence[Outcome], ended: Sequence[str]) -> list[Outcome]:
    """In the order in which they ended: the first failure is the first cause."""
    order = {address: number for number, address in enumerate(ended)}
    return sorted(outcomes, key=lambda outcome: order.get(outcome.address, len(order)))
