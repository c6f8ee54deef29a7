"""Apply a plan: walk its dependency graph on a thread pool.  Independent branches continue when one fails.

May know: plan, steps, events.  Performs nothing by itself: every step goes through the ``perform`` argument.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from graphlib import TopologicalSorter
from types import FrameType
from typing import Any, TypeAlias

from msgspec.structs import replace

from orchestrator import interruption, resources, shell
from orchestrator.aws.step_executor import StepFailedError, WaitTimeoutError
from orchestrator.planning import plan as planning
from orchestrator.planning import waivers
from orchestrator.planning.diff import diff
from orchestrator.planning.events import (
    BatchProgress,
    ChangeFinished,
    ChangeStarted,
    ChangeStopping,
    OnEvent,
    OutputLine,
    StepCompleted,
    WaitStarted,
)
from orchestrator.planning.plan import PreparedPlan, Task
from orchestrator.problems import ExitCode, Problems
from orchestrator.redaction.redact import describe_exception
from orchestrator.steps import (
    ApiCall,
    Batch,
    LocalCall,
    Outputs,
    Step,
    Steps,
    Sweep,
    Wait,
    execute_steps,
    is_read,
    to_planned_step,
)
from orchestrator.values import Ref, Unknown, Value, resolve
from orchestrator.vocabulary import Action, Actuation, Change, Health, Outcome

Perform: TypeAlias = Callable[[Step], Any]
MAX_WORKERS = 16
PROGRESS_INTERVAL_SECONDS = 0.2
"""Minimum time between two progress events of a batch."""
POLL_INTERVAL_SECONDS = 0.2
"""Maximum sleep of the main thread: a Ctrl-C that is delivered to another thread does not wake it."""


class InterruptedApplyError(Exception):
    """The run was interrupted; completed changes stay.  ``outcomes`` holds the result of each change."""

    def __init__(self, outcomes: tuple[Outcome, ...]) -> None:
        super().__init__("interrupted")
        self.outcomes = outcomes


class _StoppedError(Exception):
    """Raised instead of performing a step once the run is stopping."""


def apply(
    prepared: PreparedPlan,
    perform: Perform,
    on_event: OnEvent,
    *,
    workers: int = MAX_WORKERS,
    stop_requested: threading.Event | None = None,
) -> tuple[Outcome, ...]:
    """Apply every pending change after its dependencies and return the outcomes in the plan's order.

    ``stop_requested`` is set on Ctrl-C: that of ``perform``'s clock, so that no wait holds up the end.

    Raises InterruptedApplyError on Ctrl-C, once the calls in progress have ended.  Any error that is not an ordinary
    failure of a step (a crash of the program) stops the run and is raised unchanged.
    """
    stop_requested = stop_requested or threading.Event()
    walk = _GraphWalk(prepared, perform, on_event, stop_requested)
    try:
        with interruption.start_pool(workers, "apply", stop_requested) as pool:
            walk.execute(pool)
    except KeyboardInterrupt:
        raise InterruptedApplyError(walk.ordered_outcomes()) from None
    return walk.ordered_outcomes()


def exit_code(outcomes: tuple[Outcome, ...]) -> ExitCode:
    """Return the exit code for these outcomes."""
    if any(outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED} for outcome in outcomes):
        return ExitCode.FAILED
    if any(outcome.health is not Health.HEALTHY for outcome in outcomes):
        return ExitCode.UNHEALTHY
    return ExitCode.OK


@contextmanager
def _postpone_interrupts() -> Iterator[threading.Event]:
    """Let Ctrl-C, and the signals that are handled as Ctrl-C, set an event instead of raising; a second one raises.

    An exception that is raised wherever the signal arrives can lose the outcome of a change that has just been started,
    and Python drops it if that is in a callback of a weak reference (``weakref.ref``: "Exceptions raised by the
    callback will be noted on the standard error output, but cannot be propagated").
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}

    def interrupt(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            handlers[signal.Signals(number)](number, frame)
        interrupted.set()

    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield interrupted
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _GraphWalk:
    """One walk over the graph.  Only the main thread writes ``outcomes`` and ``outputs``; workers only read them."""

    def __init__(
        self, prepared: PreparedPlan, perform: Perform, on_event: OnEvent, stop_requested: threading.Event
    ) -> None:
        self._prepared = prepared
        self._perform = perform
        self._on_event = on_event
        self._started_at = time.monotonic()
        self._stop_requested = stop_requested
        self._changes = {change.address: change for change in prepared.plan.changes}
        self._outputs: dict[str, Outputs] = {address: live.outputs for address, live in prepared.live.items()}
        self._outcomes: dict[str, Outcome] = {}

    def ordered_outcomes(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the plan's order; changes that never started count as skipped."""
        skip_reason = "the run was stopped before this change started"
        return tuple(
            self._outcomes.get(address) or Outcome(address, change.action, Actuation.SKIPPED, reason=skip_reason)
            for address, change in self._changes.items()
        )

    def execute(self, pool: ThreadPoolExecutor) -> None:
        addresses = self._changes.keys()
        graph = TopologicalSorter({a: [d for d in c.depends_on if d in addresses] for a, c in self._changes.items()})
        graph.prepare()
        futures: dict[Future[tuple[Outcome, Outputs]], str] = {}
        try:
            with _postpone_interrupts() as interrupted:
                while graph.is_active() and not interrupted.is_set():
                    for address in graph.get_ready():
                        self._start(address, pool, futures, graph)
                    if futures:
                        for future in wait(futures, POLL_INTERVAL_SECONDS, FIRST_COMPLETED).done:
                            self._complete(futures.pop(future), future, graph)
            if interrupted.is_set():
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            self._stop_requested.set()
            for address in futures.values():
                self._on_event(ChangeStopping(address))
            shell.stop_streams()
            for future, address in futures.items():  # each ends before its next step
                self._complete(address, future, None)
            raise
        finally:
            self._stop_requested.set()

    def _start(
        self, address: str, pool: ThreadPoolExecutor, futures: dict[Future[tuple[Outcome, Outputs]], str], graph: Any
    ) -> None:
        change = self._changes[address]
        blocker = next(
            (d for d in change.depends_on if d in self._outcomes and _blocks_dependents(self._outcomes[d])), None
        )
        if change.action is Action.NONE:
            self._outcomes[address] = Outcome(address, change.action, Actuation.UNCHANGED, change.health, change.status)
            graph.done(address)
        elif blocker is not None:
            reason = f"depends on {blocker}, which {_describe_block_reason(self._outcomes[blocker])}"
            self._save_outcome(Outcome(address, change.action, Actuation.SKIPPED, reason=reason))
            graph.done(address)
        else:
            futures[pool.submit(self._execute_change, change)] = address

    def _complete(self, address: str, future: Future[tuple[Outcome, Outputs]], graph: Any) -> None:
        outcome, outputs = future.result()
        self._outputs[address] = {**self._outputs.get(address, {}), **outputs}
        self._save_outcome(outcome)
        if graph is not None:
            graph.done(address)

    def _save_outcome(self, outcome: Outcome) -> None:
        self._outcomes[outcome.address] = outcome
        self._on_event(ChangeFinished(outcome.address, outcome))

    def _execute_change(self, change: Change) -> tuple[Outcome, Outputs]:
        executor = _ChangeExecutor(change, self._perform, self._on_event, self._stop_requested)
        self._on_event(ChangeStarted(change.address, change.action, time.monotonic() - self._started_at))
        return executor.execute(lambda: self._build_steps(change, self._prepared.tasks[change.address]))

    def _build_steps(self, change: Change, task: Task) -> Steps | None:
        """Return the steps of the change, with references resolved from the outputs so far; None if nothing differs."""
        if task.resource is None:
            assert task.discovered is not None
            assert task.live is not None
            module = resources.load(task.discovered.type)
            return module.delete(self._prepared.scope, task.discovered.physical, task.live)
        module = resources.load(task.resource.type)
        spec = module.normalise(resolve(task.resource.spec, self._resolve_ref))
        if task.live:
            spec = waivers.apply_waivers(spec, task.live.spec, task.waived)
        fields = diff(spec, task.live.spec) if task.live else ()
        if task.live and not fields:
            return None
        return planning.build_steps(self._prepared.scope, task.resource, spec, task.live, change.action, fields)

    def _resolve_ref(self, ref: Ref) -> Value:
        """Return an output. Raises Problems if AWS has not told it: nothing continues with a value that is unknown."""
        value = self._outputs.get(ref.address, {}).get(ref.output)
        if value is None or isinstance(value, Unknown):
            message = f"this change needs the {ref.output} of {ref.address}, which is unknown"
            raise Problems.from_message(message, hint=f"check {ref.address} in AWS, then run the command again")
        return value


class _ChangeExecutor:
    """Executes one change in one worker thread."""

    def __init__(self, change: Change, perform: Perform, on_event: OnEvent, stop_requested: threading.Event) -> None:
        self._change = change
        self._perform = perform
        self._on_event = on_event
        self._stop_requested = stop_requested
        self._started_at = time.monotonic()
        self._completed_steps = 0

    def execute(self, make_steps: Callable[[], Steps | None]) -> tuple[Outcome, Outputs]:
        try:
            steps = make_steps()
            if steps is None:
                return self._build_outcome(Actuation.UNCHANGED), {}
            outputs = execute_steps(steps, self._perform_step)
            return self._build_outcome(Actuation.SUCCEEDED), outputs
        except WaitTimeoutError as error:
            return self._build_outcome(Actuation.SUCCEEDED, str(error), Health.PROGRESSING), {}
        except StepFailedError as error:
            return self._build_outcome(Actuation.FAILED, str(error), request_id=error.request_id), {}
        except Problems as error:  # a response that no step can continue with, or a failed build
            is_interrupted = error.exit_code is ExitCode.INTERRUPTED
            return self._build_outcome(Actuation.SKIPPED if is_interrupted else Actuation.FAILED, str(error)), {}
        except _StoppedError:
            return self._build_outcome(
                Actuation.SKIPPED, "the run was stopped during this change; run the command again"
            ), {}
        except Exception as error:  # noqa: BLE001 - a bug in one resource must not take the other branches down
            reason = f"internal error: {describe_exception(error)}"
            return self._build_outcome(Actuation.FAILED, reason), {}

    def _perform_step(self, step: Step) -> Any:
        if self._stop_requested.is_set():
            raise _StoppedError
        if isinstance(step, Wait):
            self._on_event(WaitStarted(self._change.address, to_planned_step(step).note, self._elapsed_seconds()))
        response = self._perform(self._with_progress(step))
        self._completed_steps += isinstance(step, ApiCall) and not is_read(step.operation)
        self._on_event(StepCompleted(self._change.address, to_planned_step(step), self._elapsed_seconds()))
        return response

    def _with_progress(self, step: Step) -> Step:
        """Return the step with its own events, if it makes many calls, runs programs that print or may be retried."""
        match step:
            case Batch():
                return self._with_batch_progress(step)
            case LocalCall(has_output=True):
                return replace(step, on_output=lambda line: self._on_event(OutputLine(self._change.address, line)))
            case ApiCall() | Sweep():
                return replace(step, on_retry=self._report_retry)
            case _:
                return step

    def _report_retry(self, description: str) -> None:
        self._on_event(WaitStarted(self._change.address, description, self._elapsed_seconds()))

    def _with_batch_progress(self, batch: Batch) -> Batch:
        """Return the batch with progress events; it ends between two calls when the run is stopping."""
        total, last_report = len(batch.calls), [0.0]

        def on_progress(completed: int) -> None:
            self._completed_steps += 1
            if self._stop_requested.is_set() and completed < total:
                raise _StoppedError
            now = time.monotonic()
            if now - last_report[0] >= PROGRESS_INTERVAL_SECONDS or completed == total:
                last_report[0] = now
                self._on_event(
                    BatchProgress(self._change.address, batch.note, completed, total, self._elapsed_seconds())
                )

        return replace(batch, on_progress=on_progress, on_retry=_once(self._report_retry))

    def _build_outcome(
        self, actuation: Actuation, reason: str = "", health: Health = Health.HEALTHY, request_id: str = ""
    ) -> Outcome:
        return Outcome(
            self._change.address,
            self._change.action,
            actuation,
            health,
            reason,
            seconds=round(self._elapsed_seconds(), 3),
            request_id=request_id,
            steps_done=self._completed_steps,
        )

    def _elapsed_seconds(self) -> float:
        return time.monotonic() - self._started_at


def _once(report: Callable[[str], None]) -> Callable[[str], None]:
    """Return ``report`` for the many calls of a batch: only the first of them that is retried is reported."""
    pending = [report]
    return lambda description: pending.pop()(description) if pending else None


def _blocks_dependents(outcome: Outcome) -> bool:
    """Return whether dependents of this change must not be attempted."""
    is_failed = outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED}
    return is_failed or (outcome.actuation is Actuation.SUCCEEDED and outcome.health is not Health.HEALTHY)


def _describe_block_reason(outcome: Outcome) -> str:
    if outcome.actuation is Actuation.SKIPPED:
        return "was skipped"
    return "failed" if outcome.actuation is Actuation.FAILED else "did not become healthy"
