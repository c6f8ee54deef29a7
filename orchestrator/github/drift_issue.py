"""One issue an environment: opened when something drifts, kept up to date, closed when it has healed.

API: GitHub's REST API.  The issue is found by its label and a hidden marker, and only among what a workflow wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github import sticky_comment
from orchestrator.github.client import GitHub

LABEL = "drift"


def drifted(github: GitHub, marker: str, title: str, body: str) -> str:
    """Say in the issue that there is drift, in a new one or the one that was closed; its URL.

    Raises Problems.
    """
    found = ours(github, marker)
    if found is None:
        return str(github.post("/issues", {"title": title, "body": body, "labels": [LABEL]})["html_url"])
    if found["state"] == "closed":
        _say(github, found, "There is drift again.")
        github.patch(f"/issues/{found['number']}", {"state": "open", "title": title, "body": body})
    elif found["body"] != body:
        github.patch(f"/issues/{found['number']}", {"title": title, "body": body})
    return str(found["html_url"])


def healed(github: GitHub, marker: str, body: str, words: str) -> str:
    """Close the issue with ``words`` if it is open; its URL, or nothing where none was.

    Raises Problems.
    """
    found = ours(github, marker)
    if found is None or found["state"] == "closed":
        return ""
    _say(github, found, words)
    github.patch(f"/issues/{found['number']}", {"state": "closed", "state_reason": "completed", "body": body})
    return str(found["html_url"])


def unsure(github: GitHub, marker: str, body: str) -> str:
    """Bring the issue up to date, and leave it as it is: not all could be looked at; its URL, or nothing.

    Raises Problems.
    """
    found = ours(github, marker)
    if found is None or found["state"] == "closed":
        return ""
    github.patch(f"/issues/{found['number']}", {"body": body})
    return str(found["html_url"])


def ours(github: GitHub, marker: str) -> Mapping[str, Any] | None:
    """The newest issue that bears ``marker`` and was written by a workflow, or None."""
    for found in github.pages("/issues", state="all", labels=LABEL):
        is_issue = "pull_request" not in found and sticky_comment.is_bot(found.get("user"))
        if is_issue and marker in (found.get("body") or ""):
            issue: Mapping[str, Any] = found
            return issue
    return None


def _say(github: GitHub, found: Mapping[str, Any], words: str) -> None:
    github.post(f"/issues/{found['number']}/comments", {"body": words})
