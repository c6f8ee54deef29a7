"""Changes are generators: recorded for a plan, played for an apply."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.steps import (
    ApiCall,
    Compute,
    GenerateSecret,
    Step,
    Steps,
    Wait,
    call,
    execute_steps,
    is_read,
    to_planned_step,
    trace_steps,
)
from orchestrator.values import Sensitive, Unknown, UnknownValueError


def make_database() -> Steps:
    """A change with an answer passed on, a secret, a computation and a wait."""
    secret = yield ApiCall("secretsmanager", "get_secret_value", {"SecretId": "app"}, is_sensitive=True)
    password = yield Compute("password", lambda answer: answer["SecretString"], (secret,))
    made = yield call("rds", "create_db_instance", DBInstanceIdentifier="main", MasterUserPassword=password)
    yield Wait(call("rds", "describe_db_instances"), "DBInstances[0].DBInstanceStatus", ("available",))
    return {"name": "main", "host": made["DBInstance"]["Endpoint"]}


def test_recording_shows_every_call_and_no_secret() -> None:
    """The plan names the exact calls; what is secret or not yet known is named, not shown."""
    recording = trace_steps("rds_instance.main", make_database())
    shown = [to_planned_step(step) for step in recording.steps]

    assert [step.action for step in shown] == [
        "secretsmanager:GetSecretValue",
        "compute",
        "rds:CreateDBInstance",
        "rds:DescribeDBInstances",
    ]
    assert shown[2].parameters == {"DBInstanceIdentifier": "main", "MasterUserPassword": "(secret)"}
    assert shown[3].note == "wait until DBInstances[0].DBInstanceStatus is available"
    assert recording.outputs["name"] == "main"
    assert isinstance(recording.outputs["host"], Unknown)


def test_playing_passes_answers_along() -> None:
    """The same generator, with answers, leaves final outputs."""
    seen: list[Step] = []

    def perform(step: Step) -> Any:
        seen.append(step)
        match step:
            case ApiCall(_, "get_secret_value"):
                return Sensitive({"SecretString": "pw"})
            case Compute(_, function, arguments):
                return Sensitive(function(*(argument.secret for argument in arguments)))
            case _:
                return {"DBInstance": {"Endpoint": "db.example"}}

    outputs = execute_steps(make_database(), perform)

    assert outputs == {"name": "main", "host": "db.example"}
    assert isinstance(seen[2], ApiCall)
    assert seen[2].parameters["MasterUserPassword"] == Sensitive("pw")


def test_a_change_that_decides_by_an_answer_cannot_be_planned() -> None:
    """A generator that branches on what AWS will say is a bug, told at planning time."""

    def branching() -> Steps:
        answer = yield call("apprunner", "describe_service")
        if answer["Status"] == "RUNNING":
            yield call("apprunner", "pause_service")
        return {}

    with pytest.raises(UnknownValueError):
        trace_steps("apprunner_service.api", branching())


def test_generated_secrets_are_unknown_and_secret_while_planning() -> None:
    """A plan holds no password, not even one that nobody will use."""

    def generating() -> Steps:
        password = yield GenerateSecret(40)
        yield call("x", "put", Password=password)
        return {}

    shown = [to_planned_step(step) for step in trace_steps("a.b", generating()).steps]

    assert shown[0].note == "40 random characters"
    assert shown[1].parameters == {"Password": "(secret)"}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("describe_db_instances", True),
        ("list_roles", True),
        ("get_role", True),
        ("head_bucket", True),
        ("get_secret_value", False),
        ("get_authorization_token", False),
        ("create_role", False),
        ("put_bucket_policy", False),
    ],
)
def test_the_read_list(operation: str, *, expected: bool) -> None:
    """Reads change nothing and hand out no secret."""
    assert is_read(operation) is expected
