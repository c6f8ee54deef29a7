"""`approval: review`: whose approval of a plan counts, and of which plan.

GitHub's REST API, "List reviews for a pull request" (states, ``commit_id``), "Get repository permissions for a user",
"Approving a pull request with required reviews": authors cannot approve their own, and a new push needs a new approval.
Anybody who may read a public repository can submit an approving review; only those with write access count.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from orchestrator.github import approval_policy, review_evidence
from orchestrator.github.client import GitHub
from tests.github.fake_github import ANA, BEN, BOT
from tests.github.shop_repository import ShopRepository
from tests.github.test_review_evidence import MAIN, MARKER, Review, github
from tests.render.sample_plans import FULL_PLAN

__all__ = ["github"]
EVE = {"login": "eve", "id": 9, "type": "User"}
Act = Callable[[Review], object]


def edit_approval(review: Review) -> None:
    review.hub.comment(review.number, BEN, "/approve")["updated_at"] = review.hub.now()


def push_after(review: Review) -> None:
    """Ben approves, then another commit comes: its plan was not what he saw."""
    review.hub.review(review.number, BEN, sha="0" * 40)


def plan_after(review: Review) -> None:
    """The plan of the same commit is another one now, because somebody changed AWS."""
    review.hub.review(review.number, BEN)
    review.write_comment(replace(FULL_PLAN, digest="e" * 64))
    review.hub.upload_artifact(review.run, review.artifact)


def doubt_and_approve(review: Review) -> None:
    review.hub.review(review.number, BEN, "CHANGES_REQUESTED")
    review.hub.review(review.number, BEN)


def approve_and_remark(review: Review) -> None:
    review.hub.review(review.number, BEN)
    review.hub.review(review.number, BEN, "COMMENTED")


def approve_and_dismiss(review: Review) -> None:
    review.hub.review(review.number, BEN)
    review.hub.review(review.number, BEN, "DISMISSED")


def approve_and_refuse(review: Review) -> None:
    review.hub.review(review.number, ANA)
    review.hub.review(review.number, BEN, "CHANGES_REQUESTED")


def push_and_approve(review: Review) -> None:
    """Ben pushes to Ana's branch, and approves what he pushed."""
    review.hub.workflow_runs[-1]["actor"] = BEN
    review.hub.review(review.number, BEN)


COUNT: dict[str, Act] = {
    "a review": lambda review: review.hub.review(review.number, BEN),
    "a comment": lambda review: review.hub.comment(review.number, BEN, " /approve\n"),
    "after a doubt": doubt_and_approve,
    "a remark afterwards": approve_and_remark,
}
DO_NOT_COUNT: dict[str, tuple[Act, str]] = {
    "nobody": (lambda review: None, "nobody has approved the plan"),
    "the author": (lambda review: review.hub.review(review.number, ANA), "nobody except its author"),
    "the author by comment": (
        lambda review: review.hub.comment(review.number, ANA, "/approve"),
        "nobody except its author",
    ),
    "a workflow": (lambda review: review.hub.review(review.number, BOT), "nobody has approved the plan"),
    "a workflow by comment": (lambda review: review.hub.comment(review.number, BOT, "/approve"), "nobody has approved"),
    "a passer-by": (
        lambda review: review.hub.review(review.number, EVE),
        "eve approved it but does not have write access",
    ),
    "a sentence": (
        lambda review: review.hub.comment(review.number, BEN, "I would not /approve"),
        "nobody has approved",
    ),
    "an edited comment": (edit_approval, "nobody has approved"),
    "an earlier commit": (push_after, "nobody has approved"),
    "an earlier plan": (plan_after, "nobody has approved"),
    "a dismissed review": (approve_and_dismiss, "nobody has approved"),
    "a refusal": (approve_and_refuse, "ben has requested changes"),
    "who pushed it": (push_and_approve, "nobody except its author or someone who pushed to the branch"),
}


def check(review: Review) -> review_evidence.ReviewCheck:
    review.shop.merge(review.number)
    pull_request = review.hub.pulls[review.number]
    return review_evidence.check_review(review.github, pull_request, "prod", MARKER, MAIN, needs_approval=True)


def test_whose_approval_counts(shop: ShopRepository, github: GitHub) -> None:
    """Each on a pull request of its own, whose plan a run of the main branch's workflow has written."""

    def judge(name: str, act: Act) -> str:
        review = Review(shop, github, {f"notes/{name}.txt": name})
        act(review)
        found = check(review)
        assert (found.plan is None) == bool(found.rejection)
        return found.rejection

    assert {name: judge(name, act) for name, act in COUNT.items()} == dict.fromkeys(COUNT, "")
    rejections = {name: judge(name, act) for name, (act, _) in DO_NOT_COUNT.items()}
    assert {name: text for name, text in rejections.items() if DO_NOT_COUNT[name][1] not in text} == {}


def test_unapproved_changes_are_never_applied() -> None:
    """Not even the gentle ones; the reason says whose review is missing."""
    decision = approval_policy.decide(FULL_PLAN, "review", (), ())

    assert not decision.is_approved
    assert "requires a review of every change by someone other than its author" in decision.reason
