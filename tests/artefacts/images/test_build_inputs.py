"""The tag of an image: it changes with what goes in, and with nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.artefacts.images.build_inputs import TAG_LENGTH, Recipe, compute_tag
from orchestrator.problems import Problems

DIGEST = "sha256:" + "a" * 64
DOCKERFILE = f"ARG X=1\nFROM base@{DIGEST} AS build\nFROM scratch\nCOPY --from=build / /\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    (context / "src" / "app.py").write_text("print()\n")
    (context / "run").write_text("#!/bin/sh\n")
    (context / "link").symlink_to("src/app.py")
    (context / ".dockerignore").write_text("*.log\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    return Recipe(context, context / "Dockerfile")


def touch(context: Path) -> None:
    for path in context.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


def copy(context: Path) -> None:
    """Made again in another order, with new times."""
    away = context.with_name("away")
    context.rename(away)
    context.mkdir()
    for path in sorted(away.rglob("*"), reverse=True):
        target = context / path.relative_to(away)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_file():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)


def relinked(context: Path) -> Path:
    """Where the link of the context was."""
    (context / "link").unlink()
    return context / "link"


SAME: list[Callable[[Path], object]] = [
    touch,
    copy,
    lambda context: (context / "debug.log").write_text("x"),
    lambda context: (context / "empty").mkdir(),
    lambda context: os.mkfifo(context / "pipe"),
]
OTHER: list[Callable[[Path], object]] = [
    lambda context: (context / "src" / "app.py").write_text("print(1)\n"),
    lambda context: (context / "src" / "app.py").rename(context / "src" / "main.py"),
    *[
        lambda context, mode=mode: (context / "run").chmod(mode)
        for mode in (0o700, 0o600, 0o640, 0o666, 0o4755, 0o2755)
    ],
    lambda context: (context / "src").chmod(0o700),
    lambda context: (context / "new").touch(),
    lambda context: (context / "run").unlink(),
    lambda context: relinked(context).symlink_to("run"),
    lambda context: shutil.copyfile(context / "src" / "app.py", relinked(context)),
    lambda context: (context / ".dockerignore").write_text(""),
    lambda context: (context / "Dockerfile").write_text(DOCKERFILE.replace("/ /", "/ /x")),
    lambda context: (context / "Dockerfile").write_bytes(DOCKERFILE.replace("\n", "\r\n").encode()),
    lambda context: (context / "Dockerfile").write_text(DOCKERFILE.replace("a" * 64, "b" * 64)),
]


@pytest.mark.parametrize("change", SAME, ids=range(len(SAME)))
def test_what_does_not_reach_the_image_does_not_count(recipe: Recipe, change: Callable[[Path], object]) -> None:
    """Times, order, ignored files, empty folders, pipes."""
    before = compute_tag(recipe)
    change(recipe.context)

    assert compute_tag(recipe) == before


@pytest.mark.parametrize("change", OTHER, ids=range(len(OTHER)))
def test_what_goes_in_counts(recipe: Recipe, change: Callable[[Path], object]) -> None:
    """Bytes, names, modes, links and where they lead, patterns, the Dockerfile and its bases.

    Builders copy all mode bits: a file that only its owner can read stays so in the image. Source:
    testcontainers/testcontainers-dotnet#1171.
    """
    before = compute_tag(recipe)
    change(recipe.context)

    assert compute_tag(recipe) != before


def test_what_the_builder_is_told_counts(recipe: Recipe) -> None:
    """Arguments, stage and platform: each makes another image, and how the manifest words it does not."""
    others = [{"args": {"X": "2"}}, {"args": {"Y": "1"}}, {"target": "build"}, {"platform": "linux/arm64"}]
    tags = {compute_tag(recipe), *(compute_tag(replace(recipe, **other)) for other in others)}  # type: ignore[arg-type]

    assert len(tags) == len(others) + 1
    assert {len(found) for found in tags} == {TAG_LENGTH}
    assert compute_tag(replace(recipe, source="elsewhere")) == compute_tag(recipe)


def test_where_the_checkout_lies_does_not_count(recipe: Recipe, tmp_path: Path) -> None:
    """Two machines come to one tag."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(recipe.context, elsewhere, symlinks=True)

    assert compute_tag(replace(recipe, context=elsewhere, dockerfile=elsewhere / "Dockerfile")) == compute_tag(recipe)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"context": Path("/nowhere")}, "the build context is not a folder"),
        ({"dockerfile": Path("/nowhere/Dockerfile")}, "cannot read the Dockerfile"),
        ({"target": "gone"}, "the Dockerfile has no stage `gone`"),
    ],
)
def test_what_is_not_there_is_said(recipe: Recipe, change: dict[str, object], sentence: str) -> None:
    """With its place."""
    with pytest.raises(Problems) as found:
        compute_tag(replace(recipe, **change))

    [problem] = found.value.problems
    assert sentence in problem.message
    assert problem.where is not None


def test_a_recipe_travels_as_plain_data(recipe: Recipe) -> None:
    """What a plan carries leads to the same build."""
    assert Recipe.from_fields(recipe.fields) == recipe
