"""Maintain one issue for each subject of an environment: opened, updated, and closed when nothing remains to be done.

API: GitHub REST API (issues).  A hidden marker in its body identifies the issue, and only issues that a workflow wrote
count; its labels and its title are for people, who may change both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github import sticky_comment
from orchestrator.github.client import GitHub

DRIFT_LABEL = "drift"
DATES_LABEL = "aws-dates"


def open_or_update(github: GitHub, marker: str, title: str, body: str, *, label: str, reopened: str) -> str:
    """Open, reopen or update the issue and return its URL.  ``reopened`` is the comment on a closed one.

    Raises Problems.
    """
    issue = find(github, marker)
    if issue is None:
        return str(github.post("/issues", {"title": title, "body": body, "labels": [label]})["html_url"])
    if issue["state"] == "closed":
        _comment(github, issue, reopened)
        github.patch(f"/issues/{issue['number']}", {"state": "open", "title": title, "body": body})
    elif issue["body"] != body:
        github.patch(f"/issues/{issue['number']}", {"title": title, "body": body})
    return str(issue["html_url"])


def close(github: GitHub, marker: str, body: str, text: str) -> str:
    """Close the issue with the comment ``text`` and return its URL; empty if none is open.  Raises Problems."""
    issue = find(github, marker)
    if issue is None or issue["state"] == "closed":
        return ""
    _comment(github, issue, text)
    github.patch(f"/issues/{issue['number']}", {"state": "closed", "state_reason": "completed", "body": body})
    return str(issue["html_url"])


def update(github: GitHub, marker: str, body: str) -> str:
    """Update the body of an open issue and return its URL; empty if none is open.

    Used when some resources could not be checked, so that the issue can be neither opened nor closed.  Raises Problems.
    """
    issue = find(github, marker)
    if issue is None or issue["state"] == "closed":
        return ""
    github.patch(f"/issues/{issue['number']}", {"body": body})
    return str(issue["html_url"])


def find(github: GitHub, marker: str) -> Mapping[str, Any] | None:
    """Return the newest issue that contains ``marker`` and was written by a workflow, or None."""
    for item in github.paginate("/issues", state="all", creator=sticky_comment.WORKFLOW_AUTHOR):
        is_issue = "pull_request" not in item and sticky_comment.is_bot(item.get("user"))
        if is_issue and marker in (item.get("body") or ""):
            issue: Mapping[str, Any] = item
            return issue
    return None


def _comment(github: GitHub, issue: Mapping[str, Any], text: str) -> None:
    github.post(f"/issues/{issue['number']}/comments", {"body": text})
