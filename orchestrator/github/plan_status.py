"""Where a review is kept: a commit status on the pull request's head, and the comment that it seals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from orchestrator.github import reviewed_plan, sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.github.reviewed_plan import ReviewedPlan

StatusState = Literal["success", "failure", "error", "pending"]

MAX_COMMITS: Final = 60
"""Commits since the last release whose pull requests are looked at."""

_DIGESTS_PATTERN: Final = re.compile(r"plan ([0-9a-f]{64}) seal ([0-9a-f]{16})")
_MAX_DESCRIPTION_CHARACTERS: Final = 140


def status_context(environment: str) -> str:
    """The name of the status, as branch protection may require it."""
    return f"orchestrator/{environment}"


def format_digests(reviewed_plan: ReviewedPlan) -> str:
    """The part of a status that ``reviewed`` reads again."""
    return f"plan {reviewed_plan.digest} seal {reviewed_plan.checksum}"


def set_status(
    github: GitHub, sha: str, environment: str, state: StatusState, description: str, target_url: str
) -> None:
    """Put a status on a commit; ``text`` is cut to what GitHub keeps."""
    body = {
        "state": state,
        "context": status_context(environment),
        "description": description[:_MAX_DESCRIPTION_CHARACTERS],
        "target_url": target_url,
    }
    github.post(f"/statuses/{sha}", body)


def read_reviewed_plan(github: GitHub, number: int, head: str, environment: str, marker: str) -> ReviewedPlan | None:
    """What was reviewed on one pull request at its last commit; None where that was nothing, or was tampered with."""
    status_digests = _read_status_digests(github, head, environment)
    if status_digests is None:
        return None
    digest, checksum = status_digests
    plan_comment = sticky_comment.find(github, number, marker)
    view = reviewed_plan.parse_marker(plan_comment["body"]) if plan_comment else None
    # A status cannot be rewritten, a comment can: without its seal it says nothing of single changes.
    return view if view and view.checksum == checksum and view.digest == digest else ReviewedPlan(digest)


def list_merged_pull_requests(github: GitHub, sha: str) -> list[Any]:
    """The merged pull requests that brought a commit to the main branch."""
    candidates = github.find(f"/commits/{sha}/pulls") or []
    return [pull_request for pull_request in candidates if pull_request.get("merged_at")]


def list_pull_requests_since(github: GitHub, base: str, head: str) -> Iterator[Any]:
    """The pull requests merged after commit ``base`` up to ``head``, newest first, each once."""
    yielded_numbers: set[int] = set()
    for sha in _list_commits(github, base, head):
        for pull_request in list_merged_pull_requests(github, sha):
            if pull_request["number"] not in yielded_numbers:
                yielded_numbers.add(pull_request["number"])
                yield pull_request


def _list_commits(github: GitHub, base: str, head: str) -> list[str]:
    if not base or base == head:
        return [head]
    comparison = github.find(f"/compare/{base}...{head}")
    shas = [str(commit["sha"]) for commit in (comparison or {}).get("commits", ())]
    return list(dict.fromkeys([head, *reversed(shas)]))[:MAX_COMMITS]


def _read_status_digests(github: GitHub, sha: str, environment: str) -> tuple[str, str] | None:
    """Digest and seal of the newest status that a workflow put there."""
    for status in github.paginate(f"/commits/{sha}/statuses"):
        if status.get("context") == status_context(environment) and sticky_comment.is_bot(status.get("creator")):
            digest_match = _DIGESTS_PATTERN.search(status.get("description") or "")
            return (digest_match[1], digest_match[2]) if digest_match else None
    return None
