"""Which images a Dockerfile builds on, however it says so."""

from __future__ import annotations

import pytest

from orchestrator.artefacts.images import dockerfile

PLATFORM = "linux/amd64"
CASES = [
    ("FROM scratch", {}, []),
    ("FROM python:3.13", {}, ["python:3.13"]),
    ("# a comment\n\nfrom  python:3.13 as build\nFROM BUILD", {}, ["python:3.13"]),
    ("FROM --platform=$BUILDPLATFORM node:24 AS a\nFROM a", {}, ["node:24"]),
    ("ARG V=3.13\nFROM python:${V}-slim", {}, ["python:3.13-slim"]),
    ("ARG V=3.13\nFROM python:${V}-slim", {"V": "3.12"}, ["python:3.12-slim"]),
    ("FROM python:${V:-3.11}", {"V": "3.12"}, ["python:3.11"]),
    ("ARG V\nFROM python:${V:-3.11}${V:+-slim}", {"V": "3.12"}, ["python:3.12-slim"]),
    ('ARG A="one" B=two\nFROM $A:$B', {}, ["one:two"]),
    ("FROM a\nARG V=x\nFROM b:$V", {}, ["a", "b:"]),
    ("FROM a AS x\nFROM b\nCOPY --from=x /a /a\nCOPY --from=0 /a /a\nCOPY --from=c:1 /a /a", {}, ["a", "b", "c:1"]),
    ("FROM a\nCOPY --chown=1 --from=c /a /a\nCOPY x --from=d", {}, ["a", "c"]),
    ("FROM a\nRUN --mount=type=bind,from=tools:2,target=/t true", {}, ["a", "tools:2"]),
    ("FROM a\nRUN echo \\\n# in between\n FROM b\nFROM c", {}, ["a", "c"]),
    ("# escape=`\nFROM a\nRUN echo `\n FROM b", {}, ["a"]),
    ("FROM a\nRUN <<EOF\nFROM b\nEOF\nFROM c", {}, ["a", "c"]),
    ("FROM a\nCOPY <<-'END' /x\nFROM b\n\tEND\nFROM a", {}, ["a"]),
    ("FROM a@sha256:0", {}, ["a@sha256:0"]),
]


@pytest.mark.parametrize(("text", "args", "images"), CASES)
def test_every_image_that_is_named_counts_once(text: str, args: dict[str, str], images: list[str]) -> None:
    """FROM, COPY --from and mounts; stages and `scratch` are none, text that only looks like it neither."""
    assert [base.image for base in dockerfile.find_base_images(text, args, PLATFORM)] == images


def test_a_base_is_told_by_its_line_and_platform() -> None:
    """So that a problem with it has a place."""
    text = "# one\nFROM scratch\nFROM --platform=linux/arm64 \\\n  b:1 AS c\n"

    [base] = dockerfile.find_base_images(text, {}, PLATFORM)

    assert (base.line, base.platform, dockerfile.list_stage_names(text)) == (3, "linux/arm64", ("", "c"))


@pytest.mark.parametrize(
    ("text", "target", "image"),
    [
        ("FROM scratch", None, None),
        ("FROM sdk:10 AS build\nFROM runtime:10\nCOPY --from=build /a /a", None, "runtime:10"),
        ("FROM sdk:10 AS build\nFROM runtime:10", "build", "sdk:10"),
        ("FROM sdk:10 AS build\nFROM runtime:10", "0", "sdk:10"),
        ("ARG V=10\nFROM sdk:$V AS Base\nFROM base AS test\nFROM base", None, "sdk:10"),
        ("FROM a AS a\nFROM a", None, "a"),
    ],
)
def test_what_the_built_stage_stands_on(text: str, target: str | None, image: str | None) -> None:
    """Through stages of its own, to the image from outside."""
    assert dockerfile.find_target_base(text, {}, PLATFORM, target) == image
