"""Every step of every case of every resource type is allowed by a role made for that resource alone.

``tests/resources/*.yaml`` change each option of each type, also those that no emulated stack gets to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from orchestrator.problems import Position
from orchestrator.steps import Batch, to_operation_name
from orchestrator.values import Sensitive, Unknown, WriteOnly
from orchestrator.vocabulary import DesiredState, Resource
from tests.bootstrap.iam_requests import Call, Environment
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.roles import Roles
from tests.resources import cases

ARTEFACTS = {"ecr_image", "migration", "s3_model", "s3_site"}
"""These come with a component; ``test_lifecycle.py`` covers them."""
GATE = {"iam_oidc_provider", "iam_policy"}
COMPANIONS = {
    "apprunner_service": "apprunner_autoscaling",
    "rds_instance": "secretsmanager_secret",
    "secretsmanager_value": "secretsmanager_secret",
}
"""The type whose rights a step needs as well: passwords are read from a secret."""
NAMING_KEYS = {"Id", "ServiceArn", "logGroupName", "serviceArn", "serviceDeploymentArns", "serviceRevisionArns"}
"""Parameters that name the resource; a call is left out while AWS has not told them."""
DENIED_ON_PURPOSE = {"iam:DeleteRolePermissionsBoundary", "iam:UpdateRole"}
"""What only administrators do: bootstrap sets how long a session of a workflow lasts."""
ENVIRONMENT = Environment("shop", "prod")
ALL_CASES = [case for case in cases.load_all() if case.type not in ARTEFACTS | GATE]


def list_requests(case: cases.Case) -> list[Request]:
    """The requests of all its steps, as far as their resources are known before AWS answers."""
    requests = ENVIRONMENT.iter_requests(_list_calls(case))
    return [request for request in requests if request.action not in DENIED_ON_PURPOSE]


@cache
def roles_for(case_index: int) -> Roles:
    """The roles for the resource of a case; what is deleted may be."""
    case = ALL_CASES[case_index]
    spec: Mapping[str, Any] = case.spec if case.desired is not None else {**case.live.spec} if case.live else {}
    tags = _resolve(spec.get("tags")) or {}
    deletable_spec = {**spec, "tags": {**tags, "orchestrator:deletion-policy": "delete"}}
    types = [case.type, *([COMPANIONS[case.type]] if case.type in COMPANIONS else [])]
    where = Position("x.yaml", 1, 1)
    resources = [Resource(kind, "main", case.name, deletable_spec, "x.main", where) for kind in types]
    return Roles(DesiredState(cases.SCOPE, tuple(resources)))


@pytest.mark.parametrize("index", range(len(ALL_CASES)), ids=lambda index: f"{ALL_CASES[index].type}-{index}")
def test_every_step_is_allowed(index: int) -> None:
    case = ALL_CASES[index]

    assert roles_for(index).list_denied("deploy", list_requests(case)) == [], case.description


def _list_calls(case: cases.Case) -> Iterator[Call]:
    for step in case.recording.steps:
        calls = step.calls if isinstance(step, Batch) else (cases.extract_call(step),)
        for call in calls:
            parameters = _resolve(call.parameters) if call is not None else {}
            is_named = call is not None and not (call.parameters.keys() - parameters.keys()) & NAMING_KEYS
            if call is not None and is_named:
                yield call.service, to_operation_name(call.operation), _as_bootstrapped(call.operation, parameters)


def _as_bootstrapped(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters as a project with a permissions boundary has them."""
    is_bounded = operation in {"create_role", "put_role_permissions_boundary"}
    return {**parameters, **({"PermissionsBoundary": ENVIRONMENT.boundary} if is_bounded else {})}


def _resolve(value: Any) -> Any:
    """The value with what only AWS can tell left out."""
    match value:
        case Sensitive() | WriteOnly():
            return _resolve(value.value) if isinstance(value, WriteOnly) else "secret"
        case Unknown():
            return None
        case Mapping():
            resolved = {key: _resolve(item) for key, item in value.items()}
            return {key: item for key, item in resolved.items() if item is not None}
        case list() | tuple():
            items = [item for item in map(_resolve, value) if item is not None]
            return items or None if value else items
        case str() if value.startswith("arn:aws:iam::123456789012:role/"):
            return f"arn:aws:iam::123456789012:role{ENVIRONMENT.role_path}{value.rpartition('/')[2]}"
        case "/orchestrator/shop/test/":
            return ENVIRONMENT.role_path
    return value
