"""The check that every apply of the tests makes would see a call that was not planned, and one that was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.planning.plan import PreparedPlan, build
from orchestrator.vocabulary import DesiredState, PlannedStep
from tests import performed_calls
from tests.planning.test_plan import SCOPE, allow, role, snapshot


class Aws:
    """An AWS that says yes."""

    def call(self, *_: Any) -> dict[str, Any]:
        return {"Role": {"Arn": "arn:aws:iam::123456789012:role/x"}, "ResponseMetadata": {}}


def plan_roles() -> PreparedPlan:
    return build(DesiredState(SCOPE, (role("a", allow("x")), role("b"))), snapshot())


def with_steps(prepared: PreparedPlan, edit: Callable[[tuple[PlannedStep, ...]], tuple[PlannedStep, ...]]) -> Any:
    first, *rest = prepared.plan.changes
    changed = replace(first, steps=edit(first.steps))
    return replace(prepared, plan=replace(prepared.plan, changes=(changed, *rest)))


def rename(step: PlannedStep) -> PlannedStep:
    return replace(step, parameters={**step.parameters, "RoleName": "another"})


TAMPERED: dict[str, Callable[[tuple[PlannedStep, ...]], tuple[PlannedStep, ...]]] = {
    "a call that the plan does not show": lambda steps: steps[:-1],
    "a call that is not made": lambda steps: (*steps, steps[-1]),
    "another order": lambda steps: steps[::-1],
    "another parameter": lambda steps: (rename(steps[0]), *steps[1:]),
}


def test_what_is_performed_as_planned_passes() -> None:
    outcomes = performed_calls.apply(plan_roles(), clients=Aws())

    assert [outcome.actuation for outcome in outcomes] == ["succeeded"] * 2


@pytest.mark.parametrize("edit", TAMPERED.values(), ids=TAMPERED)
def test_what_is_performed_otherwise_fails(edit: Any) -> None:
    with pytest.raises(AssertionError, match=r"iam_role\.a: planned"):
        performed_calls.apply(with_steps(plan_roles(), edit), clients=Aws())


def test_a_change_that_is_not_in_the_plan_fails() -> None:
    prepared = plan_roles()
    record = performed_calls.PerformedSteps()
    caller = performed_calls.RecordingCaller(Aws())
    caller.call("s3", "delete_bucket", {})
    record.steps["s3_bucket.x"].append(PlannedStep("s3:DeleteBucket"))

    assert performed_calls.find_deviations(prepared.plan, (), record) == ["s3_bucket.x: is not in the plan"]
    assert performed_calls.find_unplanned_calls(prepared.plan, caller) == ["s3:DeleteBucket"]


def test_a_reference_may_be_whatever_aws_resolves_it_to_and_nothing_else_may() -> None:
    planned = PlannedStep("a:B", {"Arn": "${x.y.arn}", "Policy": '{"a": ["arn:${x.y.id}/*"], "b": 1}', "n": [1, 2]})
    same = {"Arn": "arn:1", "Policy": '{"a":["arn:7/*"],"b":1}', "n": [1, 2]}

    assert performed_calls.matches(planned, PlannedStep("a:B", same))
    for changed in (
        {"Policy": '{"a":["arn:7/x"],"b":1}'},
        {"Policy": '{"a":["arn:7/*"],"b":2}'},
        {"n": [2, 1]},
        {"more": 1},
    ):
        assert not performed_calls.matches(planned, PlannedStep("a:B", {**same, **changed})), changed
    assert not performed_calls.matches(planned, PlannedStep("a:C", same))
