"""One comment of ours on a pull request or issue: found by its hidden marker, updated in place, never a second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github.client import GitHub, GitHubProblems
from orchestrator.problems import Problems

MOST = 65_536
"""Characters that GitHub keeps of a body."""
WORKFLOWS = "github-actions[bot]"
"""Whom GitHub names as the author of what a workflow's own token writes."""


def put(github: GitHub, number: int, marker: str, body: str) -> str:
    """Make ``body`` the comment that bears ``marker``; its URL.

    It is read back: Raises Problems when GitHub kept something else.
    """
    if marker not in body or len(body) > MOST:
        raise ValueError("a comment bears its marker and fits")
    found = ours(github, number, marker)
    if found is None:
        _create(github, number, marker, body)
    elif not _same(found["body"], body):
        github.patch(f"/issues/comments/{found['id']}", {"body": body})
    kept = _only(github, number, marker)
    if kept is None or not _same(kept["body"], body):
        raise Problems.one(
            f"the comment on #{number} is not what was written", hint="somebody else wrote at once; run the job again"
        )
    return str(kept["html_url"])


def ours(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """The oldest comment that bears ``marker`` and was written by a workflow, or None."""
    return next(iter(_all(github, number, marker)), None)


def is_bot(author: Any) -> bool:
    """Whether a workflow wrote it: a person or another app who types our marker is not believed."""
    return isinstance(author, dict) and author.get("type") == "Bot" and author.get("login") == WORKFLOWS


def _all(github: GitHub, number: int, marker: str) -> list[Mapping[str, Any]]:
    listed = github.pages(f"/issues/{number}/comments")
    return [one for one in listed if marker in (one.get("body") or "") and is_bot(one.get("user"))]


def _create(github: GitHub, number: int, marker: str, body: str) -> None:
    try:
        github.post(f"/issues/{number}/comments", {"body": body})
    except GitHubProblems as error:
        # An answer that was lost says nothing of the comment: it is looked for before it is written again.
        if error.status not in {0, 500, 502, 503, 504}:
            raise
        if ours(github, number, marker) is None:
            github.post(f"/issues/{number}/comments", {"body": body})


def _only(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """The comment as GitHub has it now; what another run wrote at the same moment goes."""
    found = _all(github, number, marker)
    for other in found[1:]:
        github.delete(f"/issues/comments/{other['id']}")
    return found[0] if found else None


def _same(one: str, other: str) -> bool:
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
