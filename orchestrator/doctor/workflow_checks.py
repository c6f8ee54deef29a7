"""Check the workflow files of a checkout: required workflows, pinned actions, and permissions of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from orchestrator.doctor import Finding
from orchestrator.problems import Position

REQUIRED_PERMISSIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "plan": {"contents": "read", "id-token": "write", "pull-requests": "write", "statuses": "write"},
    "deploy": {
        "actions": "read",
        "contents": "read",
        "deployments": "write",
        "id-token": "write",
        "issues": "read",
        "pull-requests": "write",
    },
    "rollback": {"contents": "read", "deployments": "write", "id-token": "write", "pull-requests": "write"},
    "drift": {
        "contents": "write",
        "deployments": "write",
        "id-token": "write",
        "issues": "write",
        "pull-requests": "write",
    },
}
"""The permissions that a caller must grant each reusable workflow; GitHub does not start it with fewer."""

PROMOTE: Final = "promote"
CALLER_PERMISSIONS: Final[Mapping[str, Mapping[str, str]]] = {
    **REQUIRED_PERMISSIONS,
    PROMOTE: REQUIRED_PERMISSIONS["deploy"],
}
"""As ``REQUIRED_PERMISSIONS``, with the workflows that not every project has."""

_REUSABLE_WORKFLOW_PATTERN: Final = re.compile(r"\.github/workflows/(plan|deploy|promote|rollback|drift)\.ya?ml(?:@|$)")
_CALLED_WORKFLOW_PATTERN: Final = re.compile(
    r"([\w.-]+/[\w.-]+)/\.github/workflows/(?:plan|deploy|promote|rollback|drift)\.ya?ml@(.+)"
)
_CLI_COMMAND_PATTERN: Final = re.compile(r"\borchestrator github (plan|deploy|promote|rollback|drift)\b")
_PINNED_REFERENCE_PATTERN: Final = re.compile(r"@(?:[0-9a-f]{40}|sha256:[0-9a-f]{64})$")
_LOCAL_PREFIXES: Final = ("./", "$/")


class _Job(Struct, frozen=True):
    """One job with its effective permissions, and the file that defines it."""

    path: str
    file_text: str
    name: str
    content: Mapping[str, Any]
    permissions: Any

    def used_actions(self) -> Iterator[str]:
        """Yield the ``uses`` of the job and of its steps."""
        for job_or_step in (self.content, *_list_mappings(self.content.get("steps"))):
            if isinstance(job_or_step.get("uses"), str):
                yield job_or_step["uses"]

    def run_script(self) -> str:
        return "\n".join(str(step.get("run", "")) for step in _list_mappings(self.content.get("steps")))

    def position_of(self, text: str) -> Position:
        lines = self.file_text.splitlines()
        line_number = next((index for index, line in enumerate(lines, start=1) if text in line), 1)
        return Position(self.path, line_number, lines[line_number - 1].find(text) + 1 if lines else 1)


def check_workflow_files(root: Path, init_command: str, *, needs_promotion: bool = False) -> Iterator[Finding]:
    """Yield what the workflows below ``root`` lack; ``init_command`` is the command that writes them.

    ``needs_promotion``: whether the environment gets the releases of another one.
    """
    jobs: list[_Job] = []
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        relative_path = str(path.relative_to(root))
        try:
            text = path.read_text(encoding="utf-8")
            jobs += _parse_jobs(relative_path, text, yaml.safe_load(text))
        except (OSError, ValueError, yaml.YAMLError):
            yield Finding(
                "workflows",
                "missing",
                f"{relative_path} cannot be read as YAML",
                "fix the file",
                Position(relative_path),
            )
    findings = [
        *_find_missing_workflows(jobs, init_command, [*REQUIRED_PERMISSIONS, *([PROMOTE] if needs_promotion else [])]),
        *_find_unpinned_actions(jobs),
        *_find_insufficient_permissions(jobs),
    ]
    yield from findings or [Finding("workflows", "ok", "plan, deploy, rollback and drift exist and are pinned")]


def list_called_workflows(root: Path) -> list[str]:
    """Return ``OWNER/NAME@COMMIT`` of every repository whose workflows of the orchestrator are called, each once."""
    calls: dict[str, None] = {}
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for job in _parse_jobs(path.name, "", document):
            match = _CALLED_WORKFLOW_PATTERN.match(str(job.content.get("uses", "")))
            if match:
                calls[f"{match[1]}@{match[2]}"] = None
    return list(calls)


def _parse_jobs(path: str, text: str, document: Any) -> Iterator[_Job]:
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), dict):
        return
    for name, content in document["jobs"].items():
        if isinstance(content, dict):
            permissions = content.get("permissions", document.get("permissions"))
            yield _Job(path, text, str(name), content, permissions)


def _find_missing_workflows(jobs: list[_Job], init_command: str, names: list[str]) -> Iterator[Finding]:
    present_names = {
        name
        for job in jobs
        for name in _REUSABLE_WORKFLOW_PATTERN.findall("\n".join(job.used_actions()))
        + _CLI_COMMAND_PATTERN.findall(job.run_script())
    }
    for name in names:
        if name not in present_names:
            yield Finding("workflows", "missing", f"no workflow in this repository runs {name}", init_command)


def _find_unpinned_actions(jobs: list[_Job]) -> Iterator[Finding]:
    for job in jobs:
        for action in dict.fromkeys(job.used_actions()):
            if not action.startswith(_LOCAL_PREFIXES) and not _PINNED_REFERENCE_PATTERN.search(action):
                message = f"{action} is not pinned: a tag or branch can be moved"
                yield Finding(
                    "workflows",
                    "missing",
                    message,
                    "pin it to the full commit SHA (40 characters)",
                    job.position_of(action),
                )


def _find_insufficient_permissions(jobs: list[_Job]) -> Iterator[Finding]:
    for job in jobs:
        reusable_workflow = _REUSABLE_WORKFLOW_PATTERN.search(str(job.content.get("uses", "")))
        missing_permissions = (
            []
            if reusable_workflow is None
            else list(_missing_permissions(CALLER_PERMISSIONS[reusable_workflow[1]], job.permissions))
        )
        if missing_permissions:
            message = (
                f"job {job.name} cannot call {reusable_workflow[1] if reusable_workflow else ''}: "
                f"missing permissions {', '.join(missing_permissions)}"
            )
            where = job.position_of(str(job.content["uses"]))
            yield Finding(
                "workflows",
                "missing",
                message,
                f"add to the job: permissions: {{{', '.join(missing_permissions)}}}",
                where,
            )


def _missing_permissions(required: Mapping[str, str], permissions: Any) -> Iterator[str]:
    """Yield the permissions that are required but not granted.

    A job without ``permissions`` gets the repository's default, which is not known here and may suffice.
    """
    if permissions is None or permissions == "write-all":
        return
    granted = permissions if isinstance(permissions, dict) else {}
    for name, level in required.items():
        granted_level = granted.get(name, "read" if permissions == "read-all" else "none")
        if granted_level not in {"write", level}:
            yield f"{name}: {level}"


def _list_mappings(items: Any) -> list[Mapping[str, Any]]:
    return [item for item in items or () if isinstance(item, dict)] if isinstance(items, list) else []
