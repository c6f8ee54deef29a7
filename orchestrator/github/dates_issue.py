"""Raise the dates on which AWS or GitHub changes something in one issue for each environment, each date once.

The body records in a hidden line which dates it has raised.  Whoever closes the issue has seen them: only a date that
is not in that line opens it again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date

from orchestrator.cost import deadlines
from orchestrator.cost.deadlines import Deadline
from orchestrator.github import comment_body, tracking_issue
from orchestrator.github.client import GitHub

_RAISED = re.compile(r"<!-- orchestrator:raised((?: [0-9a-f]{16})*) -->\s*\Z")


def report(github: GitHub, marker: str, stack: str, all_dates: Iterable[Deadline], on: date, run_url: str) -> str:
    """Open, update or close the issue about the dates of ``stack``, and return its URL; "" if no issue is open.

    ``all_dates`` are all dates, near or not; ``on`` is today.  Raises Problems.
    """
    due = deadlines.select_due(all_dates, on)
    keys = [_key(deadline) for deadline in due]
    body = comment_body.render_dates(due, stack, marker, on, run_url)
    text = f"{body.rstrip()}\n\n<!-- orchestrator:raised{''.join(f' {key}' for key in keys)} -->\n"
    if not due:
        return tracking_issue.close(github, marker, text, "None of these dates applies anymore.")
    issue = tracking_issue.find(github, marker)
    if issue is not None and issue["state"] == "closed" and set(keys) <= _read_raised(issue.get("body") or ""):
        return str(issue["html_url"])
    return tracking_issue.open_or_update(
        github, marker, f"AWS dates of {stack}", text, label=tracking_issue.DATES_LABEL, reopened="A date was added."
    )


def _key(deadline: Deadline) -> str:
    """Return what identifies a date: a new wording of its effect raises nothing again."""
    return hashlib.sha256(f"{deadline.on} {deadline.address}".encode()).hexdigest()[:16]


def _read_raised(body: str) -> set[str]:
    match = _RAISED.search(body.replace("\r\n", "\n"))
    return set(match[1].split()) if match else set()
