"""Where a review is kept: a commit status on the pull request's head, and the comment that it seals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from orchestrator.github import reviewed_plan, sticky_comment
from orchestrator.github.client import GitHub
from orchestrator.github.reviewed_plan import Seen

State = Literal["success", "failure", "error", "pending"]

MOST_COMMITS: Final = 60
"""Commits since the last release whose pull requests are looked at."""

_SEALED: Final = re.compile(r"plan ([0-9a-f]{64}) seal ([0-9a-f]{16})")
_LONGEST: Final = 140


def context(environment: str) -> str:
    """The name of the status, as branch protection may require it."""
    return f"orchestrator/{environment}"


def seal(view: Seen) -> str:
    """The part of a status that ``reviewed`` reads again."""
    return f"plan {view.digest} seal {view.seal}"


def set_status(github: GitHub, sha: str, environment: str, state: State, text: str, url: str) -> None:
    """Put a status on a commit; ``text`` is cut to what GitHub keeps."""
    body = {"state": state, "context": context(environment), "description": text[:_LONGEST], "target_url": url}
    github.post(f"/statuses/{sha}", body)


def reviewed(github: GitHub, number: int, head: str, environment: str, marker: str) -> Seen | None:
    """What was reviewed on one pull request at its last commit; None where that was nothing, or was tampered with."""
    sealed = _sealed(github, head, environment)
    if sealed is None:
        return None
    digest, mark = sealed
    found = sticky_comment.ours(github, number, marker)
    view = reviewed_plan.read(found["body"]) if found else None
    # A status cannot be rewritten, a comment can: without its seal it says nothing of single changes.
    return view if view and view.seal == mark and view.digest == digest else Seen(digest)


def pull_requests(github: GitHub, sha: str) -> list[Any]:
    """The merged pull requests that brought a commit to the main branch."""
    found = github.find(f"/commits/{sha}/pulls") or []
    return [one for one in found if one.get("merged_at")]


def since(github: GitHub, base: str, head: str) -> Iterator[Any]:
    """The pull requests merged after commit ``base`` up to ``head``, newest first, each once."""
    told: set[int] = set()
    for sha in _commits(github, base, head):
        for found in pull_requests(github, sha):
            if found["number"] not in told:
                told.add(found["number"])
                yield found


def _commits(github: GitHub, base: str, head: str) -> list[str]:
    if not base or base == head:
        return [head]
    compared = github.find(f"/compare/{base}...{head}")
    shas = [str(one["sha"]) for one in (compared or {}).get("commits", ())]
    return list(dict.fromkeys([head, *reversed(shas)]))[:MOST_COMMITS]


def _sealed(github: GitHub, sha: str, environment: str) -> tuple[str, str] | None:
    """Digest and seal of the newest status that a workflow put there."""
    for one in github.pages(f"/commits/{sha}/statuses"):
        if one.get("context") == context(environment) and sticky_comment.is_bot(one.get("creator")):
            found = _SEALED.search(one.get("description") or "")
            return (found[1], found[2]) if found else None
    return None
