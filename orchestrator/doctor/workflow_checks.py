"""The workflow files of a checkout: which of ours they run, whether actions are pinned, what jobs are allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from orchestrator.doctor import Finding
from orchestrator.problems import Position

NEEDS: Final[Mapping[str, Mapping[str, str]]] = {
    "plan": {"contents": "read", "id-token": "write", "pull-requests": "write", "statuses": "write"},
    "deploy": {
        "contents": "read",
        "deployments": "write",
        "id-token": "write",
        "pull-requests": "write",
        "statuses": "read",
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
"""What whoever calls one of the workflows has to allow it; GitHub starts it for no less."""

_CALLED: Final = re.compile(r"\.github/workflows/(plan|deploy|rollback|drift)\.ya?ml(?:@|$)")
_RUN: Final = re.compile(r"\borchestrator github (plan|deploy|rollback|drift)\b")
_PINNED: Final = re.compile(r"@(?:[0-9a-f]{40}|sha256:[0-9a-f]{64})$")
_LOCAL: Final = ("./", "$/")


class _Job(Struct, frozen=True):
    """One job, with the permissions that hold for it, and where its file is."""

    path: str
    text: str
    name: str
    content: Mapping[str, Any]
    allowed: Any

    def uses(self) -> Iterator[str]:
        """The job's own ``uses``, and its steps'."""
        for place in (self.content, *_mappings(self.content.get("steps"))):
            if isinstance(place.get("uses"), str):
                yield place["uses"]

    def runs(self) -> str:
        return "\n".join(str(step.get("run", "")) for step in _mappings(self.content.get("steps")))

    def where(self, word: str) -> Position:
        lines = self.text.splitlines()
        line = next((number for number, each in enumerate(lines, start=1) if word in each), 1)
        return Position(self.path, line, lines[line - 1].find(word) + 1 if lines else 1)


def read(root: Path, init: str) -> Iterator[Finding]:
    """What the workflows below ``root`` lack; ``init`` is the command that writes them."""
    jobs: list[_Job] = []
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        shown = str(path.relative_to(root))
        try:
            text = path.read_text(encoding="utf-8")
            jobs += _jobs(shown, text, yaml.safe_load(text))
        except (OSError, ValueError, yaml.YAMLError):
            yield Finding("workflows", "missing", f"{shown} cannot be read as YAML", "correct it", Position(shown))
    wrong = [*_absent(jobs, init), *_unpinned(jobs), *_forbidden(jobs)]
    yield from wrong or [Finding("workflows", "ok", "plan, deploy, rollback and drift are there, and pinned")]


def _jobs(path: str, text: str, document: Any) -> Iterator[_Job]:
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), dict):
        return
    for name, content in document["jobs"].items():
        if isinstance(content, dict):
            allowed = content.get("permissions", document.get("permissions"))
            yield _Job(path, text, str(name), content, allowed)


def _absent(jobs: list[_Job], init: str) -> Iterator[Finding]:
    found = {name for job in jobs for name in _CALLED.findall("\n".join(job.uses())) + _RUN.findall(job.runs())}
    for name in NEEDS:
        if name not in found:
            yield Finding("workflows", "missing", f"no workflow of this repository runs {name}", init)


def _unpinned(jobs: list[_Job]) -> Iterator[Finding]:
    for job in jobs:
        for uses in dict.fromkeys(job.uses()):
            if not uses.startswith(_LOCAL) and not _PINNED.search(uses):
                what = f"{uses} may become something else: a tag or branch can be moved"
                yield Finding("workflows", "missing", what, "name the commit, by its 40 digits", job.where(uses))


def _forbidden(jobs: list[_Job]) -> Iterator[Finding]:
    for job in jobs:
        called = _CALLED.search(str(job.content.get("uses", "")))
        lacking = [] if called is None else list(_lacking(NEEDS[called[1]], job.allowed))
        if lacking:
            what = f"job {job.name} may not call {called[1] if called else ''}: it lacks {', '.join(lacking)}"
            where = job.where(str(job.content["uses"]))
            yield Finding("workflows", "missing", what, f"add to the job: permissions: {{{', '.join(lacking)}}}", where)


def _lacking(needed: Mapping[str, str], allowed: Any) -> Iterator[str]:
    """What is needed and not allowed; without a word about permissions GitHub's own setting holds, which may do."""
    if allowed is None or allowed == "write-all":
        return
    given = allowed if isinstance(allowed, dict) else {}
    for name, level in needed.items():
        may = given.get(name, "read" if allowed == "read-all" else "none")
        if may not in {"write", level}:
            yield f"{name}: {level}"


def _mappings(items: Any) -> list[Mapping[str, Any]]:
    return [item for item in items or () if isinstance(item, dict)] if isinstance(items, list) else []
