"""Whether a plan may go ahead on the main branch: what was reviewed, what is safe without, and what moved.  Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Literal

from msgspec import Struct

from orchestrator import resources
from orchestrator.github.reviewed_plan import ReviewedPlan
from orchestrator.redaction.redact import sanitise
from orchestrator.render.field_values import shorten
from orchestrator.vocabulary import Action, Change, Plan

ApprovalPolicy = Literal["strict", "safe", "none"]


class ApprovalDecision(Struct, frozen=True):
    """Whether to go ahead, ``why`` in a sentence, and what was ``moved``: a sentence for each change in the way."""

    is_approved: bool
    reason: str
    unreviewed_changes: tuple[str, ...] = ()


def decide(
    plan: Plan, policy: ApprovalPolicy, reviewed_plans: Iterable[ReviewedPlan], released_components: Container[str]
) -> ApprovalDecision:
    """What ``approval`` says of ``plan``, given what was seen on the pull requests that led to it.

    ``settled`` are the components of the last whole release: an update of any other ends a creation that was cut off.
    """
    reviews = tuple(reviewed_plans)
    if not plan.pending_changes:
        return ApprovalDecision(True, "nothing is to change")
    if policy == "none":
        return ApprovalDecision(True, "the Project asks for no approval")
    if any(review.digest == plan.digest for review in reviews):
        return ApprovalDecision(True, "this very plan was reviewed")
    unreviewed = [
        change for change in plan.pending_changes if not any(review.has_reviewed(change) for review in reviews)
    ]
    if not unreviewed:
        return ApprovalDecision(True, "every change was reviewed")
    blocking = (
        unreviewed
        if policy == "strict"
        else [change for change in unreviewed if unsafe_reason(change, released_components)]
    )
    if not blocking:
        return ApprovalDecision(True, f"{_count_changes(len(unreviewed))} not in a reviewed plan, and safe")
    reviewed_addresses = {address for review in reviews for address in review.changes}
    return ApprovalDecision(
        False,
        _denial_reason(policy, reviews),
        tuple(_describe_change(change, reviewed_addresses, released_components) for change in blocking),
    )


def unsafe_reason(change: Change, released_components: Container[str]) -> str:
    """Why a change is not safe without a review, in a word or two; empty when it is safe."""
    if change.action in {Action.DELETE, Action.REPLACE}:
        return change.action.value
    non_disruptive = resources.non_disruptive_effects(change.address.partition(".")[0])
    if any(effect not in non_disruptive for effect in change.effects):
        return "users may notice it"
    holds_data = change.stateful and change.action is Action.UPDATE and change.component in released_components
    return "it holds data" if holds_data else ""


def _count_changes(count: int) -> str:
    return f"{count} change is" if count == 1 else f"{count} changes are"


def _denial_reason(policy: ApprovalPolicy, reviews: tuple[ReviewedPlan, ...]) -> str:
    subject = "changes" if policy == "strict" else "changes that are not safe"
    summary = "what is due now is not what was reviewed" if reviews else "nobody reviewed a plan for this commit"
    return f"{summary}, and the Project's `approval: {policy}` lets no such {subject} through"


def _describe_change(change: Change, reviewed_addresses: set[str], released_components: Container[str]) -> str:
    fields = ", ".join(".".join(field.path) for field in change.fields)
    field_list = f" ({sanitise(shorten(fields, 200))})" if fields else ""
    reason = f"; {unsafe}" if (unsafe := unsafe_reason(change, released_components)) and unsafe != change.action else ""
    verdict = (
        "is not the change that was reviewed" if change.address in reviewed_addresses else "was in no reviewed plan"
    )
    return f"{sanitise(change.address)}: {change.action}{field_list} {verdict}{reason}"
