"""Which files of a build context the builder sees: ``.dockerignore``, by the rules of Docker's own matcher.

The last pattern that matches a path or a folder above it decides; ``!`` lets back in; ``**`` stands for any number of
folders.  Source: Docker's documentation of .dockerignore, moby/patternmatcher.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from orchestrator.problems import Position, Problems

IGNORE = ".dockerignore"
_SPECIAL = re.compile(r"[.+()|{}$]")


class Pattern(Struct, frozen=True):
    """One line: what it matches, and whether it lets back in (``!``)."""

    matcher: re.Pattern[str]
    exception: bool


def ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """The file that holds the patterns: ``Dockerfile.dockerignore`` beside the Dockerfile, else ``.dockerignore``."""
    beside = dockerfile.with_name(dockerfile.name + IGNORE)
    return next((found for found in (beside, context / IGNORE) if found.is_file()), None)


def sees_git(context: Path, dockerfile: Path) -> bool:
    """Whether the builder sees the context's ``.git``, which differs with every commit."""
    known = patterns(ignore_file(context, dockerfile))
    return (context / ".git").exists() and not judge(".git", known, (False,) * len(known))[0]


def patterns(file: Path | None) -> tuple[Pattern, ...]:
    """The patterns of an ignore file, in order.

    Raises Problems at the line that is no pattern.
    """
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise Problems.one(f"cannot read it: {error.strerror}", where=Position(str(file))) from None
    return tuple(_parsed(text, str(file)))


def _parsed(text: str, name: str) -> Iterator[Pattern]:
    for number, raw in enumerate(text.splitlines(), start=1):
        line = "" if raw.startswith("#") else raw.strip()
        if not line:
            continue
        exception = line.startswith("!")
        line = line.removeprefix("!").strip()
        if not line:
            raise Problems.one("`!` alone lets nothing back in", where=Position(name, number))
        try:
            yield Pattern(compiled(_cleaned(line)), exception)
        except re.error:
            raise Problems.one(f"`{line}` is no pattern", where=Position(name, number)) from None


def _cleaned(line: str) -> str:
    clean = posixpath.normpath(line)
    return clean.lstrip("/") if len(clean) > 1 else clean


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression over a path with ``/``.

    Raises re.error.
    """
    out, index = [], 0
    while index < len(pattern):
        if pattern.startswith("**", index):
            index += 3 if pattern.startswith("**/", index) else 2
            out.append(".*" if index >= len(pattern) else "(.*/)?")
            continue
        letter = pattern[index]
        if letter == "\\":
            index += 1
            if index == len(pattern):
                raise re.error("a backslash at the end")
            out.append(re.escape(pattern[index]))
        else:
            out.append(_letter(letter))
        index += 1
    return re.compile("".join(out) + r"\Z", re.DOTALL)


def _letter(letter: str) -> str:
    if letter == "*":
        return "[^/]*"
    if letter == "?":
        return "[^/]"
    return f"\\{letter}" if _SPECIAL.match(letter) else letter


def walk(context: Path, known: tuple[Pattern, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files and links of a context that the builder sees, by path with ``/``; folders as such do not count.

    Raises Problems for a folder that cannot be listed.
    """
    yield from _walk(context, "", known, (False,) * len(known))


def _walk(
    folder: Path, prefix: str, known: tuple[Pattern, ...], above: tuple[bool, ...]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise Problems.one(f"cannot list the folder: {error.strerror}", where=Position(str(folder))) from None
    may_come_back = any(pattern.exception for pattern in known)
    for entry in entries:
        path = prefix + entry.name
        ignored, matched = judge(path, known, above)
        if entry.is_dir(follow_symlinks=False):
            if not ignored or may_come_back:
                yield from _walk(Path(entry.path), f"{path}/", known, matched)
        elif not ignored:
            yield path, entry


def judge(path: str, known: tuple[Pattern, ...], above: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
    """Whether a path is ignored, and which patterns matched; ``above``: which matched the folder it is in."""
    ignored, matched = False, []
    for pattern, inherited in zip(known, above, strict=True):
        # As Docker does it: a pattern that would not change the verdict is not asked.
        asked = pattern.exception == ignored
        match = inherited or (asked and pattern.matcher.match(path) is not None)
        ignored = not pattern.exception if match else ignored
        matched.append(match)
    return ignored, tuple(matched)
