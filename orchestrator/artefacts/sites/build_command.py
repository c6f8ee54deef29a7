"""Install the packages of a site, run its build command, and check that it wrote the site."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from orchestrator.artefacts import repository_paths
from orchestrator.artefacts.build_process import BuildLog, format_repeat, interruption
from orchestrator.artefacts.sites import node_packages
from orchestrator.artefacts.sites.folder import DEFAULT_INDEX
from orchestrator.artefacts.sites.node_packages import NodeProject
from orchestrator.problems import Problem, Problems
from orchestrator.vocabulary import Component

TIMEOUT_SECONDS = 1800.0
"""Seconds until the command is stopped."""
OUTPUT_PATTERNS = ("*", "*/*", "*/*/*")
"""Where a build may have written its pages instead, relative to its folder (Angular: ``dist/NAME/browser``)."""
IGNORED_FOLDERS = ("node_modules", "public", "src")
MAX_SUGGESTIONS = 3


def get_command(component: Component) -> list[str]:
    """Return the build command of a component's site; empty if it has none."""
    return [str(word) for word in _get_spa(component).get("build") or ()]


def build_site(component: Component, log: BuildLog) -> None:
    """Install the site's packages and run ``spa.build`` in its project folder; do nothing if it has no build.

    Raises Problems with the first error and the end of the output if it fails, or if there is no site afterwards.
    """
    spa, command = _get_spa(component), get_command(component)
    if not command:
        return
    folder = repository_paths.resolve(component, spa["folder"], "folder")
    project = _find_packages(component, spa, folder)
    _install_packages(component, spa, folder, project, log)
    if project is not None and command[0] == project.manager.name:
        command = [*project.program(), *command[1:]]
    environment = {str(name): str(value) for name, value in (spa.get("env") or {}).items()}
    started_at = time.time()
    _run(component, "the build", command, folder, environment, log)
    check_built(component, since=started_at)


def find_install_command(component: Component) -> list[str]:
    """Return the command that installs the site's packages before its build; empty if there is nothing to install.

    Raises Problems if the folder of the site is outside the repository.
    """
    spa = _get_spa(component)
    if spa.get("install") is not None:
        return [str(word) for word in spa["install"]]
    project = _find_packages(component, spa, repository_paths.resolve(component, spa["folder"], "folder"))
    return project.install_command() if project is not None else []


def _find_packages(component: Component, spa: dict[str, Any], folder: Path) -> NodeProject | None:
    repository = repository_paths.find_repository(Path(component.where.file).parent.resolve())
    return node_packages.find_project(folder, repository or folder)


def _install_packages(
    component: Component, spa: dict[str, Any], folder: Path, project: NodeProject | None, log: BuildLog
) -> None:
    """Run ``spa.install``, or install by the lock file unless that was done since it changed."""
    if spa.get("install") is not None:
        if spa["install"]:
            _run(component, "installing the packages", [str(word) for word in spa["install"]], folder, {}, log)
    elif project is not None and not project.is_installed():
        _run(component, "installing the packages", project.install_command(), project.root, {}, log)


def _run(
    component: Component, what: str, command: list[str], folder: Path, environment: Mapping[str, str], log: BuildLog
) -> None:
    try:
        result = log.run(command, folder=folder, environment=environment, timeout=TIMEOUT_SECONDS)
    except Problems as error:
        message = f"{what} of {component.handle} was interrupted; nothing was changed"
        raise interruption(error, message) from None
    if result.exit_code:
        raise log.failure(
            result,
            f"{what} of {component.handle} failed",
            repeat=format_repeat(folder, command),
            hint="nothing was changed",
        )


def check_built(component: Component, since: float = 0.0) -> None:
    """Check that the site that a command builds is there.  ``since``: when the command was started.

    Raises Problems if the folder or its front page is missing.
    """
    spa = _get_spa(component)
    if not spa.get("build"):
        return
    folder = repository_paths.resolve(component, spa["dir"], "dir")
    if (folder / DEFAULT_INDEX).is_file():
        return
    missing = f"contains no {DEFAULT_INDEX}" if folder.is_dir() else "does not exist"
    ran = "the build succeeded, but" if since else "the site is not built:"
    message = f"{component.handle}: {ran} `dir: {spa['dir']}` {missing} ({folder})"
    hint = (
        "set `dir` to the folder that the build writes" if since else "build it first, or deploy without `--no-build`"
    )
    suggestions = list(islice(_find_pages(component, spa, since), MAX_SUGGESTIONS)) if since else []
    if suggestions:
        hint += f"; the build wrote {DEFAULT_INDEX} to {', '.join(suggestions)}"
    raise Problems([Problem(message, component.where, f"{hint}; nothing was changed")])


def _find_pages(component: Component, spa: dict[str, Any], since: float) -> Iterator[str]:
    """Yield the folders with an index page that the build wrote, relative to the manifest."""
    manifest_folder = Path(component.where.file).parent.resolve()
    project = repository_paths.resolve(component, spa["folder"], "folder")
    for page in chain.from_iterable(project.glob(f"{pattern}/{DEFAULT_INDEX}") for pattern in OUTPUT_PATTERNS):
        is_output = not any(part in IGNORED_FOLDERS for part in page.relative_to(project).parts)
        if is_output and page.stat().st_mtime >= since - 1:
            yield os.path.relpath(page.parent, manifest_folder)


def _get_spa(component: Component) -> dict[str, Any]:
    return component.spec.get("spa") or {}
