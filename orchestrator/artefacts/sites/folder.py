"""A folder of files -> a Site.  Reads every byte once; keeps none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from itertools import chain
from pathlib import Path

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.artefacts.sites.http_headers import cache_control, content_type, is_entry
from orchestrator.problems import Problem, Problems

INDEX = "index.html"
RESERVED = ".orchestrator/"
"""Where the mark of the site that stands lies, in the bucket."""
LONGEST_KEY = 1024
LARGEST = 5 * 1024**3
BLOCK = 1 << 20
READERS = min(4, os.cpu_count() or 1)
AT_ONCE = 64
"""Files that a reader takes at a time: handing over one by one costs as much as hashing a small one."""


def scan(folder: Path, index: str = INDEX) -> Site:
    """The site in ``folder``, whose front page is ``index``.

    Raises Problems, all at once: no such folder, no index, names or links that cannot be served.
    """
    problems: list[Problem] = []
    found = sorted(_found(folder, problems))
    if not problems and index not in {path for path, _ in found}:
        problems.append(Problem(f"{folder} holds no {index}", hint="build the site first, or name another `dir`"))
    if problems:
        raise Problems(problems)
    parts = [found[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="hash") as pool:
        described = pool.map(lambda part: [_file(folder, path, size) for path, size in part], parts)
        files = dict(zip((path for path, _ in found), chain.from_iterable(described), strict=True))
    return Site(digest(files), files, str(folder))


def digest(files: dict[str, SiteFile]) -> str:
    """What a site is: its paths, bytes and headers, as one hash of 24 hex digits."""
    return canonical_json.digest(
        {path: (one.sha256, one.content_type, one.cache_control) for path, one in files.items()}
    )[:24]


def _found(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, int]]:
    """Every file below ``folder``: its path, relative and with slashes, and its size.

    A site may have very many, so these are strings and the entries of listings: a Path would cost more than its hash.
    """
    if not folder.is_dir():
        problems.append(Problem(f"there is no folder {folder}", hint="build the site first, or name another `dir`"))
        return
    below = [""]
    while below:
        parent = below.pop()
        try:
            with os.scandir(folder / parent) as entries:
                listed = list(entries)
        except OSError as error:
            problems.append(_unreadable(error))
            continue
        for entry in listed:
            path = f"{parent}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                below.append(f"{path}/")
            elif trouble := _trouble(folder, path, entry):
                problems.append(_odd(entry.path, trouble))
            else:
                yield path, entry.stat().st_size


def _trouble(folder: Path, path: str, entry: os.DirEntry[str]) -> str:
    """Why a file cannot be served, or nothing."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "has a name that is no UTF-8"
    if not path.isprintable() or size > LONGEST_KEY:
        return f"has control characters in its name, or more than {LONGEST_KEY} bytes"
    if path.startswith(RESERVED):
        return f"is below {RESERVED}, which the orchestrator keeps for itself"
    if entry.is_symlink():
        if entry.is_dir():
            return "is a link to a folder; copy it instead"
        if not Path(entry.path).resolve().is_relative_to(folder.resolve()):
            return "is a link out of the folder"
    if not entry.is_file():
        return "is no file"
    return "is larger than S3 takes at once (5 GiB)" if entry.stat().st_size > LARGEST else ""


def _file(folder: Path, path: str, size: int) -> SiteFile:
    """A file as it is now; ``size`` in bytes is what it was when it was found."""
    try:
        with open(f"{folder}/{path}", "rb", buffering=0) as stream:  # noqa: PTH123 - as in _found
            if size > BLOCK:
                sha256, md5, size = _in_blocks(stream)
            else:
                data = stream.read()
                sha256, md5, size = hashlib.sha256(data), hashlib.md5(data, usedforsecurity=False), len(data)
    except OSError as error:
        raise Problems([_unreadable(error)]) from None
    headers = content_type(path), cache_control(path)
    return SiteFile(size, md5.hexdigest(), sha256.hexdigest(), *headers, is_entry(path))


def _in_blocks(stream: FileIO) -> tuple[hashlib._Hash, hashlib._Hash, int]:
    """SHA-256, MD5 and size of a file too large to be held."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    while block := stream.read(BLOCK):
        sha256.update(block)
        md5.update(block)
        size += len(block)
    return sha256, md5, size


def _odd(path: str, trouble: str) -> Problem:
    return Problem(f"{path.encode(errors='replace').decode()!r} {trouble}")


def _unreadable(error: OSError) -> Problem:
    return Problem(f"{error.filename} cannot be read: {error.strerror}")
