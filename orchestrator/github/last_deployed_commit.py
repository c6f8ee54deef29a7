"""Find the commit that the workflow of this run has deployed completely before: what differs since then is to do.

API: GitHub REST API (runs of a workflow).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from orchestrator.github.client import GitHub

MAX_RUNS: Final = 100
_WORKFLOW_FILE: Final = re.compile(r"/\.github/workflows/([^/@]+)@")


def find_commit(github: GitHub, workflow_ref: str, branch: str) -> str:
    """Return the commit of the last run that is complete, "" if there is none.

    ``workflow_ref`` is GITHUB_WORKFLOW_REF, the workflow that GitHub has started.  Raises Problems.
    """
    match = _WORKFLOW_FILE.search(workflow_ref)
    if match is None:
        return ""
    path = f"/actions/workflows/{quote(match[1], safe='')}/runs"
    response = github.find(path, branch=branch, event="push", per_page=MAX_RUNS) or {}
    return choose_commit(response.get("workflow_runs", ()))


def choose_commit(runs: Iterable[Mapping[str, Any]]) -> str:
    """Return the commit of the newest successful run that ended before every later one that was not, began.

    A run succeeds too if a later one has superseded it.  If that one fails, nobody has deployed what the first one was
    for, so a success that overlaps a failure counts for nothing.  ``runs`` are the newest first.
    """
    limit = ""
    for run in runs:
        is_success = run.get("conclusion") == "success"
        if is_success and (not limit or str(run["updated_at"]) <= limit):
            return str(run["head_sha"])
        limit = str(run["created_at"])
    return ""
