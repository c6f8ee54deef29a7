"""What "already exists" is worth, for every resource type: the real identity, or a failure; never a guess.

AWS answers a repeated creation with an error of its own per service (API references, "Errors" of each Create call), and
its reads lag behind (IAM, CloudFront, EC2, tagging: "eventual consistency"), so the answer alone tells nothing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator import resources
from orchestrator.aws import AwsError, Clients, Reader, StepExecutor, StepFailedError
from orchestrator.problems import Problems
from orchestrator.steps import ApiCall, execute_steps, is_read
from orchestrator.vocabulary import Action, Scope
from tests.aws.fake_clients import FakeClock
from tests.resources import cases
from tests.resources.cases import SCOPE, Case
from tests.resources.conftest import Aws
from tests.resources.test_cases import BACKENDS, do, said

OTHER = Scope("other", "prod", SCOPE.account, SCOPE.region)
CREATIONS = [case for case in cases.load_all() if case.action is Action.CREATE]
SAYS_EXISTS = re.compile(r"Already|Duplicate|Exists")
ACCEPTED_AS_DONE = {
    ("ec2", "authorize_security_group_ingress"): "the rule is its own identity",
    ("ec2", "authorize_security_group_egress"): "the rule is its own identity",
    ("ec2", "create_default_vpc"): "there is one at most, and it is read next",
    ("logs", "create_log_group"): "the runtime creates it too; its retention is set next",
    ("rds", "create_db_snapshot"): "its name has the database and the build: an earlier attempt made it",
}
"""Creations whose "already exists" needs no reading, and why."""
WITHOUT_EXISTING = {
    "apprunner_autoscaling": "a second creation makes a revision",
    "apprunner_connector": "App Runner refuses a name in use, which fails the change",
    "apprunner_observability": "a second creation makes a revision",
    "apprunner_service": "App Runner refuses a name in use, which fails the change",
    "cloudwatch_alarm": "PutMetricAlarm creates or replaces",
    "ecr_image": "a tag is the hash of what it was built from",
    "ec2_vpc": "shared, and never changed",
    "s3_bucket_cors": "a setting of a bucket",
    "s3_bucket_policy": "a setting of a bucket",
    "s3_model": "a file of a bucket",
    "s3_site": "files of a bucket",
    "secretsmanager_value": "a value of a secret",
    "sns_topic": "CreateTopic returns the topic of that name, or refuses other settings",
}
"""Types whose creation cannot meet a resource that was not planned with, and why."""


def creating_calls(case: Case) -> list[ApiCall]:
    return [call for call in case.calls if not is_read(call.operation)]


CLAIMING = [case for case in CREATIONS if any(call.exists_codes for call in creating_calls(case))]
EMULATED = [case for case in CLAIMING if case.emulated]
NAMED = [case for case in EMULATED if case.type != "cloudfront_distribution"]
"""Cases of types whose name others may have taken; another project's distribution has another caller reference."""


def test_every_type_reads_what_exists_or_says_why_it_need_not() -> None:
    """A new type has to decide."""
    claiming = {case.type for case in CLAIMING}

    assert claiming | WITHOUT_EXISTING.keys() == set(resources.list_types())
    assert claiming & WITHOUT_EXISTING.keys() == set()


@pytest.mark.parametrize("case", CREATIONS, ids=said)
def test_no_creation_takes_already_exists_for_done(case: Case) -> None:
    """It is in ``exists_codes``, with a reading of what is there."""
    taken = [
        (call.service, call.operation)
        for call in creating_calls(case)
        if any(SAYS_EXISTS.search(error) or ": " in error for error in call.ok_codes)
    ]
    unread = [call.operation for call in creating_calls(case) if call.exists_codes and _reads_nothing(call)]

    assert set(taken) - ACCEPTED_AS_DONE.keys() == set()
    assert unread == []


def _reads_nothing(call: ApiCall) -> bool:
    return call.read_existing in (None, ApiCall("", "", {}).read_existing)


