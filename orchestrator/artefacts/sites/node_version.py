"""Find the version of Node and the lock files that the sites of a checkout are built with.

Source: the documentation of actions/setup-node for the files that ``node-version-file`` reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from orchestrator.artefacts import repository_paths
from orchestrator.artefacts.sites import node_packages
from orchestrator.vocabulary import Component

DEFAULT_VERSION: Final = "24"
"""The newest long-term support release, for a repository that names none."""
_VERSION_FILES: Final = (".nvmrc", ".node-version", ".tool-versions")
_PACKAGE_FIELDS: Final = ("volta", "devEngines", "engines")


class NodeSetup(Struct, frozen=True):
    """What a runner needs: ``version``, or the ``version_file`` that names it, and a hash of the lock files."""

    version: str
    version_file: str
    lock_hash: str


def find_setup(components: Iterable[Component]) -> NodeSetup | None:
    """Return what the first site that Node builds asks for, or None if Node builds no site.

    Raises Problems if the folder of a site is outside the repository.
    """
    folders = [_site_folder(component) for component in components if (component.spec.get("spa") or {}).get("build")]
    node_folders = [(folder, top) for folder, top in folders if (folder / "package.json").is_file()]
    if not node_folders:
        return None
    folder, top = node_folders[0]
    version_file = next(_version_files(folder, top), None)
    return NodeSetup(
        "" if version_file else DEFAULT_VERSION,
        str(version_file.relative_to(top)) if version_file else "",
        _hash_lock_files(node_folders),
    )


def _site_folder(component: Component) -> tuple[Path, Path]:
    """Return the folder in which a site is built, and the top of its repository."""
    folder = repository_paths.resolve(component, component.spec["spa"]["folder"], "folder")
    return folder, repository_paths.find_repository(folder) or folder


def _version_files(folder: Path, top: Path) -> Iterator[Path]:
    """Yield the files that name a version, the nearest first."""
    for candidate in (folder, *(parent for parent in folder.parents if parent.is_relative_to(top))):
        yield from (candidate / name for name in _VERSION_FILES if _names_node(candidate / name))
        package = node_packages.read_package(candidate)
        engines = (package.get(field) for field in _PACKAGE_FIELDS)
        if any(isinstance(engine, dict) and (engine.get("node") or engine.get("runtime")) for engine in engines):
            yield candidate / "package.json"


def _names_node(file: Path) -> bool:
    if file.name != ".tool-versions":
        return file.is_file()
    return file.is_file() and any(
        line.startswith("nodejs ") for line in file.read_text("utf-8", "replace").splitlines()
    )


def _hash_lock_files(folders: Iterable[tuple[Path, Path]]) -> str:
    projects = (node_packages.find_project(folder, top) for folder, top in folders)
    digest = hashlib.sha256()
    for project in projects:
        digest.update(project.lock_file.read_bytes() if project is not None else b"-")
    return digest.hexdigest()[:20]
