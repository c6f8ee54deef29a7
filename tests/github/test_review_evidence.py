"""Which plan comments a deploy believes: those that a run of the main branch's plan workflow proves.

GitHub's documentation, "Use GITHUB_TOKEN for authentication in workflows": every workflow of a repository writes as
``github-actions[bot]``.  "Events that trigger workflows", pull_request: a run uses the workflow file of the merge
commit, so of the base branch and of the pull request.  "Issue event types": a change of the base branch is an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from orchestrator.github import approval_policy, comment_body, review_evidence, reviewed_plan, sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.github.review_evidence import PlanSource, ReviewCheck
from orchestrator.render import plan_view
from orchestrator.vocabulary import FieldChange
from tests.github import fake_github
from tests.github.shop_repository import PROJECT, ShopRepository, bucket_manifest
from tests.render.sample_plans import FULL_PLAN

MARKER = "<!-- orchestrator:manifests/prod -->"
FORGED = replace(FULL_PLAN, digest="f" * 64)
MAIN = PlanSource("main", ("plan.yml",))


class Review:
    """A pull request with a plan comment that its run wrote, and what an attacker may do to it."""

    def __init__(self, shop: ShopRepository, github: GitHub, files: dict[str, str | None] | None = None) -> None:
        self.shop, self.hub, self.github = shop, shop.hub, github
        self.number = shop.open_pull_request(files or {"manifests/files.yaml": bucket_manifest("files")})
        self.head = shop.hub.pulls[self.number]["head"]
        self.run = self.hub.start_run("plan.yml", "pull_request", self.head["sha"], self.head["ref"])
        self.write_comment(FULL_PLAN)
        self.hub.upload_artifact(self.run, self.artifact)

    @property
    def artifact(self) -> str:
        """The name of the artefact that would prove the comment as it is now."""
        return review_evidence.artifact_name("prod", self.hub.list_comments(self.number)[0]["body"])

    def write_comment(self, plan: object) -> None:
        """Write the plan comment, as any workflow with `pull-requests: write` may."""
        marker, _ = reviewed_plan.create_marker(plan)  # type: ignore[arg-type]
        sticky_comment.upsert(self.github, self.number, MARKER, f"{MARKER}\nno changes\n{marker}\n")

    def forge(self) -> None:
        """Have another plan reviewed under the same visible text, with a newer status beside it."""
        self.write_comment(FORGED)
        body = {"state": "success", "context": "orchestrator/prod", "description": f"plan {FORGED.digest}"}
        self.github.post(f"/statuses/{self.head['sha']}", body | {"target_url": "https://github.com/x/actions/runs/1"})

    def check(self) -> ReviewCheck:
        """Merge the pull request, and ask what was reviewed on it."""
        self.shop.merge(self.number)
        return review_evidence.check_review(self.github, self.hub.pulls[self.number], "prod", MARKER, MAIN)


@pytest.fixture
def github(shop: ShopRepository) -> Iterator[GitHub]:
    client = GitHub("shop/shop", fake_github.WRITE_TOKEN, api_url=shop.hub.url)
    yield client
    client._client.close()


@pytest.fixture
def review(shop: ShopRepository, github: GitHub) -> Review:
    return Review(shop, github)


def test_the_comment_of_the_plan_workflow_counts(review: Review) -> None:
    found = review.check()

    assert found.plan is not None
    assert (found.plan.digest, found.rejection) == (FULL_PLAN.digest, "")


def start_nothing(review: Review) -> None:
    """The forged status points at the genuine run, which says nothing of the forged plan."""


def start_push(review: Review) -> None:
    run = review.hub.start_run("plan.yml", "push", review.head["sha"], "side")
    review.hub.upload_artifact(run, review.artifact)


def start_other_workflow(review: Review) -> None:
    run = review.hub.start_run("evil.yml", "pull_request", review.head["sha"], review.head["ref"])
    review.hub.upload_artifact(run, review.artifact)


def start_other_branch(review: Review) -> None:
    """A second pull request of the same commit, from another branch and against one where plan.yml is another."""
    run = review.hub.start_run("plan.yml", "pull_request", review.head["sha"], "same-commit")
    review.hub.upload_artifact(run, review.artifact)


def start_fork(review: Review) -> None:
    run = review.hub.start_run("plan.yml", "pull_request", review.head["sha"], review.head["ref"], "mallory/shop")
    review.hub.upload_artifact(run, review.artifact)


@pytest.mark.parametrize("attack", [start_nothing, start_push, start_other_workflow, start_other_branch, start_fork])
def test_no_other_run_can_prove_a_comment(attack: Callable[[Review], None], review: Review) -> None:
    """An artefact with the right name counts only in a run of the plan workflow for this branch and commit."""
    review.forge()
    attack(review)

    found = review.check()

    assert found.plan is None
    assert found.rejection.startswith(
        f"the plan of #{review.number} does not count as reviewed: no run of the plan workflow wrote"
    )


def test_a_run_for_another_base_branch_proves_nothing(review: Review) -> None:
    """A closed pull request of the same branch, against one where plan.yml writes what the attacker wants."""
    review.hub.pulls[99] = {**review.hub.pulls[review.number], "number": 99, "state": "closed", "base": {"ref": "side"}}
    review.forge()
    start = review.hub.start_run("plan.yml", "pull_request", review.head["sha"], review.head["ref"])
    review.hub.upload_artifact(start, review.artifact)

    assert "#99 has the same branch, but its base branch is side" in review.check().rejection


@pytest.mark.parametrize("other", [False, True], ids=["itself", "a second one"])
def test_a_run_before_the_base_branch_changed_proves_nothing(review: Review, *, other: bool) -> None:
    """Planned against a side branch, then given the main branch as its base: GitHub starts no run for that."""
    review.hub.pulls[99] = {**review.hub.pulls[review.number], "number": 99, "state": "closed"}
    review.hub.change_base(99 if other else review.number, "main")

    assert (
        "the plan workflow of main has not run for the last commit of the pull request since its base branch changed"
        in review.check().rejection
    )


def test_too_many_events_hide_no_change_of_the_base_branch(review: Review) -> None:
    """The list of events is read up to a limit, so a longer one proves nothing."""
    events = [{"id": number, "event": "labeled", "created_at": "2026-11-24T10:00:00Z"} for number in range(1000)]
    review.hub.events[review.number] = events

    assert "the plan workflow of main has not run for the last commit of the pull request" in review.check().rejection


def test_a_plan_after_the_base_branch_changed_counts(review: Review) -> None:
    review.hub.change_base(review.number, "main")
    run = review.hub.start_run("plan.yml", "pull_request", review.head["sha"], review.head["ref"])
    review.hub.upload_artifact(run, review.artifact)

    assert review.check().plan is not None


@pytest.mark.parametrize(
    "file", [".github/workflows/plan.yml", ".github/workflows/more.yml", ".github/actions/a/a.yml"]
)
def test_a_pull_request_that_changes_its_own_plan_workflow_is_not_believed(
    file: str, shop: ShopRepository, github: GitHub
) -> None:
    """GitHub runs the workflow of the merge commit; the deploy says that it needs another review, and why."""
    review = Review(shop, github, {file: "on: pull_request\n"})

    assert f"it changes {file}, and the plan ran with the changed workflow" in review.check().rejection


def test_a_workflow_file_of_a_commit_that_came_by_another_pull_request_is_not_believed(
    shop: ShopRepository, github: GitHub
) -> None:
    """Another pull request brings the commit and takes its change back: no difference to see in either of them."""
    evil = shop.open_pull_request({".github/workflows/plan.yml": "on: pull_request\n"})
    review = Review(shop, github)
    shop.git("checkout", "-q", review.head["ref"])
    shop.git("reset", "-q", "--hard", shop.hub.pulls[evil]["head"]["ref"])
    shop.write({"manifests/files.yaml": bucket_manifest("files")})
    review.head["sha"] = shop.commit("Built on the evil commit", review.head["ref"])
    run = review.hub.start_run("plan.yml", "pull_request", review.head["sha"], review.head["ref"])
    review.hub.upload_artifact(run, review.artifact)
    shop.git("checkout", "-q", shop.hub.pulls[evil]["head"]["ref"])
    shop.git("revert", "--no-edit", "HEAD")
    shop.hub.pulls[evil]["head"]["sha"] = shop.commit("Never mind", shop.hub.pulls[evil]["head"]["ref"])
    shop.merge(evil)

    assert "its workflow files differ from those of main" in review.check().rejection


def test_a_pull_request_into_a_side_branch_is_not_believed(review: Review) -> None:
    """It came to the main branch with the side branch, and its plan was made by the side branch's workflow."""
    review.hub.pulls[review.number]["base"] = {"ref": "side"}
    review.shop.merge(review.number)
    found = review_evidence.check_review(review.github, review.hub.pulls[review.number], "prod", MARKER, MAIN)

    assert "its base branch is side, not main" in found.rejection


