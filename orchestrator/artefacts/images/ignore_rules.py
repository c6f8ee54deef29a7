r"""Read the patterns of an ignore file as each of the supported builders does. Pure.

* BuildKit (docker with buildx, docker 23 and newer): moby/patternmatcher. A pattern without wildcards is compared as
  text, one that begins with ``**`` by its end: ``**.md`` is every file that ends with ``.md``.
* Docker's classic builder up to 20.10: every pattern is a regular expression, and ``**.md`` is a file named ``.md``.
* buildah and podman: containers/storage. As the classic builder, but every pattern is compared with the whole path, a
  byte-order mark is not removed, and ``! x`` does not include ``x`` again.

These are Go's regular expressions, of which only the common part is read here. A pattern beyond it (``\d``,
``[[:alpha:]]``) is *doubtful*: it is taken to exclude nothing, or, after ``!``, to include everything again.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from orchestrator.problems import Position, Problems

GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's strings.TrimSpace removes; Python's ``strip`` removes more."""
BYTE_ORDER_MARK = "\ufeff"
_CLASS = re.compile(r"\[\^?(?:[A-Za-z0-9_](?:-[A-Za-z0-9_])?|[.,@=!])+\]")
_UNREADABLE = re.compile("[\x00-\x1f\x7f\ufeff\ud800-\udfff]")
_ESCAPED_BY_BUILDKIT = ".+()$"
_ESCAPED_BY_OTHERS = ".$"
_REGEX_SPECIAL = "+()|{}^"


class Doubtful(Exception):  # noqa: N818 - a pattern, not an error
    """The pattern is beyond what is read here."""


class IgnorePattern(Struct, frozen=True):
    """One line: whether it matches a path, whether it includes again (``!``), and whether it is doubtful."""

    matches: Callable[[str], bool]
    is_negated: bool
    is_doubtful: bool = False


