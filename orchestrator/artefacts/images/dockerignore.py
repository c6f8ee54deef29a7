"""Select the files of a build context by ``.dockerignore``, with the rules of Docker's own matcher.

The last pattern that matches a path or a parent folder decides; ``!`` includes again; ``**`` matches any number of
folders. Source: Docker's documentation of .dockerignore, moby/patternmatcher.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Position, Problems

DOCKERIGNORE = ".dockerignore"
_REGEX_SPECIAL = re.compile(r"[.+()|{}$]")


class IgnorePattern(Struct, frozen=True):
    """One line: its regular expression, and whether it includes again (``!``)."""

    regex: re.Pattern[str]
    is_negated: bool


def find_ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """Return ``Dockerfile.dockerignore`` beside the Dockerfile, else ``.dockerignore`` of the context, else None."""
    sibling = dockerfile.with_name(dockerfile.name + DOCKERIGNORE)
    return next((candidate for candidate in (sibling, context / DOCKERIGNORE) if candidate.is_file()), None)


def includes_git(context: Path, dockerfile: Path) -> bool:
    """Return whether the build context includes ``.git``, which differs with every commit."""
    ignore_patterns = read_patterns(find_ignore_file(context, dockerfile))
    return (context / ".git").exists() and not match_path(".git", ignore_patterns, (False,) * len(ignore_patterns))[0]


def read_patterns(file: Path | None) -> tuple[IgnorePattern, ...]:
    """Return the patterns of an ignore file, in order.

    Raises Problems at the line of an invalid pattern.
    """
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise Problems.from_message(f"cannot read the file: {error.strerror}", where=Position(str(file))) from None
    return tuple(_parse_patterns(text, str(file)))


def _parse_patterns(text: str, name: str) -> Iterator[IgnorePattern]:
    for line_number, raw in enumerate(text.splitlines(), start=1):
        line = "" if raw.startswith("#") else raw.strip()
        if not line:
            continue
        is_negated = line.startswith("!")
        line = line.removeprefix("!").strip()
        if not line:
            raise Problems.from_message("`!` needs a pattern after it", where=Position(name, line_number))
        try:
            yield IgnorePattern(compile_pattern(_normalise_pattern(line)), is_negated)
        except re.error:
            raise Problems.from_message(f"invalid pattern `{line}`", where=Position(name, line_number)) from None


def _normalise_pattern(line: str) -> str:
    normalised = posixpath.normpath(line)
    return normalised.lstrip("/") if len(normalised) > 1 else normalised


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression over a path with ``/``.

    Raises re.error.
    """
    parts, index = [], 0
    while index < len(pattern):
        if pattern.startswith("**", index):
            index += 3 if pattern.startswith("**/", index) else 2
            parts.append(".*" if index >= len(pattern) else "(.*/)?")
            continue
        char = pattern[index]
        if char == "\\":
            index += 1
            if index == len(pattern):
                raise re.error("trailing backslash")
            parts.append(re.escape(pattern[index]))
        else:
            parts.append(_translate_char(char))
        index += 1
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _translate_char(char: str) -> str:
    if char == "*":
        return "[^/]*"
    if char == "?":
        return "[^/]"
    return f"\\{char}" if _REGEX_SPECIAL.match(char) else char


def walk(context: Path, ignore_patterns: tuple[IgnorePattern, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files and links of a context that are not ignored, by path with ``/``; folders are not listed.

    Raises Problems if a folder cannot be listed.
    """
    yield from _walk_folder(context, "", ignore_patterns, (False,) * len(ignore_patterns))


def _walk_folder(
    folder: Path, prefix: str, ignore_patterns: tuple[IgnorePattern, ...], parent_matches: tuple[bool, ...]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise Problems.from_message(f"cannot list the folder: {error.strerror}", where=Position(str(folder))) from None
    has_negation = any(pattern.is_negated for pattern in ignore_patterns)
    for entry in entries:
        path = prefix + entry.name
        ignored, matched = match_path(path, ignore_patterns, parent_matches)
        if entry.is_dir(follow_symlinks=False):
            if not ignored or has_negation:
                yield from _walk_folder(Path(entry.path), f"{path}/", ignore_patterns, matched)
        elif not ignored:
            yield path, entry


def match_path(
    path: str, ignore_patterns: tuple[IgnorePattern, ...], parent_matches: tuple[bool, ...]
) -> tuple[bool, tuple[bool, ...]]:
    """Return whether a path is ignored, and which patterns matched.

    ``parent_matches``: which patterns matched its folder.
    """
    ignored, matched = False, []
    for pattern, inherited in zip(ignore_patterns, parent_matches, strict=True):
        # Like Docker, skip patterns that cannot change the result.
        is_relevant = pattern.is_negated == ignored
        is_match = inherited or (is_relevant and pattern.regex.match(path) is not None)
        ignored = not pattern.is_negated if is_match else ignored
        matched.append(is_match)
    return ignored, tuple(matched)