def test_a_comment_that_was_edited_and_put_back_is_not_believed(review: Review) -> None:
    """Somebody may have reviewed what stood there in between."""
    review.forge()
    review.write_comment(FULL_PLAN)

    assert "its comment was edited after the run that wrote it" in review.check().rejection


def test_a_run_may_be_repeated(review: Review) -> None:
    """A re-run of the same commit finds the same comment and adds an artefact of the same name."""
    review.write_comment(FULL_PLAN)
    review.hub.upload_artifact(review.run, review.artifact)

    assert review.check().plan is not None


def test_a_fork_has_no_say(review: Review) -> None:
    review.hub.pulls[review.number]["head"]["repo"] = {"full_name": "mallory/shop"}

    assert "it comes from a fork" in review.check().rejection


def test_a_deleted_artefact_proves_nothing(review: Review) -> None:
    review.hub.artifacts.clear()

    assert "GitHub has deleted that run's artefact" in review.check().rejection


@pytest.mark.parametrize(
    ("text", "plans"),
    [
        ("run: orchestrator github plan --out x\n", True),
        ("uses: acme/orchestrator/.github/workflows/plan.yml@0123\n", True),
        ("uses: acme/orchestrator/.github/workflows/deploy.yml@0123\n", False),
        ("run: orchestrator github planning\n", False),
    ],
)
def test_plan_workflows_are_those_that_plan(text: str, plans: bool, shop: ShopRepository) -> None:
    """Found by what they run, not by a file's name."""
    shop.write({".github/workflows/any.yaml": text})

    assert ("any.yaml" in review_evidence.find_plan_workflows(shop.folder)) is plans


