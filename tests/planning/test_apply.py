"""Applying: order, parallelism, failure, interruption.  Roles serve as resources; AWS is a function."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import resources
from orchestrator.artefacts import Site, SiteFile
from orchestrator.aws import StepExecutor, StepFailedError, WaitTimeoutError
from orchestrator.interruption import InterruptibleClock
from orchestrator.planning.apply import InterruptedApplyError, apply, exit_code
from orchestrator.planning.events import (
    BatchProgress,
    ChangeFinished,
    ChangeStarted,
    Event,
    WaitStarted,
    ignore_event,
)
from orchestrator.planning.plan import PreparedPlan, build
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import ExitCode, Position
from orchestrator.steps import ApiCall, Batch, LocalCall, Step, Wait
from orchestrator.values import Ref, WriteOnly
from orchestrator.vocabulary import (
    Action,
    Actuation,
    DesiredState,
    DiscoveredResource,
    Health,
    LiveResource,
    Outcome,
    Resource,
    Scope,
)
from tests.aws.fake_clients import ScriptedCaller, make_aws_error

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
HERE = Position("roles.yaml")


def role(name: str, after: frozenset[str] = frozenset()) -> Resource:
    """A role that comes after other roles."""
    spec = {"path": SCOPE.iam_path, "trust": {}, "tags": {}}
    return Resource(
        "iam_role", name, f"shop-prod-{name}", spec, "service.x", HERE, frozenset(f"iam_role.{n}" for n in after)
    )


def plan_for(roles: list[Resource]) -> PreparedPlan:
    """A plan that creates all of them."""
    return build(DesiredState(SCOPE, tuple(roles)), Snapshot(SCOPE.account))


def created(step: Step) -> str | None:
    """The role that a step creates."""
    return step.parameters["RoleName"] if isinstance(step, ApiCall) and step.operation == "create_role" else None


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, frozenset[str]]:
    """A random acyclic graph: each node depends on some of those before it."""
    names = [f"r{index}" for index in range(draw(st.integers(1, 9)))]
    return {
        name: frozenset(draw(st.sets(st.sampled_from(names[:index]), max_size=3)) if index else ())
        for index, name in enumerate(names)
    }


@given(graphs(), st.integers(1, 8))
def test_nothing_begins_before_what_it_depends_on_has_ended(graph: Mapping[str, frozenset[str]], workers: int) -> None:
    """In any graph, on any number of threads, order honours dependencies and nothing is left out."""
    ended: set[str] = set()
    violations: list[str] = []

    def watch(event: Event) -> None:
        name = event.address.partition(".")[2]
        if isinstance(event, ChangeStarted):
            violations.extend(f"{dependency} before {name}" for dependency in graph[name] - ended)
        elif isinstance(event, ChangeFinished):
            ended.add(name)

    planned = plan_for([role(name, after) for name, after in graph.items()])
    outcomes = apply(planned, lambda step: {}, watch, workers=workers)

    assert not violations
    assert ended == set(graph)
    assert exit_code(outcomes) is ExitCode.OK


@given(graphs(), st.data())
def test_a_failure_stops_what_needs_it_and_nothing_else(
    graph: Mapping[str, frozenset[str]], data: st.DataObject
) -> None:
    """Exactly the failed one's descendants are skipped, each with the reason."""
    broken = data.draw(st.sampled_from(sorted(graph)))

    def perform(step: Step) -> Any:
        if created(step) == f"shop-prod-{broken}":
            message = "iam:CreateRole: LimitExceeded: too many roles"
            raise StepFailedError(message, "req-1")
        return {}

    outcomes = apply(plan_for([role(name, after) for name, after in graph.items()]), perform, ignore_event)
    by_name = {outcome.address.partition(".")[2]: outcome for outcome in outcomes}
    doomed = descendants(graph, broken)

    assert by_name[broken].actuation is Actuation.FAILED
    assert by_name[broken].request_id == "req-1"
    assert {name for name, outcome in by_name.items() if outcome.actuation is Actuation.SKIPPED} == doomed
    assert all(by_name[name].reason.startswith("depends on iam_role.") for name in doomed)
    assert {name for name, o in by_name.items() if o.actuation is Actuation.SUCCEEDED} == set(graph) - doomed - {broken}


