"""The IAM actions that plans and hints name are actions of AWS: IAM accepts a policy with unknown names silently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
from botocore import xform_name

from orchestrator.aws.errors import AwsError
from orchestrator.iam_actions import IAM_ACTIONS_BY_API_CALL, list_required_actions
from tests.bootstrap.service_authorization import find_action
from tests.resources import cases

PRODUCT = Path(__file__).parents[1] / "orchestrator"
_WORD = re.compile(r'"([a-z0-9]+(?:_[a-z0-9]+)+)"')
_PAIR = re.compile(r'"([a-z0-9-]+)",\s*"([a-z0-9_]+)"')


def iter_operations() -> Iterator[tuple[str, str]]:
    """Yield botocore's service and operation of each call in the product's source that can be told from its text.

    A call names both next to each other, or an operation that only one of the services has.
    """
    session = botocore.session.get_session()
    texts = [path.read_text() for path in PRODUCT.rglob("*.py") if "emulator" not in path.parts]
    named = {pair for text in texts for pair in _PAIR.findall(text)}
    services = {service for service, _ in named} & set(session.get_available_services())
    operations = {
        service: {xform_name(name) for name in session.get_service_model(service).operation_names}
        for service in services
    }
    words = {word for text in texts for word in _WORD.findall(text)}
    for service, names in operations.items():
        others = set().union(*(operations[other] for other in services - {service}))
        for name in sorted(names):
            if (service, name) in named or (name in words and name not in others):
                yield service, name


def test_every_action_of_every_step_exists() -> None:
    """All steps of all resource types; the service authorization reference is the judge."""
    steps = {step.action for case in cases.load_all() for step in case.steps}
    actions = list_required_actions([*steps, *IAM_ACTIONS_BY_API_CALL])

    assert len(actions) > 100
    assert [action for action in actions if find_action(action) is None] == []


def test_every_denied_call_names_actions_that_exist() -> None:
    """Reads, too: `s3:HeadObject`, `elbv2:...` and `service-quotas:...` exist in no policy."""
    errors = [AwsError(service, name, "AccessDenied", "") for service, name in iter_operations()]

    assert len(errors) > 240
    actions = {action for error in errors for action in error.iam_actions.split(", ")}
    assert [action for action in sorted(actions) if find_action(action) is None] == []


def test_a_copy_reads_and_writes() -> None:
    assert list_required_actions(["s3:CopyObject"]) == ("s3:GetObject", "s3:PutObject")
