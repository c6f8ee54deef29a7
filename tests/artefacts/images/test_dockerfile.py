"""Which images a Dockerfile builds on, however it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.artefacts.images import dockerfile, dockerfile_parser

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


ANSWERS = json.loads((Path(__file__).parent / "dockerfile_answers.json").read_text())
"""What BuildKit's parser answered; its first field says which."""


def test_instructions_are_those_of_buildkits_parser() -> None:
    """Byte-order marks, tabs, escapes, ``<<`` that begins no heredoc: every instruction, at its line.

    Source: BuildKit's parser; moby/moby#23221 (BOM), rcjsuen/dockerfile-ast#106, hadolint/language-docker#79.
    """
    wrong = []
    for case in ANSWERS["cases"]:
        found = [
            [line, keyword, re.sub(r"^(?:--\S+\s+)*", "", arguments).split() if keyword == "FROM" else []]
            for line, keyword, arguments in dockerfile_parser.parse_instructions(case["text"])
        ]
        wrong += [(case["text"], found)] if found != case["instructions"] else []

    assert wrong == []
    assert len(ANSWERS["cases"]) >= 200


@pytest.mark.parametrize(
    ("text", "images", "stages"),
    [
        ("\ufeffFROM x AS base\nFROM base", ["x"], ("base", "")),
        ("FROM a AS one\nRUN echo $((1<<2)) && test x<<EOF\nFROM b AS two\nFROM two", ["a", "b"], ("one", "two", "")),
        ('FROM a\nRUN ["sh", "-c", "cat <<EOF"]\nFROM b', ["a", "b"], ("", "")),
        ("FROM\ta\nRUN echo x \\  \n FROM y\nFROM b", ["a", "b"], ("", "")),
        ("FROM a\nRUN echo \\\\\nFROM b", ["a", "b"], ("", "")),
        ("FROM a\nRUN echo --mount=from=x", ["a"], ("",)),
        ("FROM a\nRUN --network=none --mount=from=x,target=/x true", ["a", "x"], ("",)),
        ("FROM a\nONBUILD RUN cat <<EOF\nFROM b\nEOF", ["a"], ("",)),
        ("ARG V=3.13-slim\nFROM python:${V%-*}", ["python:3.13"], ("",)),
        ("ARG V=v1.2\nFROM a:${V#v}-${V/./_}-${V##*.}-${V%%.*}", ["a:1.2-v1_2-2-v1"], ("",)),
        ("ARG B=x\nFROM ${A:-${B:-y}}:$TARGETARCH-$TARGETOS", ["x:amd64-linux"], ("",)),
        ("ARG V=\nFROM a:x${V-y}${V:-z}", ["a:xz"], ("",)),
    ],
)
def test_valid_forms_that_are_rare(text: str, images: list[str], stages: tuple[str, ...]) -> None:
    """Visual Studio writes byte-order marks; a base that is misread does not count into the tag."""
    assert [base.image for base in dockerfile.find_base_images(text, {}, PLATFORM)] == images
    assert dockerfile.list_stage_names(text) == stages
