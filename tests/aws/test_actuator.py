"""Steps performed: retries, waits, secrets, sweeps; time is a fake."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.aws import AwsError, StepExecutor, StepFailedError, WaitTimeoutError
from orchestrator.aws.botocore_hooks import report_failed_attempt
from orchestrator.steps import ApiCall, Batch, Compute, GenerateSecret, Step, Sweep, Wait, call
from orchestrator.values import Sensitive
from tests.aws.fake_clients import FakeClock, ScriptedCaller, make_aws_error


def actuator(answers: Iterator[Any]) -> tuple[StepExecutor, ScriptedCaller, FakeClock]:
    """An actuator whose AWS gives these answers in turn."""
    caller, clock = ScriptedCaller(lambda *_: next(answers)), FakeClock()
    return StepExecutor(caller, clock), caller, clock


def test_a_call_whose_work_is_done_already_is_no_failure() -> None:
    """After a crash, creating again is fine when AWS says it is there."""
    act, _, _ = actuator(iter([make_aws_error("EntityAlreadyExists")]))

    assert act.perform(ApiCall("iam", "create_role", {}, ok_codes=("EntityAlreadyExists",))) == {}


def test_what_exists_already_is_read_until_reads_show_it() -> None:
    """Reads lag behind: the answer continues with what was read, and fails when nothing ever shows it."""
    seen: list[Any] = [None, make_aws_error("RequestLimitExceeded"), {"Id": "E1"}]
    messages: list[str] = []

    def read_existing(_: Any, message: str) -> Any:
        messages.append(message)
        found = seen.pop(0) if seen else None
        if isinstance(found, AwsError):
            raise found
        return found

    step = ApiCall("cloudfront", "create_x", {}, exists_codes=("XExists",), read_existing=read_existing)
    act, caller, _ = actuator(iter(lambda: make_aws_error("XExists", "Already exists: E1"), None))

    assert act.perform(step) == {"Id": "E1"}
    assert (len(caller.calls), set(messages)) == (1, {"Already exists: E1"})
    with pytest.raises(StepFailedError, match=r"Already exists: E1 \(request req-9\)\. AWS does not return"):
        act.perform(step)


def test_a_call_is_tried_again_on_the_named_codes_and_texts_only() -> None:
    """A role that is not known everywhere yet is waited for; another refusal is final."""
    step = ApiCall(
        "apprunner",
        "create_service",
        {},
        retry_codes=("InvalidRequestException: Assuming",),
        timeout_seconds=60,
    )
    act, caller, clock = actuator(
        iter([make_aws_error("InvalidRequestException", "Error in assuming instance role"), {"Service": {}}])
    )

    assert act.perform(step) == {"Service": {}}
    assert len(caller.calls) == 2
    assert clock.now < 1

    act, caller, _ = actuator(iter([make_aws_error("InvalidRequestException", "cpu is wrong")]))
    with pytest.raises(StepFailedError, match="cpu is wrong"):
        act.perform(step)


def test_patience_ends_and_the_last_refusal_is_told_with_its_request_id() -> None:
    """Retrying stops near its time, quick at first and never slower than every ten seconds."""
    act, _caller, clock = actuator(iter(lambda: make_aws_error("Busy"), None))

    with pytest.raises(StepFailedError, match="Busy") as failed:
        act.perform(ApiCall("iam", "create_role", {}, retry_codes=("Busy",), timeout_seconds=120))
    assert failed.value.request_id == "req-9"
    assert 60 < clock.now <= 120
    assert clock.sleeps[:4] == pytest.approx([0.05, 0.08, 0.128, 0.2048])
    assert max(clock.sleeps) == 10


def test_a_wait_ends_when_the_state_is_reached() -> None:
    """The answer that showed the state is the wait's answer."""
    states = [{"DB": [{"S": "creating"}]}, {"DB": [{"S": "available"}]}]
    act, _, _ = actuator(iter(states))

    assert act.perform(Wait(call("rds", "describe_db_instances"), "DB[0].S", ("available",))) == states[1]


