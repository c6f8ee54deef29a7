"""What is on this machine: the repository, the manifests, the workflows, the programs that build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.artefacts.images import builder_commands
from orchestrator.doctor import DoctorContext, Finding, findings_from_problems
from orchestrator.doctor.workflow_checks import check_workflow_files
from orchestrator.planning import pipeline
from orchestrator.problems import Problems

GIT_TIMEOUT_SECONDS = 10.0
"""In which git answers."""


def check_manifests(context: DoctorContext) -> tuple[DoctorContext, list[Finding]]:
    """The case with its manifest, where that is valid."""
    try:
        manifest = pipeline.validate(context.folder, context.environment)
    except Problems as error:
        return context, findings_from_problems("manifests", error)
    message = f"{len(manifest.components)} components of {manifest.scope.owner} are valid"
    return replace(context, manifest=manifest), [Finding("manifests", "ok", message)]


def check_git(context: DoctorContext) -> Iterator[Finding]:
    """There is a repository with a commit, and it is the one that the Project names."""
    root = find_repository_root(context)
    if root is None:
        message = f"{context.folder} lies in no git repository"
        yield Finding("git", "missing", message, "git init -b main && git add -A && git commit -m 'Begin'")
        return
    commit = _run_git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        yield Finding("git", "missing", "the repository has no commit", "git add -A && git commit -m 'Begin'")
        return
    if context.manifest is None:
        yield Finding("git", "ok", f"commit {commit[:12]}")
        return
    project_repository = str(context.manifest.project.spec["repository"])
    checkout_repository = context.environ.get("GITHUB_REPOSITORY") or parse_repository_name(
        _run_git(root, "remote", "get-url", "origin")
    )
    if not checkout_repository:
        fix = f"git remote add origin https://github.com/{project_repository}.git"
        yield Finding("git", "missing", "the repository has no remote `origin` on GitHub", fix)
    elif checkout_repository.lower() != project_repository.lower():
        message = f"this is a checkout of {checkout_repository}, and the Project says that it is {project_repository}"
        yield Finding("git", "missing", message, "correct `repository` in the Project", context.manifest.project.where)
    else:
        yield Finding("git", "ok", f"commit {commit[:12]} of {checkout_repository}")


def parse_repository_name(url: str) -> str:
    """``OWNER/NAME`` of a remote; empty where that cannot be told."""
    match = re.search(r"[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
    return match[1] if match else ""


def find_repository_root(context: DoctorContext) -> Path | None:
    """The repository's folder, or None outside of any."""
    start_folder = context.folder if context.folder.is_dir() else Path()
    root = _run_git(start_folder, "rev-parse", "--show-toplevel")
    return Path(root) if root else None


def check_workflows(context: DoctorContext) -> Iterator[Finding]:
    """Those of GitHub, in the checkout."""
    root = find_repository_root(context)
    if root is not None:
        yield from check_workflow_files(root, context.command_for("init"))


def check_builder(context: DoctorContext) -> Iterator[Finding]:
    """Only what the manifests want to have built needs a builder."""
    if context.manifest is None:
        return
    image_handles = [
        component.handle
        for component in context.manifest.components
        if (component.spec.get("image") or {}).get("build")
    ]
    if image_handles:
        try:
            yield Finding("builder", "ok", f"{builder_commands.find_builder().name} builds {', '.join(image_handles)}")
        except Problems as error:
            yield from findings_from_problems("builder", error)
    for component in context.manifest.components:
        command = (component.spec.get("spa") or {}).get("build") or []
        if command and shell.which(command[0]) is None:
            message = f"{component.handle} is built by {command[0]}, which is not on PATH"
            yield Finding("builder", "missing", message, f"install {command[0]}", component.where)
        elif command:
            yield Finding("builder", "ok", f"{command[0]} builds {component.handle}")
    if not image_handles and not any(
        (component.spec.get("spa") or {}).get("build") for component in context.manifest.components
    ):
        yield Finding("builder", "ok", "nothing is to be built")


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        result = shell.run(["git", *arguments], folder=folder, timeout=GIT_TIMEOUT_SECONDS)
    except Problems:
        return ""
    return result.output.strip() if result.exit_code == 0 else ""
