"""Whether a plan may go ahead on the main branch: what was reviewed, what is safe without, and what moved.  Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Literal

from msgspec import Struct

from orchestrator import resources
from orchestrator.github.reviewed_plan import Seen
from orchestrator.redaction.redact import safe
from orchestrator.render.field_values import shorten
from orchestrator.vocabulary import Action, Change, Plan

Approval = Literal["strict", "safe", "none"]


class Verdict(Struct, frozen=True):
    """Whether to go ahead, ``why`` in a sentence, and what was ``moved``: a sentence for each change in the way."""

    goes: bool
    why: str
    moved: tuple[str, ...] = ()


def judge(plan: Plan, approval: Approval, reviewed: Iterable[Seen], settled: Container[str]) -> Verdict:
    """What ``approval`` says of ``plan``, given what was seen on the pull requests that led to it.

    ``settled`` are the components of the last whole release: an update of any other ends a creation that was cut off.
    """
    views = tuple(reviewed)
    if not plan.pending:
        return Verdict(True, "nothing is to change")
    if approval == "none":
        return Verdict(True, "the Project asks for no approval")
    if any(view.digest == plan.digest for view in views):
        return Verdict(True, "this very plan was reviewed")
    unseen = [change for change in plan.pending if not any(view.covers(change) for view in views)]
    if not unseen:
        return Verdict(True, "every change was reviewed")
    stopping = unseen if approval == "strict" else [change for change in unseen if danger(change, settled)]
    if not stopping:
        return Verdict(True, f"{_number(len(unseen))} not in a reviewed plan, and safe")
    known = {address for view in views for address in view.changes}
    return Verdict(False, _stopped(approval, views), tuple(_sentence(change, known, settled) for change in stopping))


def danger(change: Change, settled: Container[str]) -> str:
    """Why a change is not safe without a review, in a word or two; empty when it is safe."""
    if change.action in {Action.DELETE, Action.REPLACE}:
        return change.action.value
    gentle = resources.gentle(change.address.partition(".")[0])
    if any(effect not in gentle for effect in change.effects):
        return "users may notice it"
    holds_data = change.stateful and change.action is Action.UPDATE and change.component in settled
    return "it holds data" if holds_data else ""


def _number(count: int) -> str:
    return f"{count} change is" if count == 1 else f"{count} changes are"


def _stopped(approval: Approval, views: tuple[Seen, ...]) -> str:
    what = "changes" if approval == "strict" else "changes that are not safe"
    lead = "what is due now is not what was reviewed" if views else "nobody reviewed a plan for this commit"
    return f"{lead}, and the Project's `approval: {approval}` lets no such {what} through"


def _sentence(change: Change, known: set[str], settled: Container[str]) -> str:
    fields = ", ".join(".".join(field.path) for field in change.fields)
    aside = f" ({safe(shorten(fields, 200))})" if fields else ""
    reason = f"; {why}" if (why := danger(change, settled)) and why != change.action else ""
    moved = "is not the change that was reviewed" if change.address in known else "was in no reviewed plan"
    return f"{safe(change.address)}: {change.action}{aside} {moved}{reason}"