def test_a_wait_outlasts_an_aws_that_is_busy_and_no_dead_network() -> None:
    """A deployment of minutes does not fail for one look at it; five in a row are no chance."""
    busy, done = make_aws_error("RequestLimitExceeded"), {"Status": "RUNNING"}
    act, caller, _ = actuator(iter([busy, busy, {"Status": "PENDING"}, *([make_aws_error("Unreachable")] * 4), done]))

    assert act.perform(Wait(call("apprunner", "describe_service"), "Status", target_values=("RUNNING",))) == done
    assert len(caller.calls) == 8

    act, caller, _ = actuator(iter(lambda: make_aws_error("Unreachable"), None))
    with pytest.raises(StepFailedError, match="Unreachable"):
        act.perform(Wait(call("apprunner", "describe_service"), "Status", target_values=("RUNNING",)))
    assert len(caller.calls) == 5


def test_a_wait_that_sees_a_failed_state_fails_with_what_to_look_at() -> None:
    """AWS's own 'failed' is not waited out."""
    act, _, _ = actuator(iter([{"S": "failed"}]))

    with pytest.raises(StepFailedError, match=r"S became failed\. Look at the events\."):
        act.perform(
            Wait(call("rds", "describe_x"), "S", ("ok",), failed_values=("failed",), stuck_hint="Look at the events.")
        )


def test_a_failed_wait_tells_the_last_words_of_its_log() -> None:
    """Those of the newest stream; and where they may not be read, the failure is told all the same."""
    step = Wait(
        call("apprunner", "list_x"),
        "S",
        ("ok",),
        failed_values=("bad",),
        stuck_hint="Look.",
        log_group="/aws/apprunner/api/1/service",
    )
    streams = {"logStreams": [{"logStreamName": "events"}]}
    act, caller, _ = actuator(iter([{"S": "bad"}, streams, {"events": [{"message": "Health check failed.\n"}]}]))

    with pytest.raises(StepFailedError, match=r"S became bad; last log lines: Health check failed\. Look\."):
        act.perform(step)
    assert caller.calls[-1][2]["logStreamName"] == "events"
    answers: list[Any]
    for answers in ([make_aws_error("AccessDenied")], [{"logStreams": []}]):
        act, _, _ = actuator(iter([{"S": "bad"}, *answers]))
        with pytest.raises(StepFailedError, match=r"S became bad\. Look\."):
            act.perform(step)


def test_the_last_words_are_those_of_the_youngest() -> None:
    """What was before goes on answering and writing: its stream was written to last."""
    said = {"old": "GET / 200", "new": "no database"}
    streams = [{"logStreamName": "old", "creationTime": 1}, {"logStreamName": "new", "creationTime": 2}]

    def answer(_: str, operation: str, given: dict[str, Any]) -> Any:
        match operation:
            case "describe_log_streams":
                return {"logStreams": streams}
            case "get_log_events":
                return {"events": [{"message": said[given["logStreamName"]]}]}
        return {"S": "bad"}

    step = Wait(call("ecs", "describe_x"), "S", target_values=("good",), failed_values=("bad",), log_group="group")
    with pytest.raises(StepFailedError, match="last log lines: no database"):
        StepExecutor(ScriptedCaller(answer), FakeClock()).perform(step)


def test_a_failed_wait_tells_awss_own_reason() -> None:
    """Where the answer holds one."""
    step = Wait(
        call("ecs", "describe_x"),
        "S",
        target_values=("good",),
        failed_values=("bad",),
        reason_path="Why",
        stuck_hint="Look.",
    )
    act, _, _ = actuator(iter([{"S": "bad", "Why": "it was rolled back."}]))

    with pytest.raises(StepFailedError, match=r"S became bad \(it was rolled back\)\. Look\."):
        act.perform(step)


