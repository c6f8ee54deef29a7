"""Find and install the Node packages of a site by its lock file: npm, pnpm, yarn or bun, also in a workspace.

A fresh runner has no ``node_modules``, so the command that builds a site finds nothing to build with.  The lock file
says which package manager the project uses; it lies in the project's folder, or in that of the workspace above it.
Sources: npm-ci, pnpm-install, yarn-install and bun-install of their documentation; ``packageManager`` of Node's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from orchestrator import shell

CLASSIC_YARN: Final = "yarn@1"
_VERSION_IN_FIELD = re.compile(r"(npm|pnpm|yarn|bun)@([0-9][\w.-]*)")


class PackageManager(Struct, frozen=True):
    """A package manager: its ``name``, the arguments that install by ``lock_file``, and what it leaves behind.

    ``marker`` is written into ``node_modules`` at the end of an installation.  ``fallback`` is the package in the npm
    registry that ``npx`` runs if the program is not installed.
    """

    name: str
    lock_file: str
    install: tuple[str, ...]
    marker: str
    fallback: str


MANAGERS: Final = (
    PackageManager("npm", "package-lock.json", ("ci",), ".package-lock.json", "npm"),
    PackageManager("npm", "npm-shrinkwrap.json", ("ci",), ".package-lock.json", "npm"),
    PackageManager("pnpm", "pnpm-lock.yaml", ("install", "--frozen-lockfile"), ".modules.yaml", "pnpm@10"),
    PackageManager("yarn", "yarn.lock", ("install", "--immutable"), ".yarn-state.yml", "@yarnpkg/cli-dist@4"),
    PackageManager("bun", "bun.lock", ("install", "--frozen-lockfile"), "", "bun@1"),
    PackageManager("bun", "bun.lockb", ("install", "--frozen-lockfile"), "", "bun@1"),
)


class NodeProject(Struct, frozen=True):
    """A project whose packages a lock file pins; ``root`` is the folder of the lock file."""

    root: Path
    manager: PackageManager

    @property
    def lock_file(self) -> Path:
        return self.root / self.manager.lock_file

    def program(self) -> tuple[str, ...]:
        """Return the words that start the package manager: itself, or through ``npx`` if it is not installed.

        The ``yarn`` on a runner's PATH is Yarn 1, which refuses the lock files of later versions.
        """
        if self.manager.name == "yarn" and not is_classic_yarn(self.lock_file):
            bundled = _bundled_yarn(self.root)
            if bundled is not None:
                return ("node", str(bundled))
        elif shell.which(self.manager.name) is not None:
            return (self.manager.name,)
        return ("npx", "--yes", f"--package={self.package}", "--", self.manager.name)

    @property
    def package(self) -> str:
        """Return the package of the version that ``packageManager`` in package.json names, else of the major one."""
        match = _VERSION_IN_FIELD.match(str(read_package(self.root).get("packageManager", "")))
        if match is not None and match[1] == self.manager.name:
            name = "@yarnpkg/cli-dist" if match[1] == "yarn" and not match[2].startswith("1.") else match[1]
            return f"{name}@{match[2]}"
        return (
            CLASSIC_YARN if self.manager.name == "yarn" and is_classic_yarn(self.lock_file) else self.manager.fallback
        )

    def install_command(self) -> list[str]:
        """Return the command that installs exactly what the lock file says."""
        install = self.manager.install
        if self.manager.name == "yarn" and is_classic_yarn(self.lock_file):
            install = ("install", "--frozen-lockfile")
        return [*self.program(), *install]

    def is_installed(self) -> bool:
        """Return whether the packages were installed after the lock file changed last."""
        names = [self.manager.marker] if self.manager.marker else []
        names += [".yarn-integrity"] if self.manager.name == "yarn" else []
        markers = [self.root / "node_modules" / name for name in names] or [self.root / "node_modules"]
        markers += [self.root / ".pnp.cjs"] if self.manager.name == "yarn" else []
        written_at = max((marker.stat().st_mtime for marker in markers if marker.exists()), default=0.0)
        return written_at >= self.lock_file.stat().st_mtime


def find_project(folder: Path, top: Path) -> NodeProject | None:
    """Return the project of ``folder``, whose lock file is there or in a workspace above it, at most in ``top``."""
    if not (folder / "package.json").is_file():
        return None
    for candidate in _folders_up_to(folder.resolve(), top.resolve()):
        for manager in MANAGERS:
            if (candidate / manager.lock_file).is_file():
                is_member = candidate == folder.resolve() or _is_workspace(candidate)
                return NodeProject(candidate, manager) if is_member else None
    return None


def read_package(folder: Path) -> Mapping[str, Any]:
    """Return the content of a folder's package.json; empty if there is none, or no object."""
    try:
        content = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_classic_yarn(lock_file: Path) -> bool:
    """Return whether Yarn 1 wrote the file; later versions write YAML with ``__metadata``."""
    try:
        with lock_file.open(encoding="utf-8", errors="replace") as lines:
            return any("yarn lockfile v1" in line for _, line in zip(range(5), lines, strict=False))
    except OSError:
        return False


def _bundled_yarn(root: Path) -> Path | None:
    """Return the Yarn that the repository contains, as ``yarnPath`` in .yarnrc.yml says."""
    try:
        settings = yaml.safe_load((root / ".yarnrc.yml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    path = settings.get("yarnPath") if isinstance(settings, dict) else None
    return root / path if isinstance(path, str) and (root / path).is_file() else None


def _folders_up_to(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    if folder != top and top in folder.parents:
        yield from _folders_up_to(folder.parent, top)


def _is_workspace(folder: Path) -> bool:
    return "workspaces" in read_package(folder) or (folder / "pnpm-workspace.yaml").is_file()