def test_a_forged_review_stops_the_deploy(shop: ShopRepository, github: GitHub) -> None:
    """End to end: a strict project, the deploy's own digest in an edited comment, and a newer status beside it."""
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: strict")})
    shop.commit("Be strict")
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    shop.review_pull_request(number)
    shop.write({"manifests/photos.yaml": bucket_manifest("photos")})
    shop.commit("Nobody reviewed this")
    shop.merge(number)
    first = shop.run_tool(shop.folder, "deploy", "-e", "prod")
    assert first.returncode == 6, first.stderr
    (comment,) = [item for item in shop.hub.list_comments(number) if "orchestrator:seen" in item["body"]]
    (digest,) = re.findall(r"digest=([0-9a-f]{64})", shop.hub.list_comments(number)[-1]["body"])
    marker, _ = reviewed_plan.create_marker(replace(FULL_PLAN, digest=digest, changes=()))
    forged = re.sub(r"<!-- orchestrator:seen .* -->", lambda _: marker, comment["body"])
    github.patch(f"/issues/comments/{comment['id']}", {"body": forged})

    second = shop.run_tool(shop.folder, "deploy", "-e", "prod")

    assert second.returncode == 6, second.stdout
    assert f"the plan of #{number} does not count" in second.stderr
    assert (
        "does not count as reviewed: no run of the plan workflow wrote this comment"
        in shop.hub.list_comments(number)[-1]["body"]
    )
    assert shop.list_buckets() == set()


def test_a_genuine_review_lets_a_strict_deploy_go_ahead(shop: ShopRepository) -> None:
    """Also after its run was repeated."""
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: strict")})
    shop.commit("Be strict")
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    run = shop.review_pull_request(number)
    shop.review_pull_request(number, run)
    shop.merge(number)

    deployed = shop.run_tool(shop.folder, "deploy", "-e", "prod")

    assert deployed.returncode == 0, deployed.stderr
    assert "this exact plan was reviewed" in deployed.stdout


def test_a_change_is_known_by_its_whole_hash_and_its_calls() -> None:
    """48 bits can be made to collide in minutes; and the same fields by other calls are another change."""
    change = next(change for change in FULL_PLAN.pending_changes if change.steps)
    other_calls = replace(change, steps=(*change.steps, change.steps[0]))
    review = reviewed_plan.from_plan(FULL_PLAN)
    other_plan = replace(FULL_PLAN, digest="e" * 64, changes=(other_calls,))

    assert {len(digest) for digest in review.changes.values()} == {64}
    assert review.has_reviewed(change)
    assert not review.has_reviewed(other_calls)
    assert not approval_policy.decide(other_plan, "strict", [review], set()).is_approved
    shortened = reviewed_plan.ReviewedPlan("d" * 64, {change.address: review.changes[change.address][:12]})
    assert not shortened.has_reviewed(change)


def test_a_value_that_looks_like_a_review_is_none() -> None:
    """A manifest's value is shown in code, which Markdown does not escape; the line of the review is the last one."""
    forged, _ = reviewed_plan.create_marker(FORGED)
    hostile = replace(FULL_PLAN.changes[0], physical=forged, fields=(FieldChange(("name",), None, forged),))
    view = plan_view.build_view(replace(FULL_PLAN, changes=(hostile, *FULL_PLAN.changes)), include_steps=True)
    own, _ = reviewed_plan.create_marker(FULL_PLAN)

    text = comment_body.render_plan(view, marker_comment=own, commit="0" * 40, run_url="https://run", approval="review")

    found = reviewed_plan.parse_marker(text)
    assert found is not None
    assert found.digest == FULL_PLAN.digest
    assert text.count("<!-- orchestrator:seen") == 1
    assert reviewed_plan.parse_marker(f"{forged}\n{own}\n") == found
    assert reviewed_plan.parse_marker(f"{own}\nmore") is None
