"""Read the current GitHub Actions run (repository, commit, event), and write its outputs and summary.

Reads only the environment and the event file.  The only secret is the token, which it passes to the client.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from orchestrator.github.client import DEFAULT_API_URL, GitHub
from orchestrator.problems import Problems


class PullRequest(Struct, frozen=True):
    """The pull request of the event: its number and its head commit."""

    number: int
    head: str


class WorkflowRun(Struct, frozen=True):
    """One run of a workflow.  ``url`` is the page of the run; ``event`` is the event payload."""

    repository: str
    sha: str
    actor: str
    url: str
    event: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> WorkflowRun:
        """Return the current run.  Raises Problems outside GitHub Actions."""
        repository = environ.get("GITHUB_REPOSITORY", "")
        if not repository:
            raise Problems.from_message(
                "not running in GitHub Actions: GITHUB_REPOSITORY is not set",
                hint="outside GitHub Actions, use `orchestrator plan`, `deploy`, `rollback` or `drift`",
            )
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        url = f"{server}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
        actor = environ.get("GITHUB_ACTOR", "")
        return cls(repository, environ.get("GITHUB_SHA", ""), actor, url, _read_event(environ), environ)

    @property
    def pull_request(self) -> PullRequest | None:
        """The pull request of the event, or None."""
        payload = self.event.get("pull_request")
        return PullRequest(int(payload["number"]), str(payload["head"]["sha"])) if isinstance(payload, dict) else None

    @property
    def default_branch(self) -> str:
        """The default branch of the repository; ``main`` if the event does not say."""
        return str((self.event.get("repository") or {}).get("default_branch") or "main")

    def create_client(self) -> GitHub:
        """Return a client with this run's token.  Raises Problems if the step has no token."""
        token = self.environ.get("GITHUB_TOKEN", "")
        if not token:
            raise Problems.from_message(
                "GITHUB_TOKEN is not set", hint="add to the step: env: {GITHUB_TOKEN: ${{ github.token }}}"
            )
        return GitHub(self.repository, token, api_url=self.environ.get("GITHUB_API_URL", "") or DEFAULT_API_URL)

    def set_outputs(self, **values: object) -> None:
        """Set outputs of the step; underscores in names become hyphens."""
        lines = []
        for name, value in values.items():
            delimiter = uuid.uuid4().hex  # random, so that a value cannot end its own output
            lines += [f"{name.replace('_', '-')}<<{delimiter}", str(value), delimiter]
        _append_to_file(self.environ.get("GITHUB_OUTPUT"), "\n".join(lines) + "\n")

    def append_summary(self, markdown: str) -> None:
        """Append to the summary of the run."""
        _append_to_file(self.environ.get("GITHUB_STEP_SUMMARY"), markdown.rstrip() + "\n\n")


def _append_to_file(path: str | None, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _read_event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    path = environ.get("GITHUB_EVENT_PATH", "")
    try:
        payload = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return payload if isinstance(payload, dict) else {}
