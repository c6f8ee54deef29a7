"""Carry built sites from the job that builds them to the job that deploys them.

The first has no credentials, the second runs nobody's code.  What is carried belongs to one commit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.artefacts import repository_paths
from orchestrator.artefacts.sites.build_command import get_command
from orchestrator.problems import Problems
from orchestrator.vocabulary import Component

COMMIT_FILE = "commit"
"""File with the commit that the sites were built from."""


def list_built(components: Iterable[Component]) -> list[Component]:
    """Return the components whose sites a command builds."""
    return [component for component in components if get_command(component)]


def save(components: Iterable[Component], commit: str, target: Path) -> None:
    """Copy every built site to ``target``, one folder per component, with the commit."""
    target.mkdir(parents=True, exist_ok=True)
    (target / COMMIT_FILE).write_text(commit)
    for component in list_built(components):
        shutil.copytree(_site_folder(component), target / component.handle, ignore=_ignore_git, symlinks=True)


def read_commit(source: Path) -> str:
    """Return the commit that the sites in ``source`` were built from; "" if there are none."""
    file = source / COMMIT_FILE
    return file.read_text().strip() if file.is_file() else ""


def restore(components: Iterable[Component], source: Path) -> None:
    """Make the folder of every site exactly what was built.

    Raises Problems if a site is missing in ``source``.
    """
    for component in list_built(components):
        built, folder = source / component.handle, _site_folder(component)
        if not built.is_dir():
            raise Problems.from_message(
                f"the output of the build job does not contain the site of {component.handle}; nothing was changed",
                hint="run all jobs of the workflow again",
            )
        for path in _list_files(folder):
            if not (built / path).exists():
                (folder / path).unlink()
        shutil.copytree(built, folder, dirs_exist_ok=True, symlinks=True)


def _site_folder(component: Component) -> Path:
    return repository_paths.resolve(component, component.spec["spa"]["dir"], "dir")


def _list_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*") if folder.is_dir() else ():
        relative = path.relative_to(folder)
        if (path.is_file() or path.is_symlink()) and repository_paths.GIT_FOLDER not in relative.parts:
            yield relative


def _ignore_git(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == repository_paths.GIT_FOLDER]
