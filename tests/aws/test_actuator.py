"""Steps performed: retries, waits, secrets, sweeps; time is a fake."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.aws import Actuator, StepFailedError, UnsettledError
from orchestrator.steps import Call, Compute, Generate, Sweep, Wait, call
from orchestrator.values import Sensitive
from tests.aws.fakes import Scripted, StillClock, refusal


def actuator(answers: Iterator[Any]) -> tuple[Actuator, Scripted, StillClock]:
    """An actuator whose AWS gives these answers in turn."""
    caller, clock = Scripted(lambda *_: next(answers)), StillClock()
    return Actuator(caller, clock), caller, clock


def test_a_call_whose_work_is_done_already_is_no_failure() -> None:
    """After a crash, creating again is fine when AWS says it is there."""
    act, _, _ = actuator(iter([refusal("EntityAlreadyExists")]))

    assert act.perform(Call("iam", "create_role", {}, ok=("EntityAlreadyExists",))) == {}


def test_a_call_is_tried_again_on_the_named_codes_and_texts_only() -> None:
    """A role that is not known everywhere yet is waited for; another refusal is final."""
    step = Call(
        "apprunner", "create_service", {}, retry=("InvalidRequestException",), retry_text="assuming", patience=60
    )
    act, caller, clock = actuator(
        iter([refusal("InvalidRequestException", "Error in assuming instance role"), {"Service": {}}])
    )

    assert act.perform(step) == {"Service": {}}
    assert len(caller.asked) == 2
    assert clock.now < 1

    act, caller, _ = actuator(iter([refusal("InvalidRequestException", "cpu is wrong")]))
    with pytest.raises(StepFailedError, match="cpu is wrong"):
        act.perform(step)


def test_patience_ends_and_the_last_refusal_is_told_with_its_request_id() -> None:
    """Retrying stops near its time, quick at first and never slower than every ten seconds."""
    act, _caller, clock = actuator(iter(lambda: refusal("Busy"), None))

    with pytest.raises(StepFailedError, match="Busy") as failed:
        act.perform(Call("iam", "create_role", {}, retry=("Busy",), patience=120))
    assert failed.value.request_id == "req-9"
    assert 60 < clock.now <= 120
    assert clock.pauses[0] == pytest.approx(0.05)
    assert max(clock.pauses) <= 10


def test_a_wait_ends_when_the_state_is_reached() -> None:
    """The answer that showed the state is the wait's answer."""
    states = [{"DB": [{"S": "creating"}]}, {"DB": [{"S": "available"}]}]
    act, _, _ = actuator(iter(states))

    assert act.perform(Wait(call("rds", "describe_db_instances"), "DB[0].S", ("available",))) == states[1]


def test_a_wait_outlasts_an_aws_that_is_busy_and_no_dead_network() -> None:
    """A deployment of minutes does not fail for one look at it; five in a row are no chance."""
    busy, done = refusal("RequestLimitExceeded"), {"Status": "RUNNING"}
    act, caller, _ = actuator(iter([busy, busy, {"Status": "PENDING"}, *([refusal("Unreachable")] * 4), done]))

    assert act.perform(Wait(call("apprunner", "describe_service"), "Status", until=("RUNNING",))) == done
    assert len(caller.asked) == 8

    act, caller, _ = actuator(iter(lambda: refusal("Unreachable"), None))
    with pytest.raises(StepFailedError, match="Unreachable"):
        act.perform(Wait(call("apprunner", "describe_service"), "Status", until=("RUNNING",)))
    assert len(caller.asked) == 5


def test_a_wait_that_sees_a_failed_state_fails_with_what_to_look_at() -> None:
    """AWS's own 'failed' is not waited out."""
    act, _, _ = actuator(iter([{"S": "failed"}]))

    with pytest.raises(StepFailedError, match=r"S became failed\. Look at the events\."):
        act.perform(Wait(call("rds", "describe_x"), "S", ("ok",), failed=("failed",), stuck="Look at the events."))


