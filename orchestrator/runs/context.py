"""What a run says of itself when it begins: who, from which commit, in which job of GitHub Actions."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.protocol.records import Run, Verb


def run(settings: Settings, environment: str, verb: Verb, reason: str = "", brought_by: int | None = None) -> Run:
    """A run that begins now, with an id of its own; ``brought_by`` is the pull request that brought its commit."""
    from orchestrator.release import ledger_entry
    from orchestrator.state.client.payloads import now
    from orchestrator.state.protocol.records import Run

    origin = ledger_entry.origin(settings.manifests)
    at = datetime.now(UTC)
    number = f"{at:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
    url, ref = _surroundings(os.environ)
    return Run(
        number,
        environment,
        verb,
        origin.by,
        origin.commit,
        now(),
        ref=ref,
        url=url,
        reason=reason,
        pull_request=brought_by,
        committed_at=_committed(settings.manifests),
    )


def _surroundings(environ: Mapping[str, str]) -> tuple[str, str]:
    """The link of this job and its branch, as GitHub Actions tells them."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return "", ""
    place = f"{environ.get('GITHUB_SERVER_URL', '')}/{environ.get('GITHUB_REPOSITORY', '')}"
    return f"{place}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}", environ.get("GITHUB_REF_NAME", "")


def _committed(folder: Path) -> str:
    """When the commit that is checked out was made; "" where there is none."""
    from orchestrator import shell

    if shell.which("git") is None:
        return ""
    ran = shell.run(["git", "show", "-s", "--format=%ct", "HEAD"], folder=folder, timeout=10)
    seconds = ran.output.strip()
    if ran.status or not seconds.isdigit():
        return ""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
