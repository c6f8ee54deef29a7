"""Carries a plan out: a walk over its graph on a thread pool.  Independent branches go on when one fails.

May know: plan, steps, events.  It performs nothing by itself: every step goes through the given ``perform``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import Any, TypeAlias

from msgspec.structs import replace

from orchestrator import resources
from orchestrator.aws.actuator import StepFailedError, UnsettledError
from orchestrator.planning import plan as planning
from orchestrator.planning import waivers
from orchestrator.planning.diff import diff
from orchestrator.planning.events import Finished, OnEvent, Progress, Started, StepDone, Waiting
from orchestrator.planning.plan import Planned, Task
from orchestrator.problems import Exit, Problems
from orchestrator.steps import Batch, Outputs, Step, Steps, Wait, is_read, planned, play
from orchestrator.steps import Call as ApiCall
from orchestrator.values import Ref, Value, resolve
from orchestrator.vocabulary import Action, Actuation, Change, Health, Outcome

Perform: TypeAlias = Callable[[Step], Any]
WORKERS = 16
PROGRESS_SECONDS = 0.2
"""Between two events that tell how far a batch is."""
LISTEN_SECONDS = 0.2
"""How long the walking thread sleeps at most: a Ctrl-C that another thread was handed does not wake it."""


class InterruptedApplyError(Exception):
    """The run was told to stop; what was done stays done.  ``outcomes`` says what became of each change."""

    def __init__(self, outcomes: tuple[Outcome, ...]) -> None:
        super().__init__("interrupted")
        self.outcomes = outcomes


class _StoppedError(Exception):
    """Raised before a step of a run that is stopping."""


def apply(planned_: Planned, perform: Perform, on_event: OnEvent, *, workers: int = WORKERS) -> tuple[Outcome, ...]:
    """Carry out every pending change, each after what it depends on; outcomes come in the plan's order.

    Raises InterruptedApplyError on Ctrl-C, once the calls under way have ended.  Anything else that is no ordinary
    failure of a step (a crash of the program) stops the run and is raised as it is.
    """
    run = _Run(planned_, perform, on_event)
    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="apply") as pool:
            run.walk(pool)
    except KeyboardInterrupt:
        raise InterruptedApplyError(run.in_order()) from None
    return run.in_order()


def exit_code(outcomes: tuple[Outcome, ...]) -> Exit:
    """What the outcomes mean for a script."""
    if any(outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED} for outcome in outcomes):
        return Exit.FAILED
    if any(outcome.health is not Health.HEALTHY for outcome in outcomes):
        return Exit.UNHEALTHY
    return Exit.OK


class _Run:
    """One walk.  Only the walking thread changes ``outcomes`` and ``outputs``; workers only read them."""

    def __init__(self, planned_: Planned, perform: Perform, on_event: OnEvent) -> None:
        self._planned = planned_
        self._perform = perform
        self._tell = on_event
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._changes = {change.address: change for change in planned_.plan.changes}
        self._outputs: dict[str, Outputs] = {address: live.outputs for address, live in planned_.live.items()}
        self._outcomes: dict[str, Outcome] = {}

    def in_order(self) -> tuple[Outcome, ...]:
        """Outcomes in the plan's order; what was never begun counts as skipped."""
        missing = "the run was stopped before it"
        return tuple(
            self._outcomes.get(address) or Outcome(address, change.action, Actuation.SKIPPED, reason=missing)
            for address, change in self._changes.items()
        )

    def walk(self, pool: ThreadPoolExecutor) -> None:
        known = self._changes.keys()
        graph = TopologicalSorter({a: [d for d in c.depends_on if d in known] for a, c in self._changes.items()})
        graph.prepare()
        running: dict[Future[tuple[Outcome, Outputs]], str] = {}
        try:
            while graph.is_active():
                for address in graph.get_ready():
                    self._start(address, pool, running, graph)
                if running:
                    for future in wait(running, LISTEN_SECONDS, FIRST_COMPLETED).done:
                        self._settle(running.pop(future), future, graph)
        except KeyboardInterrupt:
            self._stopping.set()
            for future, address in running.items():  # each ends before its next step
                self._settle(address, future, None)
            raise
        finally:
            self._stopping.set()

    def _start(
        self, address: str, pool: ThreadPoolExecutor, running: dict[Future[tuple[Outcome, Outputs]], str], graph: Any
    ) -> None:
        change = self._changes[address]
        blocker = next((d for d in change.depends_on if d in self._outcomes and _blocks(self._outcomes[d])), None)
        if change.action is Action.NONE:
            self._outcomes[address] = Outcome(address, change.action, Actuation.UNCHANGED, change.health, change.status)
            graph.done(address)
        elif blocker is not None:
            reason = f"because {blocker} {_why(self._outcomes[blocker])}"
            self._finish(Outcome(address, change.action, Actuation.SKIPPED, reason=reason))
            graph.done(address)
        else:
            running[pool.submit(self._carry_out, change)] = address

    def _settle(self, address: str, future: Future[tuple[Outcome, Outputs]], graph: Any) -> None:
        outcome, outputs = future.result()
        self._outputs[address] = {**self._outputs.get(address, {}), **outputs}
        self._finish(outcome)
        if graph is not None:
            graph.done(address)

    def _finish(self, outcome: Outcome) -> None:
        self._outcomes[outcome.address] = outcome
        self._tell(Finished(outcome.address, outcome))

    def _carry_out(self, change: Change) -> tuple[Outcome, Outputs]:
        work = _Work(change, self._perform, self._tell, self._stopping)
        self._tell(Started(change.address, change.action, time.monotonic() - self._began))
        return work.do(lambda: self._steps(change, self._planned.tasks[change.address]))

    def _steps(self, change: Change, task: Task) -> Steps | None:
        """The change's generator with what is known by now; None when nothing is left to do."""
        if task.resource is None:
            assert task.found is not None
            assert task.live is not None
            module = resources.load(task.found.type)
            return module.delete(self._planned.scope, task.found.physical, task.live)
        module = resources.load(task.resource.type)
        spec = module.normalise(resolve(task.resource.spec, self._lookup))
        if task.live:
            spec = waivers.leave(spec, task.live.spec, task.waived)
        fields = diff(spec, task.live.spec) if task.live else ()
        if task.live and not fields:
            return None
        return planning.steps(self._planned.scope, task.resource, spec, task.live, change.action, fields)

    def _lookup(self, ref: Ref) -> Value:
        return self._outputs[ref.address][ref.output]


