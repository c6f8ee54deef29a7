"""``orchestrator init``: the first files of an application that is to be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.cli.options import Settings, common
from orchestrator.cli.verb import verb

TEMPLATES = ("dotnet", "python", "node")
NAMES = {"Dockerfile": "Dockerfile", "dockerignore": ".dockerignore"}
"""Ending of a template's file -> what it is called beside the application."""


@verb(
    "init",
    "orchestrator init --template dotnet ../api",
    "orchestrator init --template python --force .",
)
@click.option("--template", type=click.Choice(TEMPLATES), required=True, help="What the application is written in.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common
def command(settings: Settings, template: str, force: bool, folder: Path) -> None:
    """Write a Dockerfile fit for production.

    It is written into FOLDER, with its .dockerignore: several stages, no root, port 8080, a health check on /health.
    Files that are there are left alone.
    """
    written = write(folder, files(template), force=force)
    names = "\n".join(f"  {path}" for path in written)
    build = "image: {repository: NAME, build: {context: FOLDER}}"
    settings.terminal.say(
        f"Written:\n{names}\n\nLook through them, then name the folder in a ContainerService:\n  {build}"
    )


def files(template: str) -> dict[str, str]:
    """The files of a template, by the name they are to have."""
    from importlib.resources import files as package

    there = package("orchestrator.templates")
    return {name: (there / f"{template}.{ending}").read_text(encoding="utf-8") for ending, name in NAMES.items()}


def write(folder: Path, wanted: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write files into a folder: all of them or, where one is there and ``force`` is not given, none.

    Raises Problems.
    """
    from orchestrator.problems import Position, Problem, Problems

    paths = {folder / name: text for name, text in wanted.items()}
    taken = [path for path in paths if path.exists() or path.is_symlink()]
    if taken and not force:
        hint = "--force writes over it; nothing was written"
        raise Problems(Problem("this file is there already", Position(str(path)), hint) for path in taken)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problems.one(f"cannot write into {folder}: {error.strerror}") from None
    return list(paths)
