"""Which files are manifests, and their text.

May do: list folders, read files.  May not: know YAML.  Nothing here blocks, grows without limit or runs in a circle.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.problems import Position, Problem, Problems

LARGEST_FILE = 1_000_000
MOST_FILES = 1_000
SUFFIXES = (".yaml", ".yml")


def expect_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "there is no folder" if isinstance(error, FileNotFoundError) else "cannot read the folder"
        hint = "say where the manifests are: --manifests FOLDER"
        raise Problems.one(f"{reason} {shown(folder)}", hint=hint) from None
    if not stat.S_ISDIR(mode):
        raise Problems.one(f"{shown(folder)} is not a folder", hint="name the folder that holds the manifests")


def shown(path: Path) -> str:
    """A path relative to the current directory where it lies below it."""
    with suppress(OSError, ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return str(path).encode("utf-8", "backslashreplace").decode()


def find(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Manifest files in one order on every machine; links to folders are followed, each folder once."""
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        problems.append(Problem(f"cannot list the folder: {error.strerror}", Position(shown(Path(error.filename)))))

    for root, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in files if name.endswith(SUFFIXES) and not name.startswith(".")]
    if len(found) > MOST_FILES:
        problems.append(Problem(f"{len(found)} files below {shown(folder)}; {MOST_FILES} are read", None, None))
    yield from sorted(found)[:MOST_FILES]


def text(file: Path, problems: list[Problem]) -> str | None:
    where = Position(shown(file))
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            problems.append(Problem("not a regular file", where, "manifests are plain files"))
            return None
        if status.st_size > LARGEST_FILE:
            message = f"{status.st_size / 1e6:.1f} MB is too large for a manifest; the limit is 1 MB"
            problems.append(Problem(message, where, "is this file here by mistake?"))
            return None
        return _decoded(file.read_bytes())
    except OSError as error:
        reason = "the link leads nowhere" if file.is_symlink() else f"cannot read it: {error.strerror}"
        problems.append(Problem(reason, where))
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        place = Position(shown(file), before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        problems.append(Problem("this byte is not UTF-8", place, "save the file as UTF-8"))
    return None


def _decoded(data: bytes) -> str:
    """UTF-8, with or without the byte order mark some editors write; every end of line as a line feed."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
