"""What is on this machine: the repository, the manifests, the workflows, the programs that build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.artefacts.images import builder_commands
from orchestrator.doctor import Case, Finding, missing
from orchestrator.doctor.workflow_checks import read
from orchestrator.planning import pipeline
from orchestrator.problems import Problems

SECONDS = 10.0
"""In which git answers."""


def manifests(case: Case) -> tuple[Case, list[Finding]]:
    """The case with its manifest, where that is valid."""
    try:
        found = pipeline.validate(case.folder, case.environment)
    except Problems as error:
        return case, missing("manifests", error)
    told = f"{len(found.components)} components of {found.scope.owner} are valid"
    return replace(case, manifest=found), [Finding("manifests", "ok", told)]


def git(case: Case) -> Iterator[Finding]:
    """There is a repository with a commit, and it is the one that the Project names."""
    root = top(case)
    if root is None:
        what = f"{case.folder} lies in no git repository"
        yield Finding("git", "missing", what, "git init -b main && git add -A && git commit -m 'Begin'")
        return
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        yield Finding("git", "missing", "the repository has no commit", "git add -A && git commit -m 'Begin'")
        return
    if case.manifest is None:
        yield Finding("git", "ok", f"commit {commit[:12]}")
        return
    wanted = str(case.manifest.project.spec["repository"])
    here = case.environ.get("GITHUB_REPOSITORY") or name_of(_git(root, "remote", "get-url", "origin"))
    if not here:
        fix = f"git remote add origin https://github.com/{wanted}.git"
        yield Finding("git", "missing", "the repository has no remote `origin` on GitHub", fix)
    elif here.lower() != wanted.lower():
        what = f"this is a checkout of {here}, and the Project says that it is {wanted}"
        yield Finding("git", "missing", what, "correct `repository` in the Project", case.manifest.project.where)
    else:
        yield Finding("git", "ok", f"commit {commit[:12]} of {here}")


def name_of(url: str) -> str:
    """``OWNER/NAME`` of a remote; empty where that cannot be told."""
    found = re.search(r"[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
    return found[1] if found else ""


def top(case: Case) -> Path | None:
    """The repository's folder, or None outside of any."""
    beside = case.folder if case.folder.is_dir() else Path()
    found = _git(beside, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def workflows(case: Case) -> Iterator[Finding]:
    """Those of GitHub, in the checkout."""
    root = top(case)
    if root is not None:
        yield from read(root, case.again("init"))


def builder(case: Case) -> Iterator[Finding]:
    """Only what the manifests want to have built needs a builder."""
    if case.manifest is None:
        return
    wanted = [one.handle for one in case.manifest.components if (one.spec.get("image") or {}).get("build")]
    if wanted:
        try:
            yield Finding("builder", "ok", f"{builder_commands.find().name} builds {', '.join(wanted)}")
        except Problems as error:
            yield from missing("builder", error)
    for one in case.manifest.components:
        command = (one.spec.get("spa") or {}).get("build") or []
        if command and shell.which(command[0]) is None:
            what = f"{one.handle} is built by {command[0]}, which is not on PATH"
            yield Finding("builder", "missing", what, f"install {command[0]}", one.where)
        elif command:
            yield Finding("builder", "ok", f"{command[0]} builds {one.handle}")
    if not wanted and not any((one.spec.get("spa") or {}).get("build") for one in case.manifest.components):
        yield Finding("builder", "ok", "nothing is to be built")


def _git(folder: Path, *words: str) -> str:
    try:
        ran = shell.run(["git", *words], folder=folder, timeout=SECONDS)
    except Problems:
        return ""
    return ran.output.strip() if ran.status == 0 else ""
