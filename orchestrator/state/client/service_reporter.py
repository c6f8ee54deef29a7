"""One run, as the service hears of it while it happens; or a journal, for later.

The journal is written first and goes when the service has all of it.  A run that has lost its lease is stopped before
its next call to AWS (``admit``); one of which the service has not heard for as long as the lease lasts, too, unless
another lease guards it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.planning.events import Event
from orchestrator.problems import Problems
from orchestrator.state.client.api_client import Client, RefusedError
from orchestrator.state.client.journal import FOLDER, Journal
from orchestrator.state.client.payloads import clean, now, step_event
from orchestrator.state.client.run_reporter import FAREWELL, Record, Superseded
from orchestrator.state.client.sender import Pulse, Stream, Word
from orchestrator.state.protocol.records import ENDED, DriftReport, PlanRecord, Run, RunEnd
from orchestrator.state.protocol.requests import Batch, Begin, Choice, Ending, Shipped, Sign, Standing
from orchestrator.state.protocol.timestamps import stamp

LOOK_AGAIN = 2.0
"""Seconds between two questions of one who waits; the service takes 30 s of silence for a farewell."""
ANSWERS = 5.0
"""Seconds for which the service may be silent when a run begins: one that is started again takes one."""
LOOK_NEXT = 0.4
"""The same for who is next: the moment may be this one.  One a line asks so often."""
OnWait = Callable[[Standing], None]


class Recording(Record):
    """One run that is told: live when it holds a lease of the service, else into its journal alone."""

    def __init__(
        self, run: Run, journal: Journal, client: Client | None = None, fence: int = 0, pulse: Pulse | None = None
    ) -> None:
        self.run: Run = run
        self.is_live = client is not None
        self._journal = journal
        self._stream = Stream(client, fence) if client is not None else None
        self._pulse = pulse or (Pulse(client, run.id, fence) if client is not None else None)
        self._lock = threading.Lock()
        self._sequence = 0
        self._end: RunEnd | None = None
        journal.add("POST", "/runs", Begin(run, past=True))

    def planned(self, record: PlanRecord) -> None:
        path = f"/environments/{self.run.environment}/plans/{record.digest}"
        self._tell("PUT", path, record)
        self._tell("POST", f"/runs/{self.run.id}/plan", Choice(record.digest))

    def event(self, event: Event) -> None:
        with self._lock:
            self._sequence += 1
            told = step_event(self._sequence, now(), event)
            self._tell("POST", f"/runs/{self.run.id}/events", Batch((told,)))

    def overtakes(self, commit: str) -> None:
        end = RunEnd("superseded", now(), superseded_by=self.run.id)
        at = datetime.fromisoformat(self.run.started_at) - timedelta(milliseconds=1)
        number = f"{commit[:12]}-{self.run.id}"
        other = replace(self.run, id=number, commit=commit, started_at=stamp(at.timestamp()), plan="", committed_at="")
        other = replace(other, pull_request=None)
        self._tell("POST", "/runs", Begin(other, past=True))
        self._tell("POST", f"/runs/{number}/end", Ending(end))

    def shipped(self, found: Iterable[Shipped]) -> None:
        for one in found:
            number = one.record.release.number
            self._tell("PUT", f"/environments/{self.run.environment}/releases/{number}", one)

    def looked(self, report: DriftReport) -> None:
        self._tell("POST", f"/environments/{self.run.environment}/drift", report)

    def conclude(self, end: RunEnd) -> None:
        self._end = end

    def conclude_unless(self, end: RunEnd) -> None:
        self._end = self._end or end

    def admit(self) -> None:
        if self._pulse is None:
            return
        unsure = "" if self.guarded else "the state service does not answer, so nobody knows who may write"
        sure = self._lost() or self._pulse.is_sure()
        if trouble := self._lost() or ("" if sure else unsure):
            raise Problems.one(f"{trouble}: this run stops, and makes no further call", hint="orchestrator plan")

    def _lost(self) -> str:
        """Why this run may not write any more, or ""."""
        found = [one.lost for one in (self._stream, self._pulse) if one and one.lost]
        return found[0] if found else ""

    def finish(self, patience: float = FAREWELL) -> str:
        end = self._end or RunEnd("succeeded", "")
        end = replace(end, ended_at=end.ended_at or now(), cause=clean(end.cause), hint=clean(end.hint))
        self._tell("POST", f"/runs/{self.run.id}/end", Ending(end))
        stream, path = self._stream, self._journal.path
        left = stream.close(patience) if stream else 0
        if self._pulse:
            self._pulse.stop()
        later = f"hand in the journal of this run later: orchestrator history import {path}"
        if stream is None or left or stream.refused:
            self._journal.close()
            refused = f"the state service refused {stream.refused[0]}; " if stream and stream.refused else ""
            away = "the state service does not have all of it; " if left and not refused else ""
            return refused + away + later
        self._journal.remove()
        return ""

    def _tell(self, method: str, path: str, body: Any) -> None:
        self._journal.add(method, path, body)
        if self._stream:
            self._stream.put(Word(method, path, body))


def live(
    run: Run,
    client: Client,
    *,
    waits: bool,
    patience: float,
    on_wait: OnWait,
    answers: float = ANSWERS,
    folder: Path = FOLDER,
) -> Recording:
    """Begin ``run`` with the service, once it holds its environment's lease; waits ``patience`` seconds if it waits.

    ``answers``: seconds for which the service may be silent.
    Raises UnreachableError, Superseded, and Problems when somebody else writes, or the service refuses it.
    """
    journal = Journal(folder / f"{run.id}.jsonl")
    try:
        standing = client.get(Standing, "POST", "/runs", Begin(run, waits), patience=answers)
        if standing.fence is None:
            standing = _queued(run, client, standing, patience, on_wait)
        assert standing.fence is not None
        return Recording(run, journal, client, standing.fence)
    except BaseException as error:
        journal.remove()
        if isinstance(error, RefusedError):
            raise _refusal(run, error) from None
        raise


def past(run: Run, folder: Path = FOLDER) -> Recording:
    """Begin ``run`` in a journal alone.  Raises Problems."""
    return Recording(run, Journal(folder / f"{run.id}.jsonl"))


def _queued(run: Run, client: Client, standing: Standing, patience: float, on_wait: OnWait) -> Standing:
    """Ask until it is the run's turn."""
    until = time.monotonic() + patience
    try:
        while standing.fence is None:
            if standing.run.status in ENDED:
                raise Superseded(standing.run.superseded_by)
            if time.monotonic() > until:
                raise Problems.one(
                    f"{run.environment} was not free for {patience:.0f} s; nothing was done", hint=_whose(standing)
                )
            on_wait(standing)
            pause = LOOK_AGAIN if standing.position else LOOK_NEXT
            time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter
            standing = client.get(Standing, "POST", f"/runs/{run.id}/lease", Sign())
    except Superseded:
        raise
    except BaseException:
        end = RunEnd("interrupted", now(), "it waited, and was stopped before its turn")
        client.ask("POST", f"/runs/{run.id}/end", Ending(end), patience=2)
        raise
    return standing


def _refusal(run: Run, error: RefusedError) -> Problems:
    if error.kind == "held":
        return Problems.one(
            f"{run.environment} is being changed: {error.detail}; nothing was done",
            hint="wait for it with --wait; when that run is dead its lease ends by itself within a minute",
        )
    hint = "make a token with the scopes read, propose and write" if error.status in {401, 403} else None
    return Problems.one(f"the state service refuses this run: {error.detail}; nothing was done", hint=hint)


def _whose(standing: Standing) -> str:
    holder = standing.lease.holder
    return f"{holder.owner} writes ({holder.reason}) {holder.url}".strip() if holder else "others came earlier"
