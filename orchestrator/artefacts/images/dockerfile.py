"""The images that a Dockerfile builds on: FROM, ``COPY --from`` and ``RUN --mount=from=``.  Pure.

Source: Docker's Dockerfile reference (parser directives, continued lines, heredocs, ARG before FROM).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

SCRATCH = "scratch"
PREDEFINED = ("BUILDPLATFORM", "TARGETPLATFORM")
_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*\Z")
_HEREDOC = re.compile(r"<<(-?)([\"']?)(\w+)\2")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_PLATFORM = re.compile(r"--platform=(\S+)\s+")
_COPY_FROM = re.compile(r"--from=(\S+)")
_MOUNT_FROM = re.compile(r"--mount=\S*?\bfrom=([^,\s]+)")


class Base(Struct, frozen=True):
    """An image that a build starts from or copies from, and the line (from 1) that names it.

    ``platform`` is what ``FROM --platform`` says, or None.
    """

    image: str
    line: int
    platform: str | None = None


def bases(text: str, args: Mapping[str, str], platform: str) -> tuple[Base, ...]:
    """Every image named, each once, in order; ``args`` are build arguments, ``platform`` the one built for.

    Stages of the Dockerfile itself and ``scratch`` are none.
    """
    return tuple({(base.image, base.platform): base for base in reversed(list(_bases(text, args, platform)))}.values())[
        ::-1
    ]


def stages(text: str) -> tuple[str, ...]:
    """The names of the stages, in lower case; a stage without one counts, as ""."""
    named = (_stage(rest) for _, keyword, rest in instructions(text) if keyword == "FROM")
    return tuple(name for _, name in named)


def foundation(text: str, args: Mapping[str, str], platform: str, target: str | None = None) -> str | None:
    """The image from outside that the stage ``target`` (the last one, if none is named) stands on; None: on nothing."""
    values = _before_stages(text, args, platform)
    found = [_stage(rest) for _, keyword, rest in instructions(text) if keyword == "FROM"]
    built = [place for place, (_, name) in enumerate(found) if target in {name, str(place)} or target is None]
    image = ""
    place: int | None = built[-1] if built else None
    while place is not None:
        image = substituted(found[place][0], values)
        place = next((n for n in range(place - 1, -1, -1) if found[n][1] == image.lower()), None)
    return None if image.lower() in {"", SCRATCH} else image


def _before_stages(text: str, args: Mapping[str, str], platform: str) -> dict[str, str]:
    """What may be put into the name of a base: ARG before the first FROM."""
    values: dict[str, str] = dict.fromkeys(PREDEFINED, platform)
    values |= {name: args[name] for name in PREDEFINED if name in args}
    for _, keyword, rest in instructions(text):
        if keyword == "FROM":
            break
        for name, default in _arguments(rest, values) if keyword == "ARG" else ():
            values[name] = args.get(name, default)
    return values


def _bases(text: str, args: Mapping[str, str], platform: str) -> Iterator[Base]:
    values = _before_stages(text, args, platform)
    known: set[str] = {SCRATCH}
    begun = False
    for line, keyword, rest in instructions(text):
        if keyword == "FROM":
            begun = True
            found = _PLATFORM.match(rest)
            image, name = _stage(rest)
            image = substituted(image, values)
            if image.lower() not in known:
                yield Base(image, line, substituted(found[1], values) if found else None)
            known |= {name} if name else set()
        elif begun:
            for image in _others(keyword, rest):
                if image.lower() not in known and not image.isdigit() and "$" not in image:
                    yield Base(image, line)


def _stage(rest: str) -> tuple[str, str]:
    words = _PLATFORM.sub("", rest, count=1).split()
    name = words[2] if len(words) > 2 and words[1].upper() == "AS" else ""
    return (words[0] if words else "", name.lower())


def _others(keyword: str, rest: str) -> list[str]:
    if keyword in ("COPY", "ADD"):
        flags = re.match(r"(?:--\S+\s+)*", rest)
        return _COPY_FROM.findall(flags[0] if flags else "")
    return _MOUNT_FROM.findall(rest) if keyword == "RUN" else []


def _arguments(rest: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for word in re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", rest):
        name, _, default = word.partition("=")
        yield name, substituted(re.sub(r"""["']""", "", default), values)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}`` replaced; an unknown name is empty."""

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2], "")
        if match[3] in (":-", "-"):
            return known or match[4]
        if match[3] in (":+", "+"):
            return str(match[4]) if known else ""
        return known

    return _VARIABLE.sub(value, text)


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, keyword in capitals, the rest) of each instruction; comments and the bodies of heredocs left out."""
    lines = text.splitlines()
    escape = _escape(lines)
    number = 0
    while number < len(lines):
        begun, joined = number, ""
        while number < len(lines):
            line = lines[number].strip()
            number += 1
            if line.startswith("#") or (joined and not line):
                continue
            begun = begun if joined else number
            joined += line.removesuffix(escape)
            if not line.endswith(escape):
                break
        keyword, _, rest = joined.strip().partition(" ")
        keyword = keyword.upper()
        if keyword in ("RUN", "COPY", "ADD"):
            number = _after_heredocs(lines, number, rest)
        if keyword:
            yield begun, keyword, rest.strip()


def _escape(lines: list[str]) -> str:
    for line in lines:
        found = _DIRECTIVE.match(line.strip())
        if found is None:
            break
        if found[1].lower() == "escape":
            return found[2]
    return "\\"


def _after_heredocs(lines: list[str], number: int, rest: str) -> int:
    for dash, _, end in _HEREDOC.findall(rest):
        while number < len(lines) and (lines[number].lstrip("\t") if dash else lines[number]) != end:
            number += 1
        number += 1
    return number
