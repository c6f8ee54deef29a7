"""Telling the state service, where one is configured: runs while they happen, plans and drift when they are seen.

What is configured is ``ORCHESTRATOR_STATE_URL``.  Nothing that is planned hangs on the service.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.runs import context
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.planning.plan import Planned
    from orchestrator.render.drift import DriftView
    from orchestrator.state.client.api_client import Client
    from orchestrator.state.client.run_reporter import Record
    from orchestrator.state.client.service_reporter import Recording
    from orchestrator.state.protocol.records import Run, Verb
    from orchestrator.state.protocol.requests import Standing
    from orchestrator.vocabulary import Outcome, Plan

ENOUGH = 86_400.0
"""Seconds that ``--wait`` waits."""
SOON = 3.0
"""Seconds of patience for what nothing hangs on."""
HURRIED = 5.0
"""The same for the end of a run that was stopped: a job that GitHub cancels has few seconds left."""


class How(Struct, frozen=True):
    """How a run is told: with a journal instead of the service; and for how many seconds it waits for its turn.

    ``needed``: without the service it may not begin, unless its caller said so.  ``brought_by`` is the pull request
    that brought its commit.
    """

    without: bool = False
    patience: float = 0.0
    needed: bool = True
    reason: str = ""
    brought_by: int | None = None


@contextmanager
def run(settings: Settings, environment: str, verb: Verb, how: How) -> Iterator[Record]:
    """Tell the service of a run for the length of a ``with`` block; however that ends, it is told and the lease free.

    Raises Problems before anything is done: somebody else writes, or the service does not answer.
    """
    from orchestrator.state.client.run_reporter import FAREWELL, Record

    client = _client()
    if client is None and not how.without:
        yield Record()
        return
    with client or nullcontext():
        record = _open(settings, context.run(settings, environment, verb, how.reason, how.brought_by), client, how)
        before, patience = _interruptible(), FAREWELL
        try:
            yield record
        except BaseException as error:
            patience = HURRIED if isinstance(error, KeyboardInterrupt) else FAREWELL
            record.conclude_unless(_broken(error, settings))
            raise
        finally:
            if left := record.finish(patience):
                settings.terminal.tell(left[:1].upper() + left[1:])
            _restore(before)


@contextmanager
def agreeing(record: Record) -> Iterator[None]:
    """Whether the plan is what was reviewed, and somebody agrees to it: if not, nothing has failed."""
    from orchestrator.state.protocol.records import RunEnd

    try:
        yield
    except Problems as error:
        record.conclude(RunEnd("interrupted", "", error.problems[0].message, error.problems[0].hint or ""))
        raise


def vetoed(record: Record, plan: Plan) -> None:
    """Tell that the plan may not be carried out."""
    from orchestrator.state.protocol.records import RunEnd

    vetoes = [*plan.vetoes, *(veto for change in plan.changes for veto in change.vetoes)]
    record.conclude(RunEnd("interrupted", "", f"vetoed: {vetoes[0].sentence}" if vetoes else "vetoed"))


def seen(settings: Settings, planned: Planned) -> None:
    """Keep a plan with the service, if there is one; one that is away is only told of."""
    from orchestrator.release import ledger_entry

    client = _client()
    if client is None:
        return
    origin = ledger_entry.origin(settings.manifests)
    made = planned_record(planned, origin.by, origin.commit)
    with client:
        path = f"/environments/{made.environment}/plans/{made.digest}"
        quietly(settings, "the plan", lambda: client.ask("PUT", path, made, patience=SOON))


def looked(settings: Settings, found: DriftView, planned: Planned) -> None:
    """Keep a report of drift with the service, if there is one."""
    from orchestrator.release import ledger_entry
    from orchestrator.state.client import payloads

    client = _client()
    if client is None:
        return
    origin = ledger_entry.origin(settings.manifests)
    key = f"{planned.plan.project}/{planned.plan.environment}"
    report = payloads.drift(found, key, origin.by, origin.commit)
    with client:
        path = f"/environments/{key}/drift"
        quietly(settings, "the drift", lambda: client.ask("POST", path, report, patience=SOON))


def quietly(settings: Settings, what: str, deed: Callable[[], object]) -> bool:
    """Do ``deed``; that the service is away or refuses is a sentence and no failure.  Whether it was done."""
    from orchestrator.state.client.api_client import RefusedError, UnreachableError

    try:
        deed()
    except (UnreachableError, RefusedError, Problems) as error:
        settings.terminal.tell(f"Not recorded: {what}. {str(error)[:300]}")
        return False
    return True


def planned_record(planned: Planned, by: str, commit: str) -> Any:
    """A plan as the service keeps it."""
    from orchestrator.runs import plan_output
    from orchestrator.state.client import payloads

    before, after = plan_output.estimates(planned) or (None, None)
    return payloads.plan(planned.plan, by, commit, before, after)


def choose(record: Record, planned: Planned) -> None:
    """Tell that this is the plan that the run carries out."""
    if record.run is not None:
        record.planned(planned_record(planned, record.run.by, record.run.commit))


def unreviewed(record: Record) -> None:
    """Tell that the plan is not what was reviewed."""
    from orchestrator.state.protocol.records import RunEnd

    record.conclude(RunEnd("interrupted", "", "the plan is not what was reviewed; nothing was done"))


def applied(record: Record, outcomes: tuple[Outcome, ...], hint: str, *, interrupted: bool = False) -> None:
    """Tell what an apply came to."""
    if record.run is not None:
        from orchestrator.state.client import payloads

        record.conclude(payloads.applied(outcomes, hint, interrupted=interrupted))


def is_told() -> bool:
    """Whether there is a service that hears of runs."""
    return bool(os.environ.get("ORCHESTRATOR_STATE_URL"))


def here() -> Client | None:
    """The service's client, or None.  Raises Problems."""
    return _client()


