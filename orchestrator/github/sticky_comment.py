"""Keep one comment on a pull request or issue up to date, identified by a hidden marker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github.client import GitHub, GitHubProblems
from orchestrator.problems import Problems

MAX_BODY_CHARACTERS = 65_536
"""GitHub's limit for a body."""
WORKFLOW_AUTHOR = "github-actions[bot]"
"""The author of everything written with a workflow's own token."""


def upsert(github: GitHub, number: int, marker: str, body: str) -> str:
    """Create or update the comment that contains ``marker`` and return its URL.

    Reads the comment back.  Raises Problems if GitHub stored a different body.
    """
    if marker not in body or len(body) > MAX_BODY_CHARACTERS:
        raise ValueError(f"the body must contain its marker and have at most {MAX_BODY_CHARACTERS} characters")
    existing = find(github, number, marker)
    if existing is None:
        _create(github, number, marker, body)
    elif not _has_same_body(existing["body"], body):
        github.patch(f"/issues/comments/{existing['id']}", {"body": body})
    stored = _find_and_deduplicate(github, number, marker)
    if stored is None or not _has_same_body(stored["body"], body):
        raise Problems.from_message(
            f"the comment on #{number} differs from the text that was sent",
            hint="re-run the job: another run may have changed the comment at the same time",
        )
    return str(stored["html_url"])


def find(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """Return the oldest comment that contains ``marker`` and was written by a workflow, or None."""
    return next(iter(_list(github, number, marker)), None)


def is_bot(author: Any) -> bool:
    """Return whether a workflow is the author; markers written by people and other apps are not trusted."""
    return isinstance(author, dict) and author.get("type") == "Bot" and author.get("login") == WORKFLOW_AUTHOR


def _list(github: GitHub, number: int, marker: str) -> list[Mapping[str, Any]]:
    comments = github.paginate(f"/issues/{number}/comments")
    return [item for item in comments if marker in (item.get("body") or "") and is_bot(item.get("user"))]


def _create(github: GitHub, number: int, marker: str, body: str) -> None:
    try:
        github.post(f"/issues/{number}/comments", {"body": body})
    except GitHubProblems as error:
        # The comment may exist although the response was lost: look for it before writing it again.
        if error.status not in {0, 500, 502, 503, 504}:
            raise
        if find(github, number, marker) is None:
            github.post(f"/issues/{number}/comments", {"body": body})


def _find_and_deduplicate(github: GitHub, number: int, marker: str) -> Mapping[str, Any] | None:
    """Return the comment as stored, and delete duplicates that another run wrote at the same time."""
    comments = _list(github, number, marker)
    for duplicate in comments[1:]:
        github.delete(f"/issues/comments/{duplicate['id']}")
    return comments[0] if comments else None


def _has_same_body(left: str, right: str) -> bool:
    return left.replace("\r\n", "\n").strip() == right.replace("\r\n", "\n").strip()
