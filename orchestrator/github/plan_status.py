"""Store a reviewed plan: as a commit status on the pull request's head, which also seals the plan comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from orchestrator.github import reviewed_plan, sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.github.reviewed_plan import ReviewedPlan

StatusState = Literal["success", "failure", "error", "pending"]

MAX_COMMITS: Final = 60
"""Most commits since the last release whose pull requests are considered."""

_DIGESTS_PATTERN: Final = re.compile(r"plan ([0-9a-f]{64}) seal ([0-9a-f]{16})")
_MAX_DESCRIPTION_CHARACTERS: Final = 140


def status_context(environment: str) -> str:
    """Return the name of the status, which branch protection can require."""
    return f"orchestrator/{environment}"


def format_digests(reviewed_plan: ReviewedPlan) -> str:
    """Return the part of a status description that ``read_reviewed_plan`` parses."""
    return f"plan {reviewed_plan.digest} seal {reviewed_plan.checksum}"


def set_status(
    github: GitHub, sha: str, environment: str, state: StatusState, description: str, target_url: str
) -> None:
    """Set a status on a commit; ``description`` is cut to GitHub's limit."""
    body = {
        "state": state,
        "context": status_context(environment),
        "description": description[:_MAX_DESCRIPTION_CHARACTERS],
        "target_url": target_url,
    }
    github.post(f"/statuses/{sha}", body)


def read_reviewed_plan(github: GitHub, number: int, head: str, environment: str, marker: str) -> ReviewedPlan | None:
    """Return the plan reviewed on a pull request at commit ``head``; None if its status holds none.

    Without a plan comment that matches the status, the result holds only the digest.
    """
    status_digests = _read_status_digests(github, head, environment)
    if status_digests is None:
        return None
    digest, checksum = status_digests
    plan_comment = sticky_comment.find(github, number, marker)
    plan = reviewed_plan.parse_marker(plan_comment["body"]) if plan_comment else None
    # A comment can be edited, a status cannot: trust the comment's changes only if the status seals them.
    return plan if plan and plan.checksum == checksum and plan.digest == digest else ReviewedPlan(digest)


def list_merged_pull_requests(github: GitHub, sha: str) -> list[Any]:
    """Return the merged pull requests that contain a commit."""
    candidates = github.find(f"/commits/{sha}/pulls") or []
    return [pull_request for pull_request in candidates if pull_request.get("merged_at")]


def list_pull_requests_since(github: GitHub, base: str, head: str) -> Iterator[Any]:
    """Yield the pull requests merged after commit ``base`` up to ``head``, newest first, each once."""
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
    """Return digest and seal from the newest status set by a workflow."""
    for status in github.paginate(f"/commits/{sha}/statuses"):
        if status.get("context") == status_context(environment) and sticky_comment.is_bot(status.get("creator")):
            digest_match = _DIGESTS_PATTERN.search(status.get("description") or "")
            return (digest_match[1], digest_match[2]) if digest_match else None
    return None
