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

MAX_FILE_BYTES = 1_000_000
MAX_FILES = 1_000
SUFFIXES = (".yaml", ".yml")


def require_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "there is no folder" if isinstance(error, FileNotFoundError) else "cannot read the folder"
        hint = "say where the manifests are: --manifests FOLDER"
        raise Problems.from_message(f"{reason} {display_path(folder)}", hint=hint) from None
    if not stat.S_ISDIR(mode):
        raise Problems.from_message(
            f"{display_path(folder)} is not a folder", hint="name the folder that holds the manifests"
        )


def display_path(path: Path) -> str:
    """A path relative to the current directory where it lies below it."""
    with suppress(OSError, ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return str(path).encode("utf-8", "backslashreplace").decode()


def find_files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Manifest files in one order on every machine; links to folders are followed, each folder once."""
    visited_folders: set[tuple[int, int]] = set()
    manifest_files: list[Path] = []

    def on_walk_error(error: OSError) -> None:
        problems.append(
            Problem(f"cannot list the folder: {error.strerror}", Position(display_path(Path(error.filename))))
        )

    for root, folders, files in os.walk(folder, followlinks=True, onerror=on_walk_error):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in visited_folders:
            folders.clear()
            continue
        visited_folders.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        manifest_files += [Path(root, name) for name in files if name.endswith(SUFFIXES) and not name.startswith(".")]
    if len(manifest_files) > MAX_FILES:
        problems.append(
            Problem(f"{len(manifest_files)} files below {display_path(folder)}; {MAX_FILES} are read", None, None)
        )
    yield from sorted(manifest_files)[:MAX_FILES]


def read_text(file: Path, problems: list[Problem]) -> str | None:
    where = Position(display_path(file))
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            problems.append(Problem("not a regular file", where, "manifests are plain files"))
            return None
        if status.st_size > MAX_FILE_BYTES:
            message = f"{status.st_size / 1e6:.1f} MB is too large for a manifest; the limit is 1 MB"
            problems.append(Problem(message, where, "is this file here by mistake?"))
            return None
        return _decode(file.read_bytes())
    except OSError as error:
        reason = "the link leads nowhere" if file.is_symlink() else f"cannot read it: {error.strerror}"
        problems.append(Problem(reason, where))
    except UnicodeDecodeError as error:
        preceding_bytes = error.object[: error.start]
        error_position = Position(
            display_path(file), preceding_bytes.count(b"\n") + 1, error.start - preceding_bytes.rfind(b"\n")
        )
        problems.append(Problem("this byte is not UTF-8", error_position, "save the file as UTF-8"))
    return None


def _decode(data: bytes) -> str:
    """UTF-8, with or without the byte order mark some editors write; every end of line as a line feed."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
