"""Maintain one drift issue for each environment: opened on drift, updated, and closed when the drift is resolved.

API: GitHub REST API (issues).  The issue is identified by its label and a hidden marker; only issues written by a
workflow count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github import sticky_comment
from orchestrator.github.client import GitHub

LABEL = "drift"


def open_or_update(github: GitHub, marker: str, title: str, body: str) -> str:
    """Open, reopen or update the drift issue and return its URL.  Raises Problems."""
    issue = find(github, marker)
    if issue is None:
        return str(github.post("/issues", {"title": title, "body": body, "labels": [LABEL]})["html_url"])
    if issue["state"] == "closed":
        _comment(github, issue, "Drift detected again.")
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
    for item in github.paginate("/issues", state="all", labels=LABEL):
        is_issue = "pull_request" not in item and sticky_comment.is_bot(item.get("user"))
        if is_issue and marker in (item.get("body") or ""):
            issue: Mapping[str, Any] = item
            return issue
    return None


def _comment(github: GitHub, issue: Mapping[str, Any], text: str) -> None:
    github.post(f"/issues/{issue['number']}/comments", {"body": text})
