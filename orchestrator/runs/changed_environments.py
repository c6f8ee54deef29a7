"""List the environments of a repository, and those whose inputs differ between two commits.

A repository may hold several applications, each with a folder of manifests, and several environments of each.  The
inputs of an environment are its manifests without the files of other environments, every file and folder that they
name, the workspace of a site that Node builds, and the workflows.  What cannot be told counts as changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from orchestrator import shell
from orchestrator.artefacts.sites import node_packages
from orchestrator.manifest import file_discovery, load, overlay
from orchestrator.problems import Problems
from orchestrator.vocabulary import Scope

WORKFLOW_FOLDER: Final = ".github"
_PROJECT: Final = re.compile(r"^kind:\s*[\"']?Project\b", re.MULTILINE)
_GIT_TIMEOUT_SECONDS: Final = 60.0


class RepositoryEnvironment(Struct, frozen=True):
    """One environment of one folder of manifests, both relative to the repository.

    ``scope`` is None if the manifests are invalid; ``inputs`` are files and folders, None if any file may be one.
    ``promotes_from``: the environment whose releases this one gets, or "".
    """

    manifests: str
    name: str
    scope: Scope | None = None
    inputs: frozenset[str] | None = None
    promotes_from: str = ""

    def is_changed(self, paths: Iterable[str]) -> bool:
        """Return whether one of the changed ``paths`` is an input."""
        if self.inputs is None:
            return True
        return any(_is_input(path, self.inputs) for path in paths)


def list_environments(root: Path) -> list[RepositoryEnvironment]:
    """Return every environment of every folder with a Project, of the files that git tracks below ``root``."""
    return [
        _describe(root, folder, name)
        for folder in find_manifest_folders(root)
        for name in overlay.list_names(root / folder)
    ]


def find_manifest_folders(root: Path) -> list[str]:
    """Return the folders of manifests, sorted: each contains a Project, in itself or in a folder below it."""
    patterns = [f"*{suffix}" for suffix in file_discovery.SUFFIXES]
    names = _git(root, "ls-files", "-z", "--", *patterns).split("\0")
    files = [name for name in names if name and not name.startswith(".")]
    return sorted({_manifest_folder(name) for name in files if _PROJECT.search(_read(root / name))} - {""})


def list_changed_paths(root: Path, base: str) -> list[str] | None:
    """Return the files that differ between ``base`` and the checked-out commit; None if git does not know ``base``."""
    lookup = shell.run(["git", "cat-file", "-e", f"{base}^{{commit}}"], folder=root, timeout=_GIT_TIMEOUT_SECONDS)
    if lookup.exit_code != 0:
        return None
    return [name for name in _git(root, "diff", "--name-only", "--no-renames", "-z", base, "HEAD").split("\0") if name]


def _manifest_folder(file: str) -> str:
    """Return the folder of manifests that a file with a Project belongs to: the one called so, or the file's own."""
    folders = file.split("/")[:-1]
    if "manifests" in folders:
        folders = folders[: folders.index("manifests") + 1]
    elif folders and folders[-1] == load.ENVIRONMENTS:
        folders = folders[:-1]
    return "/".join(folders)


def _describe(root: Path, folder: str, name: str) -> RepositoryEnvironment:
    from orchestrator.planning import pipeline

    try:
        manifest = pipeline.validate(root / folder, name)
    except Problems:
        return RepositoryEnvironment(folder, name)
    inputs = {WORKFLOW_FOLDER, *_list_manifest_inputs(root, folder, name)}
    for declared in manifest.declarations.values():
        for layer in declared.layers:
            inputs |= set(_list_named_paths(root, Path(layer.file).parent, declared.value))
    promotion = manifest.project.spec.get("promotion") or {}
    return RepositoryEnvironment(
        folder, name, manifest.scope, None if "." in inputs else frozenset(inputs), str(promotion.get("from", ""))
    )


def _list_manifest_inputs(root: Path, folder: str, name: str) -> Iterator[str]:
    """Yield the files of the folder, but those of other environments."""
    for path in sorted((root / folder).rglob("*")):
        relative = path.relative_to(root).as_posix()
        is_overlay = path.parent == root / folder / load.ENVIRONMENTS
        if path.is_file() and (not is_overlay or path.stem == name):
            yield relative


def _list_named_paths(root: Path, folder: Path, value: Any) -> Iterator[str]:
    """Yield every path that a manifest names relative to its ``folder``, whatever the field: one too many is safe."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _list_named_paths(root, folder, item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_named_paths(root, folder, item)
    elif isinstance(value, str) and 0 < len(value) < 500 and "\n" not in value and "${" not in value:
        yield from _resolve(root, folder, value)


def _resolve(root: Path, folder: Path, text: str) -> Iterator[str]:
    path = (folder / text).resolve()
    is_path = text in (".", "..") or text.startswith(("./", "../"))
    if not path.is_relative_to(root.resolve()) or not (is_path or ("/" in text and path.exists()) or path.is_dir()):
        return
    while not path.exists():  # what a build writes: its folder is there once somebody has built it
        path = path.parent
    project = node_packages.find_project(path, root) if path.is_dir() else None  # its lock file, and the workspace
    for place in (path, *([project.root] if project else [])):
        yield place.relative_to(root.resolve()).as_posix()


def _is_input(path: str, inputs: frozenset[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[: count + 1]) in inputs for count in range(len(parts)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[: file_discovery.MAX_FILE_BYTES]
    except OSError:
        return ""


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints.  Raises Problems if it fails."""
    ended = shell.run(["git", *arguments], folder=root, timeout=_GIT_TIMEOUT_SECONDS)
    if ended.exit_code != 0:
        raise Problems.from_message(f"git {arguments[0]} failed: {ended.output.strip()[:300]}")
    return ended.output
