"""Set the commit status of a plan, and list the merged pull requests of a deploy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from orchestrator.github.client import GitHub

StatusState = Literal["success", "failure", "error", "pending"]

MAX_COMMITS: Final = 60
"""Most commits since the last release whose pull requests are considered."""

_MAX_DESCRIPTION_CHARACTERS: Final = 140


def status_context(environment: str) -> str:
    """Return the name of the status, which branch protection can require."""
    return f"orchestrator/{environment}"


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
