"""Find why the person who started a run may not approve its plan with `approval: review`: they wrote part of it.

A run that is started by hand with a digest, with a veto's token, or to revert drift is approved by who starts it, and
everyone with write access can start one.  Authors would approve their own changes that way.  The author of a commit is
what git says and anybody may write, so who pushed counts too: of the main branch as GitHub records it.

API: GitHub REST API (compare two commits, commits, repository activity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.github import plan_status
from orchestrator.github.client import GitHub
from orchestrator.github.workflow_run import WorkflowRun

MAX_ACTIVITIES: Final = 100
"""Most pushes to the main branch since the last release to look at; with more, nobody can approve by starting a run."""
MERGES: Final = frozenset({"pr_merge", "merge_queue_merge"})
"""Activities whose actor has merged what others wrote."""


def find_doubt(github: GitHub, run: WorkflowRun, base: str, head: str) -> str:
    """Return why the starter of ``run`` cannot approve the commits after ``base`` up to ``head``; empty if they can.

    ``base`` is the commit of the last complete release, or "".  Who runs a job again has started it too.  Raises
    Problems if GitHub cannot be asked.
    """
    starters = dict.fromkeys(filter(None, (run.actor, run.environ.get("GITHUB_TRIGGERING_ACTOR", ""))))
    sender = run.event.get("sender") or {}
    if not starters or sender.get("type") != "User" or any(name.endswith("[bot]") for name in starters):
        return "a workflow or an app started this run, but only a person can approve a plan"
    if base == head:
        return ""
    for login, work in _list_authors(github, base, head, run.default_branch):
        if not login:
            return f"{work}; approve the plan on a pull request instead"
        if login in starters:
            return f"{login} started this run and {work}; someone else must start it"
    return ""


def _list_authors(github: GitHub, base: str, head: str, branch: str) -> Iterator[tuple[str, str]]:
    """Yield each login with what it has done; without a login, why not everything can be known."""
    commits = _list_commits(github, base, head)
    if commits is None:
        yield "", f"more than {plan_status.MAX_COMMITS} commits since the last release are too many to check"
        return
    for commit in commits:
        for role in ("author", "committer"):
            yield _login(commit, role), f"is the {role} of commit {str(commit['sha'])[:12]}"
    for pull_request in plan_status.list_pull_requests_since(github, base, head):
        yield _login(pull_request, "user"), f"is the author of #{pull_request['number']}"
        if (pull_request["head"].get("repo") or {}).get("full_name") == github.repository:
            yield from _list_branch_pushers(github, pull_request)
    yield from _list_pushers(github, base, branch)


def _list_commits(github: GitHub, base: str, head: str) -> list[Mapping[str, Any]] | None:
    """Return the commits to approve; None if they are too many.  Before the first release, the newest ones."""
    if not base:
        return list(github.get("/commits", sha=head, per_page=plan_status.MAX_COMMITS))
    comparison = github.find(f"/compare/{base}...{head}")
    if comparison is None or comparison["total_commits"] > min(len(comparison["commits"]), plan_status.MAX_COMMITS):
        return None
    return list(comparison["commits"])


def _list_branch_pushers(github: GitHub, pull_request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield who has pushed to the branch of a pull request; not the runs of its plan, which a revert may not read."""
    reference = f"refs/heads/{pull_request['head']['ref']}"
    activities = github.find("/activity", ref=reference, per_page=MAX_ACTIVITIES) or []
    if not 0 < len(activities) < MAX_ACTIVITIES:
        yield "", f"GitHub does not report who pushed to #{pull_request['number']}"
    for activity in activities:
        yield _login(activity, "actor"), f"has pushed to #{pull_request['number']}"


def _list_pushers(github: GitHub, base: str, branch: str) -> Iterator[tuple[str, str]]:
    """Yield who has pushed to the branch since commit ``base``, newest first."""
    activities = github.get("/activity", ref=f"refs/heads/{branch}", per_page=MAX_ACTIVITIES)
    for activity in activities:
        if base and activity["after"] == base:
            return
        if activity["activity_type"] not in MERGES:
            yield _login(activity, "actor"), f"has pushed commit {str(activity['after'])[:12]} to {branch}"
    if base and len(activities) >= MAX_ACTIVITIES:
        yield "", f"{MAX_ACTIVITIES} or more pushes to {branch} since the last release are too many to check"


def _login(item: Mapping[str, Any], role: str) -> str:
    """Return a login; one that GitHub does not know is nobody's who could start a run."""
    return str((item.get(role) or {}).get("login") or "unknown user")