class StaleClients:
    """An AWS whose reads go on answering as before a creation, ``count`` times each."""

    def __init__(self, clients: Clients, count: int) -> None:
        self._clients = clients
        self._count = count
        self._answers: dict[str, Any] = {}
        self._served: dict[str, int] = {}
        self.is_stale = False

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        return self._answer("call", service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        return list(self._answer("pages", service, operation, parameters, region))

    def _answer(self, kind: str, service: str, operation: str, parameters: dict[str, Any], region: str | None) -> Any:
        key = json.dumps((kind, service, operation, parameters, region), sort_keys=True, default=str)
        if self.is_stale and key in self._answers and self._served.get(key, 0) < self._count:
            self._served[key] = self._served.get(key, 0) + 1
            return _give(self._answers[key])
        try:
            answer = _without_streams(getattr(self._clients, kind)(service, operation, parameters, region))
        except AwsError as error:
            answer = error
        if not self.is_stale and is_read(operation):
            self._answers[key] = answer
        return _give(answer)


def _give(answer: Any) -> Any:
    if isinstance(answer, AwsError):
        raise answer
    return copy.deepcopy(answer)


def _without_streams(answer: Any) -> Any:
    """Return an answer with its bodies read: a stream can be read only once."""
    if not isinstance(answer, dict):
        return answer
    return {key: item.read() if hasattr(item, "read") else item for key, item in answer.items()}


@pytest.mark.both_backends
@pytest.mark.parametrize("running", BACKENDS, indirect=True)
@pytest.mark.parametrize("count", [3, 10**6], ids=["for a while", "for ever"])
@pytest.mark.parametrize("case", EMULATED, ids=said)
def test_a_creation_that_reads_do_not_show_yet(case: Case, aws: Aws, count: int) -> None:
    """An earlier attempt made it: the second returns what the first would have, or fails, and waits in between."""
    clients = StaleClients(aws.clients, count)
    assert case.module.read(Reader(clients), SCOPE, case.name, case.spec) is None
    first = do(aws, case.module.create(SCOPE, case.name, case.spec))
    clients.is_stale = True

    second = attempt(clients, SCOPE, case, case.spec)

    assert second in (first, "failed") if count > 3 else second == first


@pytest.mark.both_backends
@pytest.mark.parametrize("running", BACKENDS, indirect=True)
@pytest.mark.parametrize("case", NAMED, ids=said)
def test_what_somebody_else_created_is_left_alone(case: Case, aws: Aws) -> None:
    """It was not there when the plan was made: nothing is changed, and nothing continues with it."""
    theirs = _replace_text(case.spec, (f"{SCOPE.project}/", "other/"), (SCOPE.project, "other"))
    do(aws, case.module.create(OTHER, case.name, theirs))
    before = _state(aws, case, theirs)

    second = attempt(aws.clients, SCOPE, case, case.spec)

    is_shared = case.type == "iam_oidc_provider"  # all projects of an account use one
    assert is_shared or second == "failed" or second != before[1]
    assert _state(aws, case, theirs) == before


def attempt(clients: Any, scope: Scope, case: Case, spec: Mapping[str, Any]) -> Any:
    """Return the outputs of a creation, or "failed"; time is a fake."""
    try:
        perform = StepExecutor(clients, FakeClock()).perform
        return dict(execute_steps(case.module.create(scope, case.name, spec), perform))
    except (StepFailedError, Problems):
        return "failed"


def _state(aws: Aws, case: Case, spec: Mapping[str, Any]) -> Any:
    live = case.module.read(aws.reader(), OTHER, case.name, spec)
    assert live is not None
    return live.spec, live.outputs, live.owner


def _replace_text(value: Any, *pairs: tuple[str, str]) -> Any:
    """Return a spec with another owner in its tags, comments and paths."""
    match value:
        case Mapping():
            return {key: _replace_text(item, *pairs) for key, item in value.items()}
        case str():
            for old, new in pairs:
                value = new if value == old else value.replace(old, new) if old.endswith("/") else value
            return value
        case _:
            return value
