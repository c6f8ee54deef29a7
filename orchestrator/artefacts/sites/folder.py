"""Scan a folder of files into a Site. Reads every file once and keeps no content in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from itertools import chain
from pathlib import Path

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.artefacts.sites import bundler_manifests, media_types
from orchestrator.artefacts.sites.http_headers import cache_control, is_entry
from orchestrator.artefacts.sites.site_options import ALLOWS_SNIFFING, SNIFFING_HEADER, SiteOptions
from orchestrator.problems import Problem, Problems

DEFAULT_INDEX = "index.html"
RESERVED_PREFIX = ".orchestrator/"
"""Key prefix of the markers that record which site is live in the bucket."""
MAX_KEY_BYTES = 1024
MAX_FILE_BYTES = 5 * 1024**3
BLOCK_BYTES = 1 << 20
MAX_READERS = min(4, os.cpu_count() or 1)
BATCH_SIZE = 64
"""Files per worker task: submitting one by one costs as much as hashing a small file."""


def scan(folder: Path, options: SiteOptions | None = None) -> Site:
    """Return the site in ``folder``, whose front page is index.html.

    Raises Problems, all at once, if the folder or the index is missing, or if names or links cannot be served.
    """
    options = options or SiteOptions()
    problems: list[Problem] = []
    entries = sorted(_walk_files(folder, problems))
    if not problems and DEFAULT_INDEX not in {path for path, _ in entries}:
        problems.append(
            Problem(f"{folder} contains no {DEFAULT_INDEX}", hint="build the site first, or set another `dir`")
        )
    if problems:
        raise Problems(problems)
    immutable = bundler_manifests.find_immutable(folder, [path for path, _ in entries], options.prefix)
    batches = [entries[start : start + BATCH_SIZE] for start in range(0, len(entries), BATCH_SIZE)]
    with ThreadPoolExecutor(MAX_READERS, thread_name_prefix="hash") as pool:
        hashed_batches = pool.map(
            lambda batch: [_hash_file(folder, path, size, options, immutable) for path, size in batch], batches
        )
        keys = (f"{options.prefix}{path}" for path, _ in entries)
        files = dict(zip(keys, chain.from_iterable(hashed_batches), strict=True))
    return Site(compute_digest(files), files, str(folder), options.prefix)


def compute_digest(files: dict[str, SiteFile]) -> str:
    """Return the hash of a site's paths, bytes and headers, as 24 hex digits."""
    return canonical_json.digest({path: _identity(file) for path, file in files.items()})[:24]


def _identity(file: SiteFile) -> tuple[object, ...]:
    """Return what a browser receives; of a file without more headers what earlier versions hashed."""
    more = (dict(file.headers), file.status) if file.headers or file.status != 200 else ()
    return (file.sha256, file.content_type, file.cache_control, *more)


def _walk_files(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, int]]:
    """Yield the relative path (with slashes) and the size in bytes of every file below ``folder``.

    A site may have very many files, so these are strings and directory entries: a Path would cost more than the hash.
    """
    if not folder.is_dir():
        problems.append(
            Problem(f"the folder {folder} does not exist", hint="build the site first, or set another `dir`")
        )
        return
    pending = [""]
    while pending:
        parent = pending.pop()
        try:
            with os.scandir(folder / parent) as entries:
                children = list(entries)
        except OSError as error:
            problems.append(_read_problem(error))
            continue
        for entry in children:
            path = f"{parent}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{path}/")
            elif rejection := _find_rejection(folder, path, entry):
                problems.append(_rejection_problem(entry.path, rejection))
            else:
                yield path, entry.stat().st_size


def _find_rejection(folder: Path, path: str, entry: os.DirEntry[str]) -> str:
    """Return why a file cannot be served, or ""."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "has a name that is not valid UTF-8"
    if not path.isprintable() or size > MAX_KEY_BYTES:
        return f"has a name that contains control characters or exceeds {MAX_KEY_BYTES} bytes"
    if path.startswith(RESERVED_PREFIX):
        return f"is under {RESERVED_PREFIX}, which is reserved for the orchestrator"
    if entry.is_symlink():
        if entry.is_dir():
            return "is a symbolic link to a folder; copy the folder instead"
        if not Path(entry.path).resolve().is_relative_to(folder.resolve()):
            return "is a symbolic link to a file outside the folder"
    if not entry.is_file():
        return "is not a regular file"
    return "is larger than 5 GiB, the S3 limit for a single upload" if entry.stat().st_size > MAX_FILE_BYTES else ""


def _hash_file(folder: Path, path: str, size: int, options: SiteOptions, immutable: Collection[str]) -> SiteFile:
    """Return a file with its hashes and headers. ``size`` in bytes is its size during the scan.

    Raises Problems if it cannot be read.
    """
    try:
        with open(f"{folder}/{path}", "rb", buffering=0) as stream:  # noqa: PTH123 - see _walk_files
            if size > BLOCK_BYTES:
                sha256, md5, size = _hash_blocks(stream)
            else:
                data = stream.read()
                sha256, md5, size = hashlib.sha256(data), hashlib.md5(data, usedforsecurity=False), len(data)
    except OSError as error:
        raise Problems([_read_problem(error)]) from None
    described = _describe_file(path, options, cache_control(path, immutable))
    return replace(described, size=size, md5=md5.hexdigest(), sha256=sha256.hexdigest())


def _describe_file(path: str, options: SiteOptions, cache: str) -> SiteFile:
    """Return a file with the headers that its name and the manifest's rules give it; later rules win."""
    content_type = media_types.find(path)
    headers: dict[str, str] = {}
    for rule in options.rules_for(path):
        content_type, cache = rule.content_type or content_type, rule.cache_control or cache
        headers |= dict(rule.headers)
    if content_type is None:
        content_type = media_types.UNKNOWN_TYPE
        headers = {SNIFFING_HEADER: ALLOWS_SNIFFING, **headers}
    status = 404 if options.routing == "static" and path == options.not_found else 200
    return SiteFile(0, "", "", content_type, cache, is_entry(path), headers, status)


def _hash_blocks(stream: FileIO) -> tuple[hashlib._Hash, hashlib._Hash, int]:
    """Return SHA-256, MD5 and size in bytes of a file too large to read at once."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    while block := stream.read(BLOCK_BYTES):
        sha256.update(block)
        md5.update(block)
        size += len(block)
    return sha256, md5, size


def _rejection_problem(path: str, rejection: str) -> Problem:
    return Problem(f"{path.encode(errors='replace').decode()!r} {rejection}")


def _read_problem(error: OSError) -> Problem:
    return Problem(f"cannot read {error.filename}: {error.strerror}")
