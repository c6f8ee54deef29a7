"""Find the images that a Dockerfile uses: FROM, ``COPY --from`` and ``RUN --mount=from=``. Pure.

Source: Docker's Dockerfile reference (ARG before FROM, stages, the automatic platform arguments).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.artefacts.images.dockerfile_parser import parse_instructions
from orchestrator.artefacts.images.dockerfile_variables import substitute

SCRATCH = "scratch"
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
    values = _predefine_args(platform)
    values |= {name: args[name] for name in values if name in args}
    for _, keyword, arguments in parse_instructions(text):
        if keyword == "FROM":
            break
        for name, default in _parse_args(arguments, values) if keyword == "ARG" else ():
            values[name] = args.get(name, default)
    return values


def _predefine_args(platform: str) -> dict[str, str]:
    """Return the automatic platform arguments, of a build on the platform that it is for."""
    system, _, remainder = platform.partition("/")
    architecture, _, variant = remainder.partition("/")
    parts = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}
    return {f"{side}{name}": value for side in ("BUILD", "TARGET") for name, value in parts.items()}


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
    flags = re.match(r"(?:--\S+\s+)*", arguments)
    pattern = {"COPY": _COPY_FROM, "ADD": _COPY_FROM, "RUN": _MOUNT_FROM}.get(keyword)
    return pattern.findall(flags[0]) if pattern and flags else []


def _parse_args(arguments: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for word in re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", arguments):
        name, _, default = word.partition("=")
        yield name, substitute(re.sub(r"""["']""", "", default), values)
