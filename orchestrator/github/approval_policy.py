"""Decide whether a plan may be applied on the main branch without a further review.  Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, Literal

from msgspec import Struct

from orchestrator import resources
from orchestrator.github.reviewed_plan import ReviewedPlan
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.render.field_values import shorten
from orchestrator.vocabulary import Action, Change, Plan

ApprovalPolicy = Literal["review", "strict", "safe", "none"]

LOOSEST_FIRST: Final[tuple[ApprovalPolicy, ...]] = ("none", "safe", "strict", "review")
STRICT_POLICIES = frozenset({"review", "strict"})
"""Policies under which only reviewed changes are applied; `review` also asks who has approved them."""


class ApprovalDecision(Struct, frozen=True):
    """Whether the plan is approved, the ``reason``, and a sentence for each change that blocks it.

    ``rejected_reviews`` says of each merged pull request whose plan does not count why not.  ``needs_other_person``:
    who has written a change cannot approve it.
    """

    is_approved: bool
    reason: str
    unreviewed_changes: tuple[str, ...] = ()
    rejected_reviews: tuple[str, ...] = ()
    needs_other_person: bool = False


def effective_policy(declared: ApprovalPolicy, released: str) -> ApprovalPolicy:
    """Return the stricter of the policy that the checkout declares and the one of the last release.

    Otherwise whoever merges a pull request by themselves could switch the approval off in it.
    """
    return [policy for policy in LOOSEST_FIRST if policy in (declared, released)][-1]


def is_looser(declared: str, released: str) -> bool:
    """Return whether the policy of the checkout asks for less than that of the last release."""
    return released in LOOSEST_FIRST and LOOSEST_FIRST.index(declared) < LOOSEST_FIRST.index(released)


def decide(
    plan: Plan,
    policy: ApprovalPolicy,
    reviewed_plans: Iterable[ReviewedPlan],
    released_components: Container[str],
    declared: ApprovalPolicy | None = None,
) -> ApprovalDecision:
    """Decide on ``plan`` by the approval ``policy`` and the plans reviewed on the merged pull requests.

    ``released_components`` are the components of the last complete release: updating any other component finishes an
    interrupted creation, so it counts as safe even if the component holds data.  ``declared`` is the policy of the
    checkout, if it is another one than the ``policy`` that applies: loosening it needs a review as a change does.
    """
    reviews = tuple(reviewed_plans)
    if declared not in (None, policy) and not any(review.approval == declared for review in reviews):
        loosening = f"approval: {policy} to {declared} was not reviewed"
        return ApprovalDecision(False, _denial_reason(policy, reviews), (loosening,))
    if not plan.pending_changes:
        return ApprovalDecision(True, "no changes")
    if policy == "none":
        return ApprovalDecision(True, "the Project has `approval: none`")
    if any(review.digest == plan.digest for review in reviews):
        return ApprovalDecision(True, "this exact plan was reviewed")
    unreviewed = [
        change for change in plan.pending_changes if not any(review.has_reviewed(change) for review in reviews)
    ]
    if not unreviewed:
        return ApprovalDecision(True, "every change was reviewed")
    blocking = (
        unreviewed
        if policy in STRICT_POLICIES
        else [change for change in unreviewed if unsafe_reason(change, released_components)]
    )
    if not blocking:
        return ApprovalDecision(True, f"{_count_changes(len(unreviewed))} not reviewed, but safe")
    reviewed_addresses = {address for review in reviews for address in review.changes}
    return ApprovalDecision(
        False,
        _denial_reason(policy, reviews),
        tuple(_describe_change(change, reviewed_addresses, released_components) for change in blocking),
    )


def unsafe_reason(change: Change, released_components: Container[str]) -> str:
    """Return why a change needs a review, in a few words; empty when it is safe without one."""
    if change.action in {Action.DELETE, Action.REPLACE}:
        return change.action.value
    non_disruptive = resources.non_disruptive_effects(change.address.partition(".")[0])
    if any(effect not in non_disruptive for effect in change.effects):
        return "it can interrupt the service"
    holds_data = change.stateful and change.action is Action.UPDATE and change.component in released_components
    return "it contains data" if holds_data else ""


def _count_changes(count: int) -> str:
    return format_count(count, "change is", "changes are")


def _denial_reason(policy: ApprovalPolicy, reviews: tuple[ReviewedPlan, ...]) -> str:
    scope = "every change" if policy in STRICT_POLICIES else "every unsafe change"
    scope += " by someone other than its author" if policy == "review" else ""
    summary = "the plan differs from the reviewed plan" if reviews else "no plan was reviewed for this commit"
    return f"{summary}, and `approval: {policy}` in the Project requires a review of {scope}"


def _describe_change(change: Change, reviewed_addresses: set[str], released_components: Container[str]) -> str:
    fields = ", ".join(".".join(field.path) for field in change.fields)
    field_list = f" ({sanitise(shorten(fields, 200))})" if fields else ""
    reason = f"; {unsafe}" if (unsafe := unsafe_reason(change, released_components)) and unsafe != change.action else ""
    verdict = "differs from the reviewed change" if change.address in reviewed_addresses else "was not reviewed"
    return f"{sanitise(change.address)}: {change.action}{field_list} {verdict}{reason}"