def test_a_change_that_needs_what_aws_has_not_told_fails_by_name() -> None:
    """No guess continues: the message says which output of which resource is missing."""
    needy = replace(role("b"), spec={**role("b").spec, "policy": {"Resource": Ref("iam_role.a", "key")}})
    last = role("c", frozenset({"b"}))

    outcomes = apply(plan_for([role("a"), needy, last]), lambda step: {}, ignore_event)

    assert [outcome.actuation for outcome in outcomes] == [Actuation.SUCCEEDED, Actuation.FAILED, Actuation.SKIPPED]
    assert "the key of iam_role.a, which is unknown" in outcomes[1].reason


def test_a_change_that_came_to_nothing_makes_no_call() -> None:
    """A reference that resolves to what AWS already holds leaves nothing to do."""
    outputs = {"arn": "arn:aws:iam::123456789012:role/a"}
    first, spec = role("a"), {**role("b").spec, "trust": {"Principal": Ref("iam_role.a", "key")}}
    module = resources.load("iam_role")
    live = LiveResource(
        module.normalise({**spec, "trust": {"Principal": "k1"}}), outputs, owner=SCOPE.owner, component="service.x"
    )
    second = replace(role("b"), spec=spec)
    prepared = build(DesiredState(SCOPE, (first, second)), Snapshot(SCOPE.account, {"iam_role.b": live}))
    assert [change.action for change in prepared.plan.changes] == [Action.CREATE, Action.UPDATE]
    prepared = replace(
        prepared, live={**prepared.live, "iam_role.a": LiveResource({}, {"key": "k1"}, owner=SCOPE.owner)}
    )
    performed: list[str] = []

    def perform(step: Step) -> Any:
        assert isinstance(step, ApiCall)
        performed.append(f"{step.operation} {step.parameters['RoleName']}")
        return {}

    outcomes = apply(prepared, perform, ignore_event)

    assert [outcome.actuation for outcome in outcomes] == [Actuation.SUCCEEDED, Actuation.UNCHANGED]
    assert [call for call in performed if call.endswith("-b")] == []


def test_what_is_deleted_is_what_was_read() -> None:
    """Of a type whose ids AWS makes, the call names the one that the plan found."""
    live = LiveResource({}, {}, {"arn": "arn:of-the-old-one", "status": "RUNNING"}, owner=SCOPE.owner)
    orphans = {"apprunner_service.old": (DiscoveredResource("apprunner_service", "old"), live)}
    prepared = build(DesiredState(SCOPE, (role("a"),)), Snapshot(SCOPE.account, orphans=orphans))
    named: list[Any] = []

    def perform(step: Step) -> Any:
        if isinstance(step, ApiCall) and step.service == "apprunner":
            named.append((step.operation, step.parameters["ServiceArn"]))
        return {}

    apply(prepared, perform, ignore_event)

    assert named[0] == ("delete_service", "arn:of-the-old-one")


def test_what_is_unchanged_and_unwell_keeps_its_reason() -> None:
    live = LiveResource(
        resources.load("iam_role").normalise(role("a").spec), owner=SCOPE.owner, health=Health.FAILED, status="is full"
    )
    prepared = build(DesiredState(SCOPE, (role("a"),)), Snapshot(SCOPE.account, {"iam_role.a": live}))

    (outcome,) = apply(prepared, lambda step: {}, ignore_event)

    assert (outcome.actuation, outcome.health, outcome.reason) == (Actuation.UNCHANGED, Health.FAILED, "is full")


def descendants(graph: Mapping[str, frozenset[str]], root: str) -> set[str]:
    """Everything that depends on ``root``, directly or not."""
    found: set[str] = set()
    for name, after in graph.items():  # in dependency order
        if after & (found | {root}):
            found.add(name)
    return found


def test_independent_resources_are_applied_at_the_same_time() -> None:
    """Four independent creations meet at a barrier that only lets all four through together."""
    barrier = threading.Barrier(4, timeout=10)

    def perform(step: Step) -> Any:
        if created(step):
            barrier.wait()
        return {}

    outcomes = apply(plan_for([role(f"r{n}") for n in range(4)]), perform, ignore_event)

    assert exit_code(outcomes) is ExitCode.OK


