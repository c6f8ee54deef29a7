"""What may be applied on the main branch without a further review: of each policy, action, effect and review."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.github import approval_policy
from orchestrator.github.approval_policy import ApprovalPolicy, unsafe_reason
from orchestrator.github.reviewed_plan import ReviewedPlan, from_plan, hash_change
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

RELEASED = {"bucket.files", "database.main"}
BUCKET = Change(
    address="s3_bucket.files",
    component="bucket.files",
    physical="shop-files",
    action=Action.UPDATE,
    stateful=True,
    fields=(FieldChange(("versioning",), False, True),),
)
ROLE = Change(address="iam_role.api", component="containerservice.api", physical="shop-api", action=Action.CREATE)


def plan(*changes: Change, digest: str = "d1") -> Plan:
    return Plan("shop", "prod", "123456789012", "eu-west-1", changes, digest=digest)


def changed(base: Change, **fields: Any) -> Change:
    from msgspec.structs import replace

    return replace(base, **fields)


REASONS: dict[str, tuple[Change, str]] = {
    "a creation": (ROLE, ""),
    "a creation of what holds data": (changed(BUCKET, action=Action.CREATE), ""),
    "an update": (changed(ROLE, action=Action.UPDATE), ""),
    "a deletion": (changed(ROLE, action=Action.DELETE), "delete"),
    "a replacement": (changed(ROLE, action=Action.REPLACE), "replace"),
    "an update of what holds data": (BUCKET, "it contains data"),
    "what holds data and was never released": (changed(BUCKET, component="bucket.new"), ""),
    "an interruption": (changed(ROLE, action=Action.UPDATE, effects=("restarts",)), "it can interrupt the service"),
    "an interruption of a creation": (changed(ROLE, effects=("restarts",)), "it can interrupt the service"),
}


@pytest.mark.parametrize(("change", "reason"), REASONS.values(), ids=REASONS)
def test_a_change_is_safe_or_says_why_not(change: Change, reason: str) -> None:
    assert unsafe_reason(change, RELEASED) == reason


SAFE = ", and `approval: safe` in the Project requires a review of every unsafe change"
DELETION = changed(ROLE, action=Action.DELETE)
DECISIONS: dict[str, tuple[ApprovalPolicy, Plan, list[ReviewedPlan], bool, str]] = {
    "nothing to do": ("strict", plan(changed(ROLE, action=Action.NONE)), [], True, "no changes"),
    "no policy": ("none", plan(DELETION), [], True, "the Project has `approval: none`"),
    "the reviewed plan": ("strict", plan(DELETION), [ReviewedPlan("d1")], True, "this exact plan was reviewed"),
    "its changes, one by one": (
        "strict",
        plan(DELETION, BUCKET, digest="d2"),
        [from_plan(plan(DELETION)), from_plan(plan(BUCKET))],
        True,
        "every change was reviewed",
    ),
    "one that was not, but is safe": (
        "safe", plan(ROLE), [], True, "1 change is not reviewed, but safe",
    ),
    "two that were not, but are safe": (
        "safe",
        plan(ROLE, changed(ROLE, address="iam_role.b")),
        [],
        True,
        "2 changes are not reviewed, but safe",
    ),
    "a safe one, strictly": (
        "strict",
        plan(ROLE),
        [],
        False,
        "no plan was reviewed for this commit, and `approval: strict` in the Project requires a review of every change",
    ),
    "one that is not safe": (
        "safe",
        plan(ROLE, DELETION),
        [ReviewedPlan("d0")],
        False,
        f"the plan differs from the reviewed plan{SAFE}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("policy", "made", "reviews", "approved", "reason"), DECISIONS.values(), ids=DECISIONS)
def test_a_plan_is_approved_or_not(
    policy: ApprovalPolicy, made: Plan, reviews: list[ReviewedPlan], approved: bool, reason: str
) -> None:
    decision = approval_policy.decide(made, policy, iter(reviews), RELEASED)

    assert (decision.is_approved, decision.reason) == (approved, reason)
    assert bool(decision.unreviewed_changes) is not approved


def test_every_change_that_blocks_is_told_with_its_reason() -> None:
    """Only those: what is safe, or was reviewed, is not among them."""
    reviewed = ReviewedPlan("d0", {DELETION.address: "of another change", "sns_topic.a": hash_change(ROLE)})
    made = plan(changed(ROLE, address="iam_role.safe"), DELETION, BUCKET)

    decision = approval_policy.decide(made, "safe", [reviewed], RELEASED)
    strict = approval_policy.decide(plan(ROLE), "strict", [], RELEASED)

    assert decision.unreviewed_changes == (
        "iam_role.api: delete differs from the reviewed change",
        "s3_bucket.files: update (versioning) was not reviewed; it contains data",
    )
    assert strict.unreviewed_changes == ("iam_role.api: create was not reviewed",)
