"""Check this machine: the git repository, the manifests, the workflows, and the build programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.artefacts.images import builder_commands
from orchestrator.doctor import DoctorContext, Finding, findings_from_problems
from orchestrator.doctor.clone_checks import check_clone
from orchestrator.doctor.workflow_checks import check_workflow_files
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.quantities import format_count

PACKAGE_MANAGERS = frozenset({"pnpm", "yarn", "bun"})
"""Package managers that run through ``npx`` if they are not installed."""
GIT_TIMEOUT_SECONDS = 10.0
"""Timeout of one git command."""


def check_manifests(context: DoctorContext) -> tuple[DoctorContext, list[Finding]]:
    """Validate the manifests, and return the context with the manifest if they are valid."""
    try:
        manifest = pipeline.validate(context.folder, context.environment)
    except Problems as error:
        return context, findings_from_problems("manifests", error)
    message = f"{format_count(len(manifest.components), 'component')} of {manifest.scope.owner} are valid"
    return replace(context, manifest=manifest), [Finding("manifests", "ok", message)]


def check_git(context: DoctorContext) -> Iterator[Finding]:
    """Check for a git repository with a commit, and that it is the one that the Project names."""
    root = find_repository_root(context)
    if root is None:
        message = f"{context.folder} is not in a git repository"
        yield Finding("git", "missing", message, "git init -b main && git add -A && git commit -m 'Initial commit'")
        return
    commit = _run_git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        yield Finding("git", "missing", "the repository has no commits", "git add -A && git commit -m 'Initial commit'")
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
        message = f"this is a checkout of {checkout_repository}, but the Project names {project_repository}"
        yield Finding("git", "missing", message, "correct `repository` in the Project", context.manifest.project.where)
    else:
        yield Finding("git", "ok", f"commit {commit[:12]} of {checkout_repository}")


def parse_repository_name(url: str) -> str:
    """Return the ``OWNER/NAME`` of a remote URL; empty if it has none."""
    match = re.search(r"[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
    return match[1] if match else ""


def find_repository_root(context: DoctorContext) -> Path | None:
    """Return the root folder of the git repository, or None outside one."""
    start_folder = context.folder if context.folder.is_dir() else Path()
    root = _run_git(start_folder, "rev-parse", "--show-toplevel")
    return Path(root) if root else None


def check_workflows(context: DoctorContext) -> Iterator[Finding]:
    """Check the GitHub workflow files of the checkout."""
    root = find_repository_root(context)
    if root is not None:
        is_promoted = context.manifest is not None and bool(context.manifest.project.spec.get("promotion"))
        yield from check_workflow_files(root, context.command_for("init"), needs_promotion=is_promoted)


def check_builder(context: DoctorContext) -> Iterator[Finding]:
    """Check for the programs and files that the manifests need to build images and sites."""
    if context.manifest is None:
        return
    root = find_repository_root(context)
    if root is not None:
        yield from check_clone(context.manifest, root.resolve())
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
        runs_by_npx = command and command[0] in PACKAGE_MANAGERS and shell.which("npx") is not None
        if command and shell.which(command[0]) is None and not runs_by_npx:
            message = f"{component.handle} needs {command[0]} to build, but it is not on PATH"
            yield Finding("builder", "missing", message, f"install {command[0]}", component.where)
        elif command:
            yield Finding("builder", "ok", f"{command[0]} builds {component.handle}")
    if not image_handles and not any(
        (component.spec.get("spa") or {}).get("build") for component in context.manifest.components
    ):
        yield Finding("builder", "ok", "nothing to build")


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        result = shell.run(["git", *arguments], folder=folder, timeout=GIT_TIMEOUT_SECONDS)
    except Problems:
        return ""
    return result.output.strip() if result.exit_code == 0 else ""