def test_a_failed_wait_tells_the_last_words_of_its_log() -> None:
    """Those of the newest stream; and where they may not be read, the failure is told all the same."""
    step = Wait(
        call("apprunner", "list_x"), "S", ("ok",), failed=("bad",), stuck="Look.", log="/aws/apprunner/api/1/service"
    )
    streams = {"logStreams": [{"logStreamName": "events"}]}
    act, caller, _ = actuator(iter([{"S": "bad"}, streams, {"events": [{"message": "Health check failed.\n"}]}]))

    with pytest.raises(StepFailedError, match=r"S became bad, and its log says: Health check failed\. Look\."):
        act.perform(step)
    assert caller.asked[-1][2]["logStreamName"] == "events"
    answers: list[Any]
    for answers in ([refusal("AccessDenied")], [{"logStreams": []}]):
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

    step = Wait(call("ecs", "describe_x"), "S", until=("good",), failed=("bad",), log="group")
    with pytest.raises(StepFailedError, match="its log says: no database"):
        Actuator(Scripted(answer), StillClock()).perform(step)


def test_a_failed_wait_tells_awss_own_reason() -> None:
    """Where the answer holds one."""
    step = Wait(call("ecs", "describe_x"), "S", until=("good",), failed=("bad",), why="Why", stuck="Look.")
    act, _, _ = actuator(iter([{"S": "bad", "Why": "it was rolled back."}]))

    with pytest.raises(StepFailedError, match=r"S became bad \(it was rolled back\)\. Look\."):
        act.perform(step)


def test_a_refusal_comes_with_what_to_do_about_it() -> None:
    """Where the code of the refusal is one that says so."""
    step = Call("iam", "create_role", {}, advice={"Closed": "Take the other road."})
    act, _, _ = actuator(iter([refusal("Closed"), refusal("Other")]))

    with pytest.raises(StepFailedError, match=r"no \(request req-9\)\. Take the other road\.$"):
        act.perform(step)
    with pytest.raises(StepFailedError, match=r"no \(request req-9\)$"):
        act.perform(step)


def test_a_wait_that_runs_out_is_unsettled_not_failed() -> None:
    """The calls worked; only the thing is not well yet."""
    act, _, clock = actuator(iter(lambda: {"S": "creating"}, None))

    with pytest.raises(UnsettledError, match="still creating after 30 s"):
        act.perform(Wait(call("rds", "describe_x"), "S", ("ok",), patience=30))
    assert clock.now <= 30


def test_waiting_for_deletion_ends_with_not_found() -> None:
    """Gone is reached when AWS no longer knows it."""
    act, _, _ = actuator(iter([{"S": "deleting"}, refusal("DBInstanceNotFound")]))

    assert act.perform(Wait(call("rds", "describe_x"), "S", gone=("DBInstanceNotFound",))) == {}


def test_generated_secrets_are_long_random_and_hidden() -> None:
    """Letters and digits only, never twice the same, never in text."""
    act, _, _ = actuator(iter([]))
    first, second = act.perform(Generate(40)), act.perform(Generate(40))

    assert isinstance(first, Sensitive)
    assert len(first.secret) == 40
    assert set(first.secret) <= set(string.ascii_letters + string.digits)
    assert first.secret != second.secret
    assert first.secret not in repr(first)


def test_a_secret_answer_stays_secret_through_a_computation() -> None:
    """What is computed from a secret is a secret; it is revealed only in the call itself."""
    act, caller, _ = actuator(iter([{"SecretString": "pw"}, {}]))
    secret = act.perform(Call("secretsmanager", "get_secret_value", {}, sensitive=True))
    password = act.perform(Compute("password", lambda answer: answer["SecretString"], (secret,)))
    act.perform(call("rds", "modify_db_instance", MasterUserPassword=password))

    assert isinstance(password, Sensitive)
    assert caller.asked[-1][2] == {"MasterUserPassword": "pw"}


def test_a_sweep_goes_on_until_nothing_is_listed() -> None:
    """Emptying a bucket takes as many rounds as it has pages."""
    listings = iter([{"V": [1, 2]}, {}, {"V": [3]}, {}, {"V": []}])
    act, caller, _ = actuator(listings)

    def remove(answer: Any) -> Call | None:
        return call("s3", "delete_objects", Objects=answer["V"]) if answer["V"] else None

    act.perform(Sweep(call("s3", "list_object_versions"), "delete_objects", remove, "empty it"))

    assert [asked[2] for asked in caller.asked if asked[1] == "delete_objects"] == [
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
