"""Describe a run: who started it, from which commit, in which job of GitHub Actions."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.protocol.records import Run, RunVerb


def new_run(
    settings: Settings, environment: str, verb: RunVerb, reason: str = "", pull_request: int | None = None
) -> Run:
    """Return a new run that starts now; ``pull_request`` is the number of the one that merged its commit."""
    from orchestrator.release import ledger_entry, shipped_commits
    from orchestrator.state.client.payloads import current_timestamp
    from orchestrator.state.protocol.records import Run

    origin = ledger_entry.detect_origin(settings.manifests)
    started_at = datetime.now(UTC)
    run_id = f"{started_at:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
    url, ref = _actions_context(os.environ)
    commit = shipped_commits.resolve_commit(settings.manifests, origin.commit)
    return Run(
        run_id,
        environment,
        verb,
        origin.actor,
        origin.commit,
        current_timestamp(),
        ref=ref,
        url=url,
        reason=reason,
        pull_request=pull_request or (commit.pull_request if commit else None),
        commit_title=commit.title if commit else "",
        commit_author=commit.author if commit else "",
        committed_at=_commit_time(settings.manifests),
    )


def _actions_context(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the URL of this job and its branch, from the environment of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return "", ""
    repository_url = f"{environ.get('GITHUB_SERVER_URL', '')}/{environ.get('GITHUB_REPOSITORY', '')}"
    return f"{repository_url}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}", environ.get("GITHUB_REF_NAME", "")


def _commit_time(folder: Path) -> str:
    """Return the time of the checked-out commit in ISO 8601, or "" if there is none."""
    from orchestrator import shell

    if shell.which("git") is None:
        return ""
    result = shell.run(["git", "show", "-s", "--format=%ct", "HEAD"], folder=folder, timeout=10)
    seconds = result.output.strip()
    if result.exit_code or not seconds.isdigit():
        return ""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
