"""A folder of files -> a Site.  Reads every byte once; keeps none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator import wire
from orchestrator.artefacts import Site, SiteFile
from orchestrator.artefacts.sites.content import cache_control, content_type, is_entry
from orchestrator.problems import Problem, Problems

INDEX = "index.html"
RESERVED = ".orchestrator/"
"""Where the mark of the site that stands lies, in the bucket."""
LONGEST_KEY = 1024
LARGEST = 5 * 1024**3
BLOCK = 1 << 20
READERS = 4


def scan(folder: Path, index: str = INDEX) -> Site:
    """The site in ``folder``, whose front page is ``index``.

    Raises Problems, all at once: no such folder, no index, names or links that cannot be served.
    """
    problems: list[Problem] = []
    paths = sorted(_paths(folder, problems))
    if not problems and index not in paths:
        problems.append(Problem(f"{folder} holds no {index}", hint="build the site first, or name another `dir`"))
    if problems:
        raise Problems(problems)
    with ThreadPoolExecutor(READERS, thread_name_prefix="hash") as pool:
        files = dict(zip(paths, pool.map(lambda path: _file(folder, path), paths), strict=True))
    return Site(digest(files), files, str(folder))


def digest(files: dict[str, SiteFile]) -> str:
    """What a site is: its paths, bytes and headers, as one hash of 24 hex digits."""
    return wire.digest({path: (one.sha256, one.content_type, one.cache_control) for path, one in files.items()})[:24]


def _paths(folder: Path, problems: list[Problem]) -> Iterator[str]:
    """Every file below ``folder``, relative, with slashes."""
    if not folder.is_dir():
        problems.append(Problem(f"there is no folder {folder}", hint="build the site first, or name another `dir`"))
        return
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        problems += (_odd(Path(parent) / name, "is a link to a folder; copy it instead") for name in linked)
        for name in names:
            path = Path(parent) / name
            if trouble := _trouble(folder, path):
                problems.append(_odd(path, trouble))
            else:
                yield path.relative_to(folder).as_posix()
    problems += map(_unreadable, unreadable)


def _trouble(folder: Path, path: Path) -> str:
    """Why a file cannot be served, or nothing."""
    key = path.relative_to(folder).as_posix()
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "has a name that is no UTF-8"
    if not key.isprintable() or size > LONGEST_KEY:
        return f"has control characters in its name, or more than {LONGEST_KEY} bytes"
    if key.startswith(RESERVED):
        return f"is below {RESERVED}, which the orchestrator keeps for itself"
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return "is a link out of the folder"
    if not path.is_file():
        return "is no file"
    return "is larger than S3 takes at once (5 GiB)" if path.stat().st_size > LARGEST else ""


def _file(folder: Path, path: str) -> SiteFile:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with (folder / path).open("rb") as stream:
            while block := stream.read(BLOCK):
                sha256.update(block)
                md5.update(block)
                size += len(block)
    except OSError as error:
        raise Problems([_unreadable(error)]) from None
    headers = content_type(path), cache_control(path)
    return SiteFile(size, md5.hexdigest(), sha256.hexdigest(), *headers, is_entry(path))


def _odd(path: Path, trouble: str) -> Problem:
    return Problem(f"{str(path).encode(errors='replace').decode()!r} {trouble}")


def _unreadable(error: OSError) -> Problem:
    return Problem(f"{error.filename} cannot be read: {error.strerror}")
