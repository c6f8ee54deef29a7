"""Find the manifest files of a folder and read their text.

This module lists folders and reads files; it knows no YAML.  It never blocks on special files, and limits sizes and
counts.
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
    """Raise Problems if ``folder`` does not exist, cannot be read or is not a folder."""
    try:
        mode = folder.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "no such folder:" if isinstance(error, FileNotFoundError) else "cannot read the folder"
        hint = "run `orchestrator init` to write the first manifests, or set their folder with `--manifests FOLDER`"
        raise Problems.from_message(f"{reason} {display_path(folder)}", hint=hint) from None
    if not stat.S_ISDIR(mode):
        raise Problems.from_message(
            f"{display_path(folder)} is not a folder",
            hint="set `--manifests` to the folder that contains the manifests",
        )


def display_path(path: Path) -> str:
    """Return ``path`` relative to the current directory if it is below it."""
    with suppress(OSError, ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return str(path).encode("utf-8", "backslashreplace").decode()


def find_files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield manifest files in the same order on every machine; follow links to folders, each folder once."""
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
            Problem(
                f"{display_path(folder)} has {len(manifest_files)} manifest files; only {MAX_FILES} are read",
                None,
                None,
            )
        )
    yield from sorted(manifest_files)[:MAX_FILES]


def read_text(file: Path, problems: list[Problem]) -> str | None:
    """Return the text of ``file``, or None after adding the reason to ``problems``."""
    where = Position(display_path(file))
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            problems.append(Problem("not a regular file", where, "use a regular file"))
            return None
        if status.st_size > MAX_FILE_BYTES:
            message = f"{status.st_size / 1e6:.1f} MB is too large for a manifest; the limit is 1 MB"
            problems.append(Problem(message, where, "move the file elsewhere if it is not a manifest"))
            return None
        return _decode(file.read_bytes())
    except OSError as error:
        reason = "broken symbolic link" if file.is_symlink() else f"cannot read the file: {error.strerror}"
        problems.append(Problem(reason, where))
    except UnicodeDecodeError as error:
        preceding_bytes = error.object[: error.start]
        error_position = Position(
            display_path(file), preceding_bytes.count(b"\n") + 1, error.start - preceding_bytes.rfind(b"\n")
        )
        problems.append(Problem("invalid UTF-8 byte", error_position, "save the file as UTF-8"))
    return None


def _decode(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, and convert every line ending to a line feed."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
