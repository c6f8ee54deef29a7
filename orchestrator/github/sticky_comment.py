"""One comment of ours on a pull request or issue: found by its hidden marker, updated in place, never a second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github.client import GitHub, GitHubProblems
from orchestrator.problems import Problems

MAX_BODY_CHARACTERS = 65_536
"""Characters that GitHub keeps of a body."""
WORKFLOW_AUTHOR = "github-actions[bot]"
"""Whom GitHub names as the author of what a workflow's own token writes."""


def upsert(github: GitHub, number: int, marker: str, body: str) -> str:
    """Make ``body`` the comment that bears ``marker``; its URL.

    It is read back: Raises Problems when GitHub kept something else.
    """
    if marker not in body or len(body) > MAX_BODY_CHARACTERS:
        raise ValueError("a comment bears its marker and fits")
    existing = find(github, number, marker)
    if existing is None:
        _create(github, number, marker, body)
    elif not _has_same_body(existing["body"], body):
        github.patch(f"/issues/comments/{existing['id']}", {"body": body})
    stored = _find_and_deduplicate(github, number, marker)
    if stored is None or not _has_same_body(stored["body"], body):
        raise Problems.from_message(
            f"the comment on #{number} is not what was written", hint="somebody else wrote at once; run the job again"
        )
    return str(stored["html_url"])


def find(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """The oldest comment that bears ``marker`` and was written by a workflow, or None."""
    return next(iter(_list(github, number, marker)), None)


def is_bot(author: Any) -> bool:
    """Whether a workflow wrote it: a person or another app who types our marker is not believed."""
    return isinstance(author, dict) and author.get("type") == "Bot" and author.get("login") == WORKFLOW_AUTHOR


def _list(github: GitHub, number: int, marker: str) -> list[Mapping[str, Any]]:
    comments = github.paginate(f"/issues/{number}/comments")
    return [item for item in comments if marker in (item.get("body") or "") and is_bot(item.get("user"))]


def _create(github: GitHub, number: int, marker: str, body: str) -> None:
    try:
        github.post(f"/issues/{number}/comments", {"body": body})
    except GitHubProblems as error:
        # An answer that was lost says nothing of the comment: it is looked for before it is written again.
        if error.status not in {0, 500, 502, 503, 504}:
            raise
        if find(github, number, marker) is None:
            github.post(f"/issues/{number}/comments", {"body": body})


def _find_and_deduplicate(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """The comment as GitHub has it now; what another run wrote at the same moment goes."""
    comments = _list(github, number, marker)
    for duplicate in comments[1:]:
        github.delete(f"/issues/comments/{duplicate['id']}")
    return comments[0] if comments else None


def _has_same_body(left: str, right: str) -> bool:
    return left.replace("\r\n", "\n").strip() == right.replace("\r\n", "\n").strip()