def test_a_resource_that_does_not_settle_is_applied_but_unhealthy() -> None:
    """Our calls worked, the resource is not healthy: exit code 4, and its dependents are not attempted."""
    performed: list[str] = []

    def perform(step: Step) -> Any:
        performed.append(created(step) or "")
        if created(step) == "shop-prod-slow":
            message = "still creating after 900 s. Look at the events."
            raise WaitTimeoutError(message)
        return {}

    roles = [role("slow"), role("dependent", frozenset({"slow"})), role("other")]
    outcomes = apply(plan_for(roles), perform, ignore_event)

    assert set(performed) == {"shop-prod-slow", "shop-prod-other"}
    assert {outcome.address: outcome.actuation for outcome in outcomes[1:]} == {
        "iam_role.dependent": Actuation.SKIPPED,
        "iam_role.other": Actuation.SUCCEEDED,
    }
    assert outcomes[0].actuation is Actuation.SUCCEEDED
    assert outcomes[0].health is Health.PROGRESSING
    assert outcomes[0].reason == "still creating after 900 s. Look at the events."
    assert exit_code(outcomes[:1]) is ExitCode.UNHEALTHY
    assert exit_code(outcomes) is ExitCode.FAILED, "a change that was not attempted is not done"


def test_ctrl_c_ends_the_calls_under_way_and_says_what_was_done() -> None:
    """After an interruption nothing new begins; what was done is told."""
    performed: list[str] = []

    def perform(step: Step) -> Any:
        performed.append(created(step) or "")
        return {}

    def interrupt(event: Event) -> None:
        if isinstance(event, ChangeFinished) and event.address == "iam_role.first":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedApplyError) as stopped:
        apply(plan_for([role("first"), role("second", frozenset({"first"}))]), perform, interrupt)

    assert [outcome.actuation for outcome in stopped.value.outcomes] == [Actuation.SUCCEEDED, Actuation.SKIPPED]
    assert stopped.value.outcomes[1].reason == "the run was stopped before this change started"
    assert "shop-prod-second" not in performed


def test_ctrl_c_is_heard_where_python_drops_exceptions() -> None:
    """Library reference, `weakref.ref`: exceptions raised by the callback cannot be propagated."""

    class Collected:
        """Something of which a cache holds a weak reference."""

    def interrupt(event: Event) -> None:
        if isinstance(event, ChangeFinished) and event.address == "iam_role.first":
            collected = Collected()
            watched = weakref.ref(collected, lambda _: signal.raise_signal(signal.SIGINT))
            del collected
            assert watched() is None

    with pytest.raises(InterruptedApplyError) as stopped:
        apply(plan_for([role("first"), role("second", frozenset({"first"}))]), lambda _: {}, interrupt)

    assert [outcome.actuation for outcome in stopped.value.outcomes] == [Actuation.SUCCEEDED, Actuation.SKIPPED]


def test_a_crash_stops_every_thread_before_its_next_call() -> None:
    """When the program dies in one thread, no other thread makes another call."""
    crashed_at: list[float] = []
    later: list[float] = []

    class Crash(BaseException):
        """Not an ordinary error: the end of the process."""

    def perform(step: Step) -> Any:
        if created(step) == "shop-prod-r0":
            crashed_at.append(time.monotonic())
            raise Crash
        time.sleep(0.02)
        later.append(time.monotonic())
        return {}

    with pytest.raises(Crash):
        apply(plan_for([role(f"r{n}") for n in range(6)]), perform, ignore_event)

    assert all(at < crashed_at[0] + 0.5 for at in later)
    assert len(later) <= 5


def test_a_bug_in_one_resource_is_its_own_failure() -> None:
    """An unexpected error fails one resource with a sentence, not the run with a traceback."""

    def perform(step: Step) -> Any:
        if created(step) == "shop-prod-r1":
            return 1 // 0
        return {}

    outcomes = apply(plan_for([role("r1"), role("r2")]), perform, ignore_event)

    assert "ZeroDivisionError" in outcomes[0].reason
    assert outcomes[1].actuation is Actuation.SUCCEEDED


def shipping(calls: int) -> PreparedPlan:
    """A plan that ships a site of so many files."""
    file = SiteFile(1, "0" * 32, "0" * 64, "text/css", "no-cache", entry=False)
    files = {f"{number}.css": file for number in range(calls)}
    site = WriteOnly({"site": Site("d", files, "/nowhere"), "store": "s", "by_etag": True, "distributions": []})
    resource = Resource("s3_site", "web", "web", {"site": "d", "shipping": site}, "bucket.web", HERE)
    return build(DesiredState(SCOPE, (resource,)), Snapshot(SCOPE.account))


def test_a_batch_tells_how_far_it_is() -> None:
    """The last number is all of them, and what they do is told."""
    told: list[BatchProgress] = []

    def perform(step: Step) -> Any:
        for number in range(1, len(step.calls) + 1) if isinstance(step, Batch) else ():
            step.on_progress(number)  # type: ignore[union-attr]
        return {}

    outcomes = apply(
        shipping(500), perform, lambda event: told.append(event) if isinstance(event, BatchProgress) else None
    )

    assert exit_code(outcomes) is ExitCode.OK
    assert (500, 500) in [(event.completed, event.total) for event in told]
    assert len(told) < 100


