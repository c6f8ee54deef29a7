"""Select the files of a build context by ``.dockerignore``, so that a tag changes whenever any builder sees a change.

The last pattern that matches a path or a parent folder decides; ``!`` includes again; ``**`` matches any number of
folders. The supported builders read rare patterns differently, so an ignore file has several readings
(``ignore_rules``) and a file counts if one of them includes it: a needless build costs minutes, an outdated image is a
wrong deploy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.artefacts.images.ignore_rules import IgnoreRules, parse_rules
from orchestrator.problems import Position, Problems

DOCKERIGNORE = ".dockerignore"
Matches = tuple[tuple[bool, ...], ...]
"""For each reading, which of its patterns matched a folder."""


def find_ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """Return ``Dockerfile.dockerignore`` beside the Dockerfile, else ``.dockerignore`` of the context, else None."""
    sibling = dockerfile.with_name(dockerfile.name + DOCKERIGNORE)
    return next((candidate for candidate in (sibling, context / DOCKERIGNORE) if candidate.is_file()), None)


def includes_git(context: Path, dockerfile: Path) -> bool:
    """Return whether the build context includes ``.git``, which differs with every commit."""
    rules = read_patterns(find_ignore_file(context, dockerfile))
    return (context / ".git").exists() and not rules[0].match(".git", rules[0].no_matches)[0]


def read_patterns(file: Path | None) -> IgnoreRules:
    """Return the readings of an ignore file, BuildKit's first.

    Raises Problems at the line of an invalid pattern.
    """
    try:
        data = file.read_bytes() if file is not None else b""
    except OSError as error:
        raise Problems.from_message(f"cannot read the file: {error.strerror}", where=Position(str(file))) from None
    return parse_rules(data.decode("utf-8", "surrogateescape"), str(file))


def walk(context: Path, rules: IgnoreRules) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files and links of a context that a builder may see, by path with ``/``; folders are not listed.

    Raises Problems if a folder cannot be listed.
    """
    yield from _walk_folder(context, "", rules, tuple(reading.no_matches for reading in rules))


def _walk_folder(
    folder: Path, prefix: str, rules: IgnoreRules, parent_matches: Matches
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise Problems.from_message(f"cannot list the folder: {error.strerror}", where=Position(str(folder))) from None
    for entry in entries:
        path = prefix + entry.name
        results = (reading.match(path, matched) for reading, matched in zip(rules, parent_matches, strict=True))
        if not entry.is_dir(follow_symlinks=False):
            if not all(ignored for ignored, _ in results):
                yield path, entry
            continue
        folder_results = tuple(results)
        may_include = (
            not ignored or reading.has_negation for reading, (ignored, _) in zip(rules, folder_results, strict=True)
        )
        if any(may_include):
            yield from _walk_folder(Path(entry.path), f"{path}/", rules, tuple(match for _, match in folder_results))
