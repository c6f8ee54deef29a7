"""Find the images that a Dockerfile uses: FROM, ``COPY --from`` and ``RUN --mount=from=``. Pure.

Source: Docker's Dockerfile reference (parser directives, line continuations, heredocs, ARG before FROM).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

SCRATCH = "scratch"
PREDEFINED_ARGS = ("BUILDPLATFORM", "TARGETPLATFORM")
_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*\Z")
_HEREDOC = re.compile(r"<<(-?)([\"']?)(\w+)\2")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_PLATFORM = re.compile(r"--platform=(\S+)\s+")
_COPY_FROM = re.compile(r"--from=(\S+)")
_MOUNT_FROM = re.compile(r"--mount=\S*?\bfrom=([^,\s]+)")


class BaseImage(Struct, frozen=True):
    """An image that a build starts or copies from, and the line number (from 1) that names it.

    ``platform`` is the value of ``FROM --platform``, or None.
    """

    image: str
    line: int
    platform: str | None = None


def find_base_images(text: str, args: Mapping[str, str], platform: str) -> tuple[BaseImage, ...]:
    """Return every external image that the Dockerfile names, once each, in order.

    ``args`` are build arguments, ``platform`` is the target platform. Excludes the Dockerfile's own stages and
    ``scratch``.
    """
    return tuple(
        {(base.image, base.platform): base for base in reversed(list(_iter_base_images(text, args, platform)))}.values()
    )[::-1]


def list_stage_names(text: str) -> tuple[str, ...]:
    """Return the names of the stages in lower case; "" for a stage without a name."""
    parsed_stages = (_parse_stage(arguments) for _, keyword, arguments in parse_instructions(text) if keyword == "FROM")
    return tuple(name for _, name in parsed_stages)


def find_target_base(text: str, args: Mapping[str, str], platform: str, target: str | None = None) -> str | None:
    """Return the external image under stage ``target`` (default: the last stage), or None if it starts from scratch."""
    values = _collect_global_args(text, args, platform)
    parsed_stages = [_parse_stage(arguments) for _, keyword, arguments in parse_instructions(text) if keyword == "FROM"]
    candidates = [
        index for index, (_, name) in enumerate(parsed_stages) if target in {name, str(index)} or target is None
    ]
    image = ""
    index: int | None = candidates[-1] if candidates else None
    while index is not None:
        image = substitute(parsed_stages[index][0], values)
        index = next((i for i in range(index - 1, -1, -1) if parsed_stages[i][1] == image.lower()), None)
    return None if image.lower() in {"", SCRATCH} else image


def _collect_global_args(text: str, args: Mapping[str, str], platform: str) -> dict[str, str]:
    """Return the variables usable in FROM: predefined ones and each ARG before the first FROM."""
    values: dict[str, str] = dict.fromkeys(PREDEFINED_ARGS, platform)
    values |= {name: args[name] for name in PREDEFINED_ARGS if name in args}
    for _, keyword, arguments in parse_instructions(text):
        if keyword == "FROM":
            break
        for name, default in _parse_args(arguments, values) if keyword == "ARG" else ():
            values[name] = args.get(name, default)
    return values


def _iter_base_images(text: str, args: Mapping[str, str], platform: str) -> Iterator[BaseImage]:
    values = _collect_global_args(text, args, platform)
    known_stages: set[str] = {SCRATCH}
    in_stage = False
    for line, keyword, arguments in parse_instructions(text):
        if keyword == "FROM":
            in_stage = True
            platform_match = _PLATFORM.match(arguments)
            image, name = _parse_stage(arguments)
            image = substitute(image, values)
            if image.lower() not in known_stages:
                yield BaseImage(image, line, substitute(platform_match[1], values) if platform_match else None)
            known_stages |= {name} if name else set()
        elif in_stage:
            for image in _find_referenced_images(keyword, arguments):
                if image.lower() not in known_stages and not image.isdigit() and "$" not in image:
                    yield BaseImage(image, line)


def _parse_stage(arguments: str) -> tuple[str, str]:
    words = _PLATFORM.sub("", arguments, count=1).split()
    name = words[2] if len(words) > 2 and words[1].upper() == "AS" else ""
    return (words[0] if words else "", name.lower())


def _find_referenced_images(keyword: str, arguments: str) -> list[str]:
    if keyword in ("COPY", "ADD"):
        flags = re.match(r"(?:--\S+\s+)*", arguments)
        return _COPY_FROM.findall(flags[0] if flags else "")
    return _MOUNT_FROM.findall(arguments) if keyword == "RUN" else []


def _parse_args(arguments: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for word in re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", arguments):
        name, _, default = word.partition("=")
        yield name, substitute(re.sub(r"""["']""", "", default), values)


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Expand ``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}``; an unknown name expands to nothing."""

    def replace_variable(match: re.Match[str]) -> str:
        variable = values.get(match[1] or match[2], "")
        if match[3] in (":-", "-"):
            return variable or match[4]
        if match[3] in (":+", "+"):
            return str(match[4]) if variable else ""
        return variable

    return _VARIABLE.sub(replace_variable, text)


def parse_instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, keyword in capitals, arguments) of each instruction, without comments and heredoc bodies."""
    lines = text.splitlines()
    escape = _find_escape_char(lines)
    index = 0
    while index < len(lines):
        start_line, joined = index, ""
        while index < len(lines):
            line = lines[index].strip()
            index += 1
            if line.startswith("#") or (joined and not line):
                continue
            start_line = start_line if joined else index
            joined += line.removesuffix(escape)
            if not line.endswith(escape):
                break
        keyword, _, arguments = joined.strip().partition(" ")
        keyword = keyword.upper()
        if keyword in ("RUN", "COPY", "ADD"):
            index = _skip_heredocs(lines, index, arguments)
        if keyword:
            yield start_line, keyword, arguments.strip()


def _find_escape_char(lines: list[str]) -> str:
    for line in lines:
        directive = _DIRECTIVE.match(line.strip())
        if directive is None:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def _skip_heredocs(lines: list[str], index: int, arguments: str) -> int:
    for strips_tabs, _, terminator in _HEREDOC.findall(arguments):
        while index < len(lines) and (lines[index].lstrip("\t") if strips_tabs else lines[index]) != terminator:
            index += 1
        index += 1
    return index
