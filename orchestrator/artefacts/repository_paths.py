"""Resolve the paths that manifests name, and keep them inside the repository.

A manifest is reviewed, the folder that it names is not: without this check ``dir: ../../../home`` would publish files
of the deploying machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.problems import Problem, Problems
from orchestrator.vocabulary import Component

GIT_FOLDER = ".git"
WORKSPACE_VARIABLE = "GITHUB_WORKSPACE"


def resolve(component: Component, path: str, field: str) -> Path:
    """Return the absolute path of ``path``, which ``field`` of a component's manifest names, with links resolved.

    Raises Problems if it is outside the manifest's repository, or in its ``.git``.
    """
    manifest_folder = Path(component.where.file).parent
    resolved = (manifest_folder / path).resolve()
    check_inside(component, resolved, f"`{field}: {path}`")
    return resolved


def check_inside(component: Component, resolved: Path, description: str) -> None:
    """Check that a resolved path is in the repository of the component's manifest, if that is in one.

    Raises Problems.
    """
    root = find_repository(Path(component.where.file).parent.resolve())
    if root is None:
        return
    hint = (
        "use a path inside the repository, relative to the manifest; symbolic links must also point inside the "
        "repository"
    )
    if not resolved.is_relative_to(root):
        message = f"{component.handle}: {description} is outside the repository {root}"
    elif GIT_FOLDER in resolved.relative_to(root).parts:
        message = f"{component.handle}: {description} is in {GIT_FOLDER}, which is never part of a build"
    else:
        return
    raise Problems([Problem(message, component.where, hint)])


def find_repository(folder: Path) -> Path | None:
    """Return the root of the checkout that contains ``folder``, or None if it is in none."""
    for candidate in (folder, *folder.parents):
        if (candidate / GIT_FOLDER).exists():
            return candidate
    workspace = os.environ.get(WORKSPACE_VARIABLE)
    root = Path(workspace).resolve() if workspace else None
    return root if root is not None and folder.is_relative_to(root) else None