def _client() -> Client | None:
    if not is_told():
        return None
    from orchestrator.state.client.api_client import Client

    return Client.configured(os.environ)


def _open(settings: Settings, made: Run, client: Client | None, how: How) -> Recording:
    from orchestrator.state.client import service_reporter
    from orchestrator.state.client.api_client import UnreachableError

    terminal = settings.terminal
    if client is None or how.without:
        terminal.tell(f"The state service is not asked; this run keeps a journal in {_journal(made)}")
        return service_reporter.past(made)
    told: list[str] = []

    def on_wait(standing: Standing) -> None:
        words = _waiting(standing)
        if words not in told:
            told.append(words)
            terminal.tell(words)

    try:
        waits, answers = how.patience > 0, service_reporter.ANSWERS if how.needed else SOON
        told_live = service_reporter.live(
            made, client, waits=waits, patience=how.patience, on_wait=on_wait, answers=answers
        )
    except UnreachableError as error:
        if how.needed:
            raise Problems.one(
                f"{error}; nothing was done",
                hint="see that it runs; or add --without-record, and hand in the journal of the run later",
            ) from None
        terminal.tell(f"{error}. Going on without it; this run keeps a journal in {_journal(made)}")
        return service_reporter.past(made)
    terminal.tell(f"Recorded as it happens: {client.url}/runs/{made.id}")
    return told_live


def _broken(error: BaseException, settings: Settings) -> Any:
    from orchestrator.state.protocol.records import RunEnd

    plan = settings.command("plan")
    match error:
        case KeyboardInterrupt():
            return RunEnd("interrupted", "", "it was stopped", plan)
        case Problems():
            first = error.problems[0]
            return RunEnd("failed", "", first.message, first.hint or plan)
        case _:
            return RunEnd("failed", "", f"a bug of the orchestrator: {type(error).__name__}", plan)


def _waiting(standing: Standing) -> str:
    holder = standing.lease.holder
    who = f"{holder.owner} ({holder.reason})" if holder else "whoever came earlier"
    before = f", after {standing.position} others" if standing.position else ""
    return f"Waiting for {who}{before} ..."


def _journal(made: Run) -> Path:
    from orchestrator.state.client.journal import FOLDER

    return FOLDER / f"{made.id}.jsonl"


def _interruptible() -> Any:
    """Let a polite kill be what Ctrl-C is: GitHub sends one when a job is cancelled."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, stop)


def _restore(before: Any) -> None:
    if before is not None:
        signal.signal(signal.SIGTERM, before)