def test_a_batch_says_once_what_its_calls_wait_for() -> None:
    """Hundreds of retried uploads are one message."""
    waits: list[str] = []
    batches: list[Batch] = []

    def perform(step: Step) -> Any:
        if isinstance(step, Batch):
            batches.append(step)
            for _ in step.calls:
                step.on_retry("retry s3:PutObject while AWS returns SlowDown")
        return {}

    apply(
        shipping(20), perform, lambda event: waits.append(event.description) if isinstance(event, WaitStarted) else None
    )

    assert batches
    assert waits == ["retry s3:PutObject while AWS returns SlowDown"] * len(batches)


def test_ctrl_c_stops_a_batch_between_two_calls() -> None:
    """A site of many files does not hold up whoever wants to stop."""
    made: list[str] = []
    begun = threading.Event()
    client = Slow(made, begun)
    prepared = shipping(20_000)

    def interrupt() -> None:
        if begun.wait(60):
            os.kill(os.getpid(), signal.SIGINT)  # what a terminal sends

    threading.Thread(target=interrupt).start()
    with pytest.raises(InterruptedApplyError) as stopped:
        apply(prepared, StepExecutor(client).perform, ignore_event)

    assert stopped.value.outcomes[0].reason == "the run was stopped during this change; run the command again"
    assert 0 < len(made) < 10_000


NEVER_READY = Wait(ApiCall("rds", "describe_db_instances", {}), "DBInstances[0].DBInstanceStatus", ("available",))
UNASSUMABLE = ApiCall("iam", "create_role", {}, retry_codes=("Busy",), timeout_seconds=600)
WATCHED_TASK = LocalCall("watch", lambda poll: [None for _ in poll(600)], (), polls_aws=True)


@pytest.mark.parametrize("step", [NEVER_READY, UNASSUMABLE, WATCHED_TASK], ids=["wait", "retried call", "watched task"])
def test_ctrl_c_ends_whatever_waits_for_aws(step: Step) -> None:
    """A database takes a quarter of an hour: nobody who stops a run waits for it.  What AWS does continues."""
    begun = threading.Event()

    class NotingClock(InterruptibleClock):
        def sleep(self, seconds: float, /) -> None:
            if seconds > 0.1:  # it has asked a few times
                begun.set()
            super().sleep(seconds)

    clock = NotingClock()

    def respond(service: str, operation: str, _: Any) -> Any:
        return make_aws_error("Busy") if operation == "create_role" else {"DBInstances": []}

    executor = StepExecutor(ScriptedCaller(respond), clock)

    def perform(_: Step) -> Any:
        return executor.perform(step)

    def interrupt() -> None:
        begun.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    started_at = time.monotonic()
    with pytest.raises(InterruptedApplyError) as stopped:
        apply(plan_for([role("first")]), perform, ignore_event, stop_requested=clock.stop_requested)

    assert time.monotonic() - started_at < 5
    [outcome] = stopped.value.outcomes
    assert (outcome.actuation, outcome.reason) == (
        Actuation.SKIPPED,
        "the run was stopped while waiting for AWS, which continues the operation; run the command again",
    )


class Slow:
    """An AWS that takes a hundredth of a second for each call."""

    def __init__(self, made: list[str], begun: threading.Event) -> None:
        self._made = made
        self._begun = begun

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        time.sleep(0.01)
        self._made.append(operation)
        if len(self._made) > 50:
            self._begun.set()
        return {}

    def pages(self, *_: Any) -> list[Any]:
        return []


OUTCOMES: dict[str, tuple[Callable[[], tuple[Outcome, ...]], ExitCode]] = {
    "nothing to do": (lambda: (), ExitCode.OK),
    "skipped": (lambda: (Outcome("a.b", Action.CREATE, Actuation.SKIPPED),), ExitCode.FAILED),
    "unchanged but failed": (
        lambda: (Outcome("a.b", Action.NONE, Actuation.UNCHANGED, Health.FAILED),),
        ExitCode.UNHEALTHY,
    ),
}


@pytest.mark.parametrize(("outcomes", "expected"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_exit_codes(outcomes: Callable[[], tuple[Outcome, ...]], expected: ExitCode) -> None:
    """Scripts can tell failure from ill health."""
    assert exit_code(outcomes()) is expected