class Reading(Struct, frozen=True):
    """An ignore file as one kind of builder reads it.

    ``evaluates_all`` and ``evaluates_negated``: whether all patterns, or negated ones, are evaluated although they
    cannot change the result, which counts for the files of a folder.
    """

    patterns: tuple[IgnorePattern, ...]
    evaluates_all: bool = False
    evaluates_negated: bool = False

    @property
    def has_negation(self) -> bool:
        """Whether a file in an ignored folder may be included."""
        return any(pattern.is_negated for pattern in self.patterns)

    @property
    def no_matches(self) -> tuple[bool, ...]:
        """Which patterns match the context itself."""
        return (False,) * len(self.patterns)

    def match(self, path: str, parent_matches: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Return whether a path is ignored, and which patterns matched.

        ``parent_matches``: which patterns matched its folder.
        """
        ignored, matched = False, []
        for pattern, inherited in zip(self.patterns, parent_matches, strict=True):
            is_relevant = (
                self.evaluates_all or pattern.is_negated == ignored or (self.evaluates_negated and pattern.is_negated)
            )
            is_match = inherited or (is_relevant and pattern.matches(path))
            ignored = not pattern.is_negated if is_match else ignored
            matched.append(is_match)
        return ignored, tuple(matched)


IgnoreRules = tuple[Reading, ...]


def parse_rules(text: str, name: str) -> IgnoreRules:
    """Return the different readings of the ignore file ``name``, BuildKit's first.

    Raises Problems at the line of a pattern that no builder takes.
    """
    moby_lines = list(_iter_moby_lines(text, name))
    return (
        _read_moby([_build(line, is_negated, compile_buildkit) for line, is_negated in moby_lines]),
        _read_moby([_build(line, is_negated, compile_regex) for line, is_negated in moby_lines]),
        Reading(tuple(_build(*item, compile_regex) for item in _iter_containers_lines(text)), evaluates_all=True),
    )


def _read_moby(patterns: list[IgnorePattern]) -> Reading:
    """Return the reading of builders that skip patterns which cannot change the result.

    A doubtful pattern may make them skip later ones, so that a file is included because more is excluded. After the
    first doubtful pattern nothing excludes any more, therefore, unless nothing includes again.
    """
    first_doubtful = next((index for index, pattern in enumerate(patterns) if pattern.is_doubtful), len(patterns))
    if first_doubtful == len(patterns) or not any(pattern.is_negated for pattern in patterns):
        return Reading(tuple(patterns))
    kept = (pattern for index, pattern in enumerate(patterns) if index < first_doubtful or pattern.is_negated)
    return Reading(tuple(kept), evaluates_negated=True)


def _build(pattern: str, is_negated: bool, compile_pattern: Callable[[str], Callable[[str], bool]]) -> IgnorePattern:
    try:
        return IgnorePattern(compile_pattern(pattern), is_negated)
    except (Doubtful, re.error):
        return IgnorePattern((lambda _: True) if is_negated else (lambda _: False), is_negated, is_doubtful=True)


def _iter_moby_lines(text: str, name: str) -> Iterator[tuple[str, bool]]:
    """Yield (pattern, is negated) as moby's ignorefile package reads them, and then its matcher.  Raises Problems.

    The matcher trims and cleans what the first has cleaned: ``./ x`` is ``x``, ``** /`` is ``**``, ``/!x`` is ``!x``.
    """
    for line_number, raw in enumerate(text.removeprefix(BYTE_ORDER_MARK).split("\n"), start=1):
        line = "" if raw.startswith("#") else raw.strip(GO_SPACE)
        if not line:
            continue
        read = _read_moby_line(line).strip(GO_SPACE)
        if not read:
            continue
        cleaned = _clean(read)
        is_negated = cleaned.startswith("!")
        pattern = cleaned.removeprefix("!")
        if not pattern:
            raise Problems.from_message("`!` must be followed by a pattern", where=Position(name, line_number))
        if _is_malformed(pattern) and "*" not in pattern:  # Go checks only a part of what follows a star
            raise Problems.from_message(f"invalid pattern `{pattern}`", where=Position(name, line_number))
        yield pattern, is_negated


def _read_moby_line(line: str) -> str:
    """Return a line as moby's ignorefile package hands it to the matcher."""
    mark = "!" if line.startswith("!") else ""
    pattern = line.removeprefix("!").strip(GO_SPACE)
    cleaned = _clean(pattern) if pattern else ""
    return mark + (cleaned.removeprefix("/") if len(cleaned) > 1 else cleaned)


def _iter_containers_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield (pattern, is negated) as buildah and podman read them."""
    for raw in text.split("\n"):
        line = "" if raw.startswith("#") else raw.strip("/").strip(GO_SPACE)
        if not line:
            continue
        cleaned = _clean(line)
        is_negated = cleaned.startswith("!") and len(cleaned) > 1
        yield _clean(cleaned[1:]).removeprefix("/") if is_negated else cleaned, is_negated


def _clean(path: str) -> str:
    """Return a path as Go's filepath.Clean does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _is_malformed(pattern: str) -> bool:
    """Return whether Go's filepath.Match refuses a pattern: a class without an end, or a last backslash."""
    in_class, index = False, 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 1
        elif pattern[index] == "[":
            in_class = True
        elif pattern[index] == "]":
            in_class = False
        index += 1
    return in_class or index > len(pattern)


def compile_buildkit(pattern: str) -> Callable[[str], bool]:
    """Return the match of moby/patternmatcher. Raises Doubtful."""
    leads_with_stars = pattern.startswith("**")
    middle = pattern.removeprefix("**")
    if not re.search(r"[*?\[\]\\]", middle):
        _check_readable(pattern)
        if leads_with_stars:
            return lambda path: path.endswith(middle) or (middle.startswith("/") and path == middle[1:])
        return lambda path: path == pattern
    if not leads_with_stars and pattern.endswith("**") and not re.search(r"[*?\[\]\\]", pattern[:-2]):
        _check_readable(pattern)
        start = pattern[:-2]
        return lambda path: path.startswith(start)
    return _compile(pattern, _ESCAPED_BY_BUILDKIT)


def compile_regex(pattern: str) -> Callable[[str], bool]:
    """Return the match of builders for which every pattern is a regular expression. Raises Doubtful."""
    return _compile(pattern, _ESCAPED_BY_OTHERS)


def _check_readable(pattern: str) -> None:
    if _UNREADABLE.search(pattern):
        raise Doubtful


def _compile(pattern: str, escaped: str) -> Callable[[str], bool]:
    _check_readable(pattern)
    parts, index = [], 0
    while index < len(pattern):
        part, index = _translate(pattern, index, escaped)
        parts.append(part)
    regex = re.compile("".join(parts) + r"\Z")
    return lambda path: regex.match(path) is not None


def _translate(pattern: str, index: int, escaped: str) -> tuple[str, int]:
    """Return the regular expression of the part of a pattern at ``index``, and where the next part begins."""
    char = pattern[index]
    if pattern.startswith("**", index):
        index += 3 if pattern.startswith("**/", index) else 2
        return (".*" if index >= len(pattern) else "(.*/)?"), index
    if char == "[":
        bracket = _CLASS.match(pattern, index)
        if bracket is None:
            raise Doubtful
        return bracket[0], bracket.end()
    if char == "\\":
        following = pattern[index + 1 : index + 2]
        if not following or following.isalnum() or not following.isascii():
            raise Doubtful
        return re.escape(following), index + 2
    if char == "]" or (char in _REGEX_SPECIAL and char not in escaped):
        raise Doubtful
    return {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)), index + 1