def test_an_error_with_a_known_cause_comes_with_advice() -> None:
    """The wording decides, in any case; an error of the same code with another text has no advice."""
    step = ApiCall("iam", "create_role", {})
    refused = make_aws_error("AccessDenied", "x with an Explicit Deny in a service control policy")
    act, _, _ = actuator(iter([refused, make_aws_error("AccessDenied")]))

    with pytest.raises(StepFailedError, match=r"\(request req-9\)\. A service control policy"):
        act.perform(step)
    with pytest.raises(StepFailedError, match=r"no \(request req-9\)$"):
        act.perform(step)


def test_a_call_that_is_retried_for_seconds_says_what_it_waits_for() -> None:
    """Once, after five seconds: most retries end before."""
    reports: list[str] = []
    step = ApiCall("iam", "put_role_policy", {}, on_retry=reports.append)
    act, caller, clock = actuator(iter([*[make_aws_error("NoSuchEntity")] * 12, {}]))

    act.perform(step)

    assert len(caller.calls) == 13
    assert clock.now > 5
    assert reports == [
        "retry until the new role or policy has propagated in IAM (iam:CreateRole: NoSuchEntity: no (request req-9))"
    ]


def make_busy_step(kind: str, on_retry: Callable[[str], None]) -> Step:
    """A step of each kind that makes calls and may be retried."""
    busy = ApiCall("s3", "delete_object", {}, retry_codes=("OperationAborted",))
    match kind:
        case "call":
            return replace(busy, on_retry=on_retry)
        case "existing":
            read = iter([*[None] * 12, {"Id": "E1"}])
            return ApiCall(
                "s3", "create_x", {}, exists_codes=("X",), read_existing=lambda *_: next(read), on_retry=on_retry
            )
        case "batch":
            return Batch((busy,), "remove", on_retry=on_retry)
        case "listing of a sweep":
            return Sweep(busy, "x", lambda _: None, "remove", on_retry=on_retry)
    removals = iter([busy, None])
    return Sweep(ApiCall("s3", "list_x", {}), "x", lambda _: next(removals), "remove", on_retry=on_retry)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("call", ["OperationAborted"] * 12),
        ("existing", ["X"]),
        ("batch", ["OperationAborted"] * 12),
        ("listing of a sweep", ["OperationAborted"] * 12),
        ("removal of a sweep", [{}, *["OperationAborted"] * 12]),
    ],
)
def test_every_kind_of_step_says_what_it_waits_for(kind: str, answers: list[Any]) -> None:
    """A site of many files, the emptying of a bucket and a listing that lags are not silent for minutes."""
    reports: list[str] = []
    errors = [make_aws_error(answer) if isinstance(answer, str) else answer for answer in answers]
    act, _, clock = actuator(iter([*errors, {}, {}]))

    act.perform(make_busy_step(kind, reports.append))

    assert clock.now > 5
    assert len(reports) == 1
    assert ("already exists" if kind == "existing" else "OperationAborted") in reports[0]


def test_retries_inside_botocore_are_reported_too() -> None:
    """S3 asks to slow down: botocore repeats the call without a word."""
    reports: list[str] = []
    clock = FakeClock()

    def respond(*_: Any) -> Any:
        for status, code in ((503, "SlowDown"), (503, "SlowDown"), (412, "PreconditionFailed")):
            clock.sleep(4)
            report_failed_attempt(response=(SimpleNamespace(status_code=status), {"Error": {"Code": code}}))
        return {}

    StepExecutor(ScriptedCaller(respond), clock).perform(ApiCall("s3", "put_object", {}, on_retry=reports.append))

    assert reports == ["retry s3:PutObject while AWS returns SlowDown"]


