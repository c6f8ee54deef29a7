"""The IAM actions that a plan names are actions of AWS: IAM takes a policy with unknown names without a word."""

from __future__ import annotations

from orchestrator.render.iam_actions import IAM_ACTIONS_BY_API_CALL, list_required_actions
from tests.bootstrap.service_authorization import find_action
from tests.resources import cases


def test_every_action_of_every_step_exists() -> None:
    """All steps of all resource types; the service authorization reference is the judge."""
    steps = {step.action for case in cases.load_all() for step in case.steps}
    actions = list_required_actions([*steps, *IAM_ACTIONS_BY_API_CALL])

    assert len(actions) > 100
    assert [action for action in actions if find_action(action) is None] == []


def test_a_copy_reads_and_writes() -> None:
    assert list_required_actions(["s3:CopyObject"]) == ("s3:GetObject", "s3:PutObject")
