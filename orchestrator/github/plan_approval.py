"""Find who has approved the plan of a pull request: somebody else than its author, after the plan was written.

An approval is a review ("Approve"), or a comment that consists of ``/approve``: reviews exist in every repository, also
where GitHub's plan has no rules that require them.  Workflows cannot approve: they write as a bot.  The person needs
write access, which not everybody has who may comment on a public repository.  What was approved before the plan was
written, for an earlier commit, or in a comment that was edited since does not count, nor does who pushed the commit.

API: GitHub REST API (reviews of a pull request, comments of an issue, permission of a collaborator).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from orchestrator.github.client import GitHub

APPROVE_COMMAND: Final = "/approve"
WRITING_PERMISSIONS: Final = frozenset({"admin", "write"})
"""Values of ``permission``; GitHub answers ``write`` for the role `maintain` too."""
_DECIDING_STATES: Final = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})


def find_doubt(github: GitHub, pull_request: Mapping[str, Any], planned_at: str, pushers: Collection[str]) -> str:
    """Return why nobody has approved the plan that was written at ``planned_at``; empty if somebody has.

    ``pushers`` started the runs that made the plan, and cannot approve it, nor can the author.  Raises Problems.
    """
    authors = {_login(pull_request), *pushers}
    decisions = _read_reviews(github, pull_request, planned_at)
    refusing = [name for name, state in decisions.items() if state == "CHANGES_REQUESTED" and _may_write(github, name)]
    if refusing:
        return f"{refusing[0]} has requested changes"
    approving = [name for name, state in decisions.items() if state == "APPROVED"]
    approving += _list_commands(github, pull_request, planned_at)
    others = [name for name in dict.fromkeys(approving) if name not in authors]
    if any(_may_write(github, name) for name in others):
        return ""
    if others:
        return f"{others[0]} approved it but does not have write access"
    own = " except its author or someone who pushed to the branch" if approving else ""
    return f"nobody{own} has approved the plan since it was posted; submit a review, or comment `{APPROVE_COMMAND}`"


def _read_reviews(github: GitHub, pull_request: Mapping[str, Any], planned_at: str) -> dict[str, str]:
    """Return the last decision of each person about the last commit, by login; an approval counts after the plan."""
    head = str(pull_request["head"]["sha"])
    decisions: dict[str, str] = {}
    for review in github.paginate(f"/pulls/{pull_request['number']}/reviews"):
        state = str(review["state"])
        if not _is_person(review) or state not in _DECIDING_STATES:
            continue
        is_of_plan = review.get("commit_id") == head and str(review.get("submitted_at") or "") > planned_at
        if is_of_plan or state == "CHANGES_REQUESTED":
            decisions[_login(review)] = state
        else:
            decisions.pop(_login(review), None)
    return decisions


def _list_commands(github: GitHub, pull_request: Mapping[str, Any], planned_at: str) -> Iterator[str]:
    """Yield who has commented ``/approve`` since the plan was written, and left it so."""
    for comment in github.paginate(f"/issues/{pull_request['number']}/comments"):
        is_command = str(comment.get("body") or "").strip() == APPROVE_COMMAND
        created_at = str(comment.get("created_at") or "")
        if is_command and _is_person(comment) and created_at > planned_at and comment.get("updated_at") == created_at:
            yield _login(comment)


def _may_write(github: GitHub, login: str) -> bool:
    answer = github.find(f"/collaborators/{login}/permission") or {}
    return answer.get("permission") in WRITING_PERMISSIONS


def _is_person(item: Mapping[str, Any]) -> bool:
    return (item.get("user") or {}).get("type") == "User"


def _login(item: Mapping[str, Any]) -> str:
    return str((item.get("user") or {}).get("login") or "")
