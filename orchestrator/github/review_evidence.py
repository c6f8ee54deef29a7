"""Check that the plan comment of a merged pull request was made by the plan workflow of the main branch.

Every workflow of a repository, on every branch, writes comments and statuses as ``github-actions[bot]``, so their
author proves nothing.  Only a run can add artefacts to itself: ``plan.yml`` names its artefact after the SHA-256 of the
comment.  This module finds that artefact, and checks that the run used the workflow file of the main branch.

API: GitHub REST API (pull request files, issue events, workflow runs, artefacts).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from orchestrator.github import gathered_comment, plan_approval, reviewed_plan, sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.github.reviewed_plan import ReviewedPlan

MAX_FILES: Final = 3000
"""Most files of a pull request that GitHub lists."""
MAX_SIBLINGS: Final = 1000
"""Most pull requests of one branch to look at, and most events of one; with more, a review does not count."""
WORKFLOW_FOLDERS: Final = (".github/workflows/", ".github/actions/")
"""Folders with the files that decide how a plan is made."""
BASE_CHANGES: Final = frozenset({"base_ref_changed", "automatic_base_change_succeeded", "automatic_base_change_failed"})
"""Events after which a pull request has, or may have, another base branch."""

_PLAN_WORKFLOW_PATTERN: Final = re.compile(
    r"\borchestrator github plan\b|\buses:\s*\S+/\.github/workflows/plan\.ya?ml\b"
)


class ReviewCheck(Struct, frozen=True):
    """The reviewed plan of a pull request, or why its plan comment does not count; neither if it has none."""

    plan: ReviewedPlan | None = None
    rejection: str = ""


class PlanSource(Struct, frozen=True):
    """Where a trusted plan comes from: the default branch, and the names of its plan workflows."""

    branch: str
    workflows: tuple[str, ...]


def find_plan_workflows(root: Path) -> tuple[str, ...]:
    """Return the names of the workflow files below ``root`` that plan pull requests."""
    files = sorted((root / ".github" / "workflows").glob("*.y*ml"))
    return tuple(file.name for file in files if _PLAN_WORKFLOW_PATTERN.search(file.read_text("utf-8", "replace")))


def artifact_name(environment: str, comment_body: str) -> str:
    """Return the name of the artefact that belongs to a plan comment."""
    normalised = comment_body.replace("\r\n", "\n").strip()  # as GitHub may return it
    return f"plan-{environment}-{hashlib.sha256(normalised.encode()).hexdigest()}"


def check_review(
    github: GitHub,
    pull_request: Mapping[str, Any],
    environment: str,
    marker: str,
    source: PlanSource,
    *,
    needs_approval: bool = False,
) -> ReviewCheck:
    """Read the plan that was reviewed on a merged pull request, if its comment can be trusted.

    ``marker`` identifies the plan comment.  ``needs_approval``: somebody else than its author has to have approved it.
    Raises Problems if GitHub cannot be asked.
    """
    comment = sticky_comment.find(github, int(pull_request["number"]), marker)
    body = str(comment["body"]) if comment else ""
    plan = reviewed_plan.parse_marker(gathered_comment.find_section(body, marker))
    if plan is None or comment is None:
        return ReviewCheck()
    artifact = artifact_name("all" if gathered_comment.is_gathered(body) else environment, body)
    doubt = _find_doubt(github, pull_request, source) or _find_run_doubt(
        github, pull_request, comment, artifact, source
    )
    if not doubt and needs_approval:
        pushers = list_pushers(github, pull_request, source)
        doubt = plan_approval.find_doubt(github, pull_request, str(comment["updated_at"]), pushers)
    if doubt:
        return ReviewCheck(rejection=f"the plan of #{pull_request['number']} does not count as reviewed: {doubt}")
    return ReviewCheck(plan)


def list_pushers(github: GitHub, pull_request: Mapping[str, Any], source: PlanSource) -> set[str]:
    """Return who has pushed to the branch of a pull request, by login: each push has started a plan.

    Not of its last commit only: whoever merges the main branch into it pushes last, and has written nothing.
    """
    runs = _list_runs_of_branch(github, pull_request, source)
    return {str((run.get("actor") or {}).get("login") or "") for run in runs}


def _find_doubt(github: GitHub, pull_request: Mapping[str, Any], source: PlanSource) -> str:
    """Return why the pull request itself may have changed how its plan was made; empty if it did not."""
    if _repository_name(pull_request["head"]) != github.repository:
        return "it comes from a fork"
    if pull_request["base"]["ref"] != source.branch:
        return f"its base branch is {pull_request['base']['ref']}, not {source.branch}"
    files = list(github.paginate(f"/pulls/{pull_request['number']}/files", max_items=MAX_FILES))
    names = [str(file.get(key) or "") for file in files for key in ("filename", "previous_filename")]
    workflow_file = next((name for name in names if name.startswith(WORKFLOW_FOLDERS)), "")
    if workflow_file:
        return f"it changes {workflow_file}, and the plan ran with the changed workflow"
    if len(files) >= MAX_FILES:
        return f"it changes {MAX_FILES} or more files, which is too many to check"
    # Its commits may have come to the main branch by another pull request too, and then are no change of this one.
    head, merged = (
        _list_workflow_files(github, ref) for ref in (pull_request["head"]["sha"], _merge_commit(pull_request))
    )
    return (
        ""
        if head == merged
        else f"its workflow files differ from those of {source.branch}: update the branch before you merge it"
    )


def _merge_commit(pull_request: Mapping[str, Any]) -> str:
    return str(pull_request.get("merge_commit_sha") or "")


def _list_workflow_files(github: GitHub, ref: str) -> dict[str, str]:
    """Return the hash of each workflow file, and of each folder with an action, at a commit."""
    entries = (entry for folder in WORKFLOW_FOLDERS for entry in github.find(f"/contents/{folder[:-1]}", ref=ref) or ())
    return {str(entry["path"]): str(entry["sha"]) for entry in entries}


def _find_run_doubt(
    github: GitHub, pull_request: Mapping[str, Any], comment: Mapping[str, Any], artifact: str, source: PlanSource
) -> str:
    """Return why no run of the plan workflow proves the comment; empty if one does."""
    siblings = _list_pull_requests_of_branch(github, pull_request)
    for sibling in siblings:
        if sibling["base"]["ref"] != source.branch:
            return f"#{sibling['number']} has the same branch, but its base branch is {sibling['base']['ref']}"
    if len(siblings) >= MAX_SIBLINGS:
        return f"{MAX_SIBLINGS} or more pull requests have the same branch, which is too many to check"
    planned_after = max((_last_base_change(github, int(sibling["number"])) for sibling in siblings), default="")
    runs = [run for run in _list_runs(github, pull_request, source) if run["created_at"] > planned_after]
    if not runs:
        since = " since its base branch changed" if planned_after else ""
        return f"the plan workflow of {source.branch} has not run for the last commit of the pull request{since}"
    created = [created_at for run in runs for created_at in _list_artifact_times(github, int(run["id"]), artifact)]
    if not created:
        return "no run of the plan workflow wrote this comment, or GitHub has deleted that run's artefact"
    return "" if comment["updated_at"] <= min(created) else "its comment was edited after the run that wrote it"


def _list_pull_requests_of_branch(github: GitHub, pull_request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return all pull requests from the same branch, open or not: a run does not say which one started it."""
    owner = github.repository.partition("/")[0]
    found = github.paginate(
        "/pulls", head=f"{owner}:{pull_request['head']['ref']}", state="all", max_items=MAX_SIBLINGS
    )
    same_repository = (item for item in found if _repository_name(item["head"]) == github.repository)
    return list({int(item["number"]): item for item in (pull_request, *same_repository)}.values())


