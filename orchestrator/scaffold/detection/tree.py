"""Find the project files of a checkout: without hidden folders, installed packages and what builds write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

MAX_DEPTH: Final = 4
MAX_FOLDERS: Final = 2_000
IGNORED_FOLDERS: Final = frozenset(
    {"node_modules", "bin", "obj", "dist", "build", "out", "target", "vendor", "venv", "__pycache__", "coverage"}
    | {"manifests", "tests", "test", "docs", "e2e", "examples"}
)


class Tree:
    """The files of a checkout, by folder; paths are relative to ``root`` and written with slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, tuple[str, ...]] = dict(_walk(root))

    def folders_with(self, pattern: str) -> list[str]:
        """Return the folders that contain a file matching ``pattern``, the highest first; "." is the root."""
        return [folder for folder, names in self.files.items() if any(fnmatch(name, pattern) for name in names)]

    def files_matching(self, pattern: str, below: str = ".") -> list[str]:
        """Return the files that match ``pattern`` in folder ``below`` and its subfolders."""
        return [
            join(folder, name)
            for folder, names in self.files.items()
            if is_below(folder, below)
            for name in names
            if fnmatch(name, pattern)
        ]

    def has(self, path: str) -> bool:
        """Return whether a file exists, also in a folder that is not searched."""
        return (self.root / path).is_file()

    def files_in(self, folder: str) -> list[str]:
        """Return the files in a folder, also in one that is not searched, without subfolders."""
        paths = sorted((self.root / folder).iterdir()) if (self.root / folder).is_dir() else []
        return [join(folder, path.name) for path in paths if path.is_file()]

    def read(self, path: str) -> str:
        """Return the text of a file; empty if it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            return ""


def join(folder: str, name: str) -> str:
    """Return the path of ``name`` in ``folder``, without a leading "./"."""
    return name if folder in ("", ".") else folder if name in ("", ".") else f"{folder}/{name}"


def relative_to(path: str, folder: str) -> str:
    """Return ``path`` relative to ``folder``, which contains it or is it."""
    return "." if path == folder else path if folder == "." else path.removeprefix(f"{folder}/")


def is_below(folder: str, ancestor: str) -> bool:
    """Return whether ``folder`` is ``ancestor`` or in it."""
    return ancestor in ("", ".") or folder == ancestor or folder.startswith(f"{ancestor}/")


def _walk(root: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield folders in the order of their depth, then of their names."""
    folders = [("." if path == root else path.relative_to(root).as_posix(), names) for path, names in _scan(root)]
    yield from sorted(folders, key=lambda item: (item[0] != ".", item[0].count("/"), item[0]))


def _scan(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for count, (folder, subfolders, names) in enumerate(os.walk(root)):
        path = Path(folder)
        depth = len(path.relative_to(root).parts)
        is_deep = depth >= MAX_DEPTH or count >= MAX_FOLDERS
        subfolders[:] = [] if is_deep else sorted(name for name in subfolders if _is_searched(name))
        yield path, tuple(sorted(names))


def _is_searched(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in IGNORED_FOLDERS
