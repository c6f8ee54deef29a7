"""Write files into a checkout, and keep what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Position, Problem, Problems


class WriteResult(Struct, frozen=True):
    """Files that were created, overwritten and skipped."""

    created: list[Path]
    overwritten: list[Path]
    skipped: list[Path]


def write_missing(folder: Path, file_texts: Mapping[str, str], *, force: bool) -> WriteResult:
    """Write the files that do not exist, or with ``force`` all of them, and return what was done.

    Raises Problems if a file cannot be written.
    """
    result = WriteResult([], [], [])
    for name, text in file_texts.items():
        path = folder / name
        is_present = path.exists() or path.is_symlink()
        if is_present and not force:
            result.skipped.append(path)
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            done = ", ".join(str(written) for written in (*result.created, *result.overwritten)) or "nothing"
            message = f"cannot write {path}: {error.strerror}"
            raise Problems.from_message(message, hint=f"written so far: {done}") from None
        (result.overwritten if is_present else result.created).append(path)
    return result


def write_files(folder: Path, file_texts: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write files into a folder, and return their paths; write none if one exists, unless ``force`` is set.

    Raises Problems if a file exists or cannot be written.
    """
    paths = {folder / name: text for name, text in file_texts.items()}
    existing_paths = [path for path in paths if path.exists() or path.is_symlink()]
    if existing_paths and not force:
        hint = "pass --force to overwrite it; nothing was written"
        raise Problems(Problem("the file already exists", Position(str(path)), hint) for path in existing_paths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problems.from_message(f"cannot write into {folder}: {error.strerror}") from None
    return list(paths)
