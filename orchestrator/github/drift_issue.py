"""One issue an environment: opened when something drifts, kept up to date, closed when it has healed.

API: GitHub's REST API.  The issue is found by its label and a hidden marker, and only among what a workflow wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github import sticky_comment
from orchestrator.github.client import GitHub

LABEL = "drift"


def open_or_update(github: GitHub, marker: str, title: str, body: str) -> str:
    """Say in the issue that there is drift, in a new one or the one that was closed; its URL.

    Raises Problems.
    """
    issue = find(github, marker)
    if issue is None:
        return str(github.post("/issues", {"title": title, "body": body, "labels": [LABEL]})["html_url"])
    if issue["state"] == "closed":
        _comment(github, issue, "There is drift again.")
        github.patch(f"/issues/{issue['number']}", {"state": "open", "title": title, "body": body})
    elif issue["body"] != body:
        github.patch(f"/issues/{issue['number']}", {"title": title, "body": body})
    return str(issue["html_url"])


def close(github: GitHub, marker: str, body: str, text: str) -> str:
    """Close the issue with ``words`` if it is open; its URL, or nothing where none was.

    Raises Problems.
    """
    issue = find(github, marker)
    if issue is None or issue["state"] == "closed":
        return ""
    _comment(github, issue, text)
    github.patch(f"/issues/{issue['number']}", {"state": "closed", "state_reason": "completed", "body": body})
    return str(issue["html_url"])


def update(github: GitHub, marker: str, body: str) -> str:
    """Bring the issue up to date, and leave it as it is: not all could be looked at; its URL, or nothing.

    Raises Problems.
    """
    issue = find(github, marker)
    if issue is None or issue["state"] == "closed":
        return ""
    github.patch(f"/issues/{issue['number']}", {"body": body})
    return str(issue["html_url"])


def find(github: GitHub, marker: str) -> Mapping[str, Any] | None:
    """The newest issue that bears ``marker`` and was written by a workflow, or None."""
    for item in github.paginate("/issues", state="all", labels=LABEL):
        is_issue = "pull_request" not in item and sticky_comment.is_bot(item.get("user"))
        if is_issue and marker in (item.get("body") or ""):
            issue: Mapping[str, Any] = item
            return issue
    return None


def _comment(github: GitHub, issue: Mapping[str, Any], text: str) -> None:
    github.post(f"/issues/{issue['number']}/comments", {"body": text})