def test_a_wait_ends_when_something_else_says_that_it_cannot_succeed() -> None:
    """Three times in a row: AWS may try again by itself; a read that fails says nothing."""
    step = Wait(
        call("ecs", "describe_x"),
        "S",
        ("good",),
        stuck_hint="Look.",
        failure_call=call("ecs", "describe_revision"),
        failure_path="Why",
    )
    reasons: list[Any] = [{"Why": "no"}, make_aws_error("Busy"), {"Why": None}, *[{"Why": "not allowed."}] * 3]
    act, caller, _ = actuator(iter([answer for reason in reasons for answer in ({"S": "busy"}, reason)]))

    with pytest.raises(StepFailedError, match=r"S is busy and cannot succeed \(not allowed\)\. Look\."):
        act.perform(step)
    assert len(caller.calls) == 12


def test_a_wait_that_runs_out_is_unsettled_not_failed() -> None:
    """The calls worked; only the thing is not well yet."""
    act, _, clock = actuator(iter(lambda: {"S": "creating"}, None))

    with pytest.raises(WaitTimeoutError, match="still creating after 30s"):
        act.perform(Wait(call("rds", "describe_x"), "S", ("ok",), timeout_seconds=30))
    assert clock.now <= 30


def test_waiting_for_deletion_ends_with_not_found() -> None:
    """Gone is reached when AWS no longer knows it."""
    act, _, _ = actuator(iter([{"S": "deleting"}, make_aws_error("DBInstanceNotFound")]))

    assert act.perform(Wait(call("rds", "describe_x"), "S", deleted_codes=("DBInstanceNotFound",))) == {}


def test_generated_secrets_are_long_random_and_hidden() -> None:
    """Letters and digits only, never twice the same, never in text."""
    act, _, _ = actuator(iter([]))
    first, second = act.perform(GenerateSecret(40)), act.perform(GenerateSecret(40))

    assert isinstance(first, Sensitive)
    assert len(first.secret) == 40
    assert set(first.secret) <= set(string.ascii_letters + string.digits)
    assert first.secret != second.secret
    assert first.secret not in repr(first)


def test_a_secret_answer_stays_secret_through_a_computation() -> None:
    """What is computed from a secret is a secret; it is revealed only in the call itself."""
    act, caller, _ = actuator(iter([{"SecretString": "pw"}, {}]))
    secret = act.perform(ApiCall("secretsmanager", "get_secret_value", {}, is_sensitive=True))
    password = act.perform(Compute("password", lambda answer: answer["SecretString"], (secret,)))
    act.perform(call("rds", "modify_db_instance", MasterUserPassword=password))

    assert isinstance(password, Sensitive)
    assert caller.calls[-1][2] == {"MasterUserPassword": "pw"}


def test_a_sweep_goes_on_until_nothing_is_listed() -> None:
    """Emptying a bucket takes as many rounds as it has pages."""
    listings = iter([{"V": [1, 2]}, {}, {"V": [3]}, {}, {"V": []}])
    act, caller, _ = actuator(listings)

    def remove(answer: Any) -> ApiCall | None:
        return call("s3", "delete_objects", Objects=answer["V"]) if answer["V"] else None

    act.perform(Sweep(call("s3", "list_object_versions"), "delete_objects", remove, "empty it"))

    assert [asked[2] for asked in caller.calls if asked[1] == "delete_objects"] == [
        {"Objects": [1, 2]},
        {"Objects": [3]},
    ]


def test_a_batch_that_did_not_do_its_part_is_a_failure() -> None:
    """S3 answers 200 and lists what it would not delete: a sweep that went on would never end."""
    listed = {"V": [1]}
    refused = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "a legal hold"}]}
    act, _, _ = actuator(iter([listed, refused]))
    step = Sweep(
        call("s3", "list_object_versions"),
        "delete_objects",
        lambda _: call("s3", "delete_objects"),
        "delete every version",
    )

    with pytest.raises(StepFailedError, match="delete every version: AccessDenied: a legal hold"):
        act.perform(step)