def _last_base_change(github: GitHub, number: int) -> str:
    """Return when the base branch of a pull request changed last; empty if it never did.

    Too many events could hide a change, so they count as one that no run follows.
    """
    events = list(github.paginate(f"/issues/{number}/events", max_items=MAX_SIBLINGS))
    if len(events) >= MAX_SIBLINGS:
        return "9999"
    return max((str(event["created_at"]) for event in events if event["event"] in BASE_CHANGES), default="")


def _list_runs(github: GitHub, pull_request: Mapping[str, Any], source: PlanSource) -> Iterator[Mapping[str, Any]]:
    """Yield the runs of the plan workflows for the head commit of the pull request."""
    head = str(pull_request["head"]["sha"])
    runs = _list_runs_of_branch(github, pull_request, source, head_sha=head)
    return (run for run in runs if run["head_sha"] == head)


def _list_runs_of_branch(
    github: GitHub, pull_request: Mapping[str, Any], source: PlanSource, **query: str
) -> Iterator[Mapping[str, Any]]:
    """Yield the newest runs of the plan workflows for the branch of the pull request."""
    branch = str(pull_request["head"]["ref"])
    for workflow in source.workflows:
        path = f"/actions/workflows/{quote(workflow, safe='')}/runs"
        response = github.find(path, event="pull_request", branch=branch, per_page=100, **query) or {}
        for run in response.get("workflow_runs", ()):
            is_from_repository = (run.get("head_repository") or {}).get("full_name") == github.repository
            file = str(run["path"]).partition("@")[0]
            identity = (run["event"], run["head_branch"], file)
            if is_from_repository and identity == ("pull_request", branch, f".github/workflows/{workflow}"):
                yield run


def _list_artifact_times(github: GitHub, run_id: int, name: str) -> list[str]:
    """Return when a run created its artefacts called ``name``; a re-run adds to them."""
    response = github.find(f"/actions/runs/{run_id}/artifacts", name=name, per_page=100) or {}
    return [str(item["created_at"]) for item in response.get("artifacts", ()) if item["name"] == name]


def _repository_name(side: Mapping[str, Any]) -> str:
    """Return the repository of a side of a pull request; empty if it was deleted."""
    return str((side.get("repo") or {}).get("full_name") or "")