class _Work:
    """One change being carried out by one worker thread."""

    def __init__(self, change: Change, perform: Perform, tell: OnEvent, stopping: threading.Event) -> None:
        self._change = change
        self._perform = perform
        self._tell = tell
        self._stopping = stopping
        self._began = time.monotonic()
        self._done = 0

    def do(self, make: Callable[[], Steps | None]) -> tuple[Outcome, Outputs]:
        try:
            steps = make()
            if steps is None:
                return self._outcome(Actuation.UNCHANGED), {}
            outputs = play(steps, self._step)
            return self._outcome(Actuation.SUCCEEDED), outputs
        except UnsettledError as error:
            return self._outcome(Actuation.SUCCEEDED, str(error), Health.PROGRESSING), {}
        except StepFailedError as error:
            return self._outcome(Actuation.FAILED, str(error), request_id=error.request_id), {}
        except Problems as error:  # AWS gave something that no step can go on with
            return self._outcome(Actuation.FAILED, str(error)), {}
        except _StoppedError:
            return self._outcome(Actuation.SKIPPED, "the run was stopped half-way through it; run it again"), {}
        except Exception as error:  # noqa: BLE001 - a bug in one resource must not take the other branches down
            reason = f"a bug of the orchestrator: {type(error).__name__}: {error}"
            return self._outcome(Actuation.FAILED, reason), {}

    def _step(self, step: Step) -> Any:
        if self._stopping.is_set():
            raise _StoppedError
        if isinstance(step, Wait):
            self._tell(Waiting(self._change.address, planned(step).note, self._seconds()))
        answer = self._perform(self._followed(step) if isinstance(step, Batch) else step)
        self._done += isinstance(step, ApiCall) and not is_read(step.operation)
        self._tell(StepDone(self._change.address, planned(step), self._seconds()))
        return answer

    def _followed(self, batch: Batch) -> Batch:
        """A batch that tells how far it is, and ends between two calls when the run is stopping."""
        total, told = len(batch.calls), [0.0]

        def tell(done: int) -> None:
            self._done += 1
            if self._stopping.is_set() and done < total:
                raise _StoppedError
            now = time.monotonic()
            if now - told[0] >= PROGRESS_SECONDS or done == total:
                told[0] = now
                self._tell(Progress(self._change.address, batch.note, done, total, self._seconds()))

        return replace(batch, tell=tell)

    def _outcome(
        self, actuation: Actuation, reason: str = "", health: Health = Health.HEALTHY, request_id: str = ""
    ) -> Outcome:
        return Outcome(
            self._change.address,
            self._change.action,
            actuation,
            health,
            reason,
            seconds=round(self._seconds(), 3),
            request_id=request_id,
            steps_done=self._done,
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _blocks(outcome: Outcome) -> bool:
    """Whether what depends on this must not be tried."""
    bad = outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED}
    return bad or (outcome.actuation is Actuation.SUCCEEDED and outcome.health is not Health.HEALTHY)


def _why(outcome: Outcome) -> str:
    if outcome.actuation is Actuation.SKIPPED:
        return "was skipped"
    return "failed" if outcome.actuation is Actuation.FAILED else "did not settle"
