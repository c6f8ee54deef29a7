"""``orchestrator init``: the first files of a project, or only the Dockerfile of an application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.terminal import Terminal

TEMPLATES = ("dotnet", "python", "node")
NAMES = {"Dockerfile": "Dockerfile", "dockerignore": ".dockerignore"}
"""Ending of a template's file -> what it is called beside the application."""
_ANSWERS = {
    "name": ("NAME", "Name of the project."),
    "repository": ("OWNER/NAME", "Its repository on GitHub."),
    "account": ("ID", "Id of the AWS account."),
    "region": ("REGION", "AWS region, e.g. eu-west-1."),
    "api": ("LANGUAGE", "What the API is written in: dotnet, python, node or none."),
    "api-folder": ("FOLDER", "Folder of the API."),
    "runtime": ("RUNTIME", "What it runs on: ecs-express, which works in every account, or app-runner."),
    "database": ("yes|no", "Whether the API has a PostgreSQL database."),
    "site": ("FOLDER", "Folder of the built site, or none."),
    "site-build": ("COMMAND", "Command that builds the site, or none."),
    "email": ("ADDRESS", "Who is mailed when an alarm goes off, or none."),
    "tool": ("OWNER/NAME@COMMIT", "Where the orchestrator's workflows are; by default the commit that runs here."),
}


def answered(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each answer."""
    for name, (metavar, text) in reversed(_ANSWERS.items()):
        function = click.option(f"--{name}", metavar=metavar, help=text)(function)
    return function


@verb(
    "init",
    "orchestrator init",
    "orchestrator init --name shop --repository team/shop --account 123456789012 --api python --site web/dist",
    "orchestrator init --template dotnet ../api",
    "orchestrator init --template python --force .",
)
@click.option("--template", type=click.Choice(TEMPLATES), help="Write only the Dockerfile of such an application.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@answered
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common
def command(settings: Settings, template: str | None, force: bool, folder: Path, **given: str | None) -> None:
    """Write the first files of a project.

    Into FOLDER: manifests, the workflows of GitHub (each calls the orchestrator's own), and a Dockerfile fit for
    production. On a terminal it asks for what no option says. Files that are there are left alone, and it says so;
    where there are manifests, nothing is asked and only the workflows are written.

    With --template only the Dockerfile with its .dockerignore, into FOLDER: several stages, no root, port 8080, a
    health check on /health.
    """
    if template is not None:
        return _dockerfile(settings.terminal, template, folder, force=force)
    return _project(
        settings.terminal, folder, {name.replace("_", "-"): said for name, said in given.items()}, force=force
    )


def _dockerfile(terminal: Terminal, template: str, folder: Path, *, force: bool) -> None:
    written = write(folder, files(template), force=force)
    names = "\n".join(f"  {path}" for path in written)
    build = "image: {repository: NAME, build: {context: FOLDER}}"
    terminal.say(f"Written:\n{names}\n\nLook through them, then name the folder in a ContainerService:\n  {build}")


def _project(terminal: Terminal, folder: Path, given: Mapping[str, str | None], *, force: bool) -> None:
    from orchestrator.scaffold import detection, manifests, questions, workflows

    guesses = detection.guesses(folder)
    there = folder / manifests.FOLDER
    if any(there.glob("*.y*ml")) and not force:
        texts = workflows.files(questions.one("tool", given.get("tool") or guesses["tool"]))
        terminal.say(f"There are manifests in {there}: only the workflows are written.")
    else:
        ask = terminal.ask if terminal.interactive else None
        found = questions.gather(given, guesses, ask, terminal.tell)
        texts = {**manifests.files(found), **workflows.files(found.tool)}
        if found.api:
            texts |= {f"{found.api_folder}/{name}": text for name, text in files(found.api).items()}
        manifests.check(texts)
    _report(terminal, spread(folder, texts, force=force))


def _report(terminal: Terminal, done: Spread) -> None:
    """What was written, what was written over, what was left alone, and what comes next."""
    left = "Left alone, as they were there (--force writes over them)"
    for title, paths in (("Written", done.new), ("Written over", done.over), (left, done.left)):
        if paths:
            terminal.say("\n".join([f"{title}:", *(f"  {path}" for path in paths)]))
    steps = (
        "orchestrator validate",
        "git add -A && git commit -m 'Begin to deploy' && git push",
        "orchestrator bootstrap github    # once, with an administrator's credentials of AWS and of GitHub",
        "orchestrator doctor              # says what is still missing",
    )
    terminal.say("\nNext:\n" + "\n".join(f"  {step}" for step in steps))


class Spread(Struct, frozen=True):
    """Files that are new, that were written over, and that were left as they were."""

    new: list[Path]
    over: list[Path]
    left: list[Path]


def spread(folder: Path, texts: Mapping[str, str], *, force: bool) -> Spread:
    """Write what is not there yet; with ``force`` also what differs.

    Raises Problems.
    """
    from orchestrator.problems import Problems

    done = Spread([], [], [])
    for name, text in texts.items():
        path = folder / name
        there = path.exists() or path.is_symlink()
        if there and not force:
            done.left.append(path)
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            written = ", ".join(str(each) for each in (*done.new, *done.over)) or "nothing"
            raise Problems.one(f"cannot write {path}: {error.strerror}", hint=f"written so far: {written}") from None
        (done.over if there else done.new).append(path)
    return done


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
