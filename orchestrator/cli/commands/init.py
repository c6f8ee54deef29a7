"""``orchestrator init``: write the first files of a project, or only a Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.terminal import Terminal

TEMPLATES = ("dotnet", "python", "node")
TEMPLATE_FILES = {"Dockerfile": "Dockerfile", "dockerignore": ".dockerignore"}
"""Names of the written files, by the suffix of the template's file."""
_ANSWER_OPTIONS = {
    "name": ("NAME", "Name of the project."),
    "repository": ("OWNER/NAME", "Repository on GitHub, OWNER/NAME."),
    "account": ("ID", "Id of the AWS account."),
    "region": ("REGION", "AWS region, e.g. eu-west-1."),
    "api": ("LANGUAGE", "Language of the API: dotnet, python, node or none."),
    "api-folder": ("FOLDER", "Folder of the API."),
    "runtime": ("RUNTIME", "Runtime of the API: ecs-express, which works in every account, or app-runner."),
    "database": ("yes|no", "Whether the API has a PostgreSQL database."),
    "site": ("FOLDER", "Folder of the built site, or none."),
    "site-build": ("COMMAND", "Command that builds the site, or none."),
    "email": ("ADDRESS", "E-mail address for alarms, or none."),
    "tool": (
        "OWNER/NAME@COMMIT",
        "Repository and commit of the orchestrator's workflows; by default those of this checkout.",
    ),
}


def answer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each answer."""
    for name, (metavar, text) in reversed(_ANSWER_OPTIONS.items()):
        function = click.option(f"--{name}", metavar=metavar, help=text)(function)
    return function


@cli_command(
    "init",
    "orchestrator init",
    "orchestrator init --name shop --repository team/shop --account 123456789012 --api python --site web/dist",
    "orchestrator init --template dotnet ../api",
    "orchestrator init --template python --force .",
)
@click.option("--template", type=click.Choice(TEMPLATES), help="Write only a Dockerfile for this kind of application.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@answer_options
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common_options
def command(settings: Settings, template: str | None, force: bool, folder: Path, **option_values: str | None) -> None:
    """Write the first files of a project.

    Writes manifests, GitHub workflows (each calls the orchestrator's workflow of the same name) and a production
    Dockerfile into FOLDER. Asks on a terminal for what no option sets. Keeps existing files, and names them. If
    FOLDER has manifests, asks nothing and writes only the workflows; with -e NAME, those of another environment.
    With --template, writes only a Dockerfile and its .dockerignore: several stages, no root user, port 8080, a
    health check on /health.
    """
    if template is not None:
        return _write_dockerfile(settings.terminal, template, folder, force=force)
    values = {name.replace("_", "-"): value for name, value in option_values.items()}
    return _write_project(settings, folder, values, force=force)


def _write_dockerfile(terminal: Terminal, template: str, folder: Path, *, force: bool) -> None:
    written = write_files(folder, template_files(template), force=force)
    names = "\n".join(f"  {path}" for path in written)
    build = "image: {repository: NAME, build: {context: FOLDER}}"
    terminal.print_out(f"Written:\n{names}\n\nReview them, then set the folder in a ContainerService:\n  {build}")


def _write_project(settings: Settings, folder: Path, option_values: Mapping[str, str | None], *, force: bool) -> None:
    from orchestrator.manifest.overlay import DEFAULT_NAME, NAME_PATTERN
    from orchestrator.problems import Problems
    from orchestrator.scaffold import detection, manifests, questions, workflows

    terminal, environment = settings.terminal, settings.environment or DEFAULT_NAME
    if not NAME_PATTERN.match(environment):
        rule = "use lower-case letters, digits and single hyphens"
        raise Problems.from_message(f"invalid environment name `{environment}`", hint=rule)
    guesses = detection.guess_answers(folder)
    manifests_folder = folder / manifests.FOLDER
    if environment != DEFAULT_NAME or (any(manifests_folder.glob("*.y*ml")) and not force):
        tool = questions.validate_answer("tool", option_values.get("tool") or guesses["tool"])
        file_texts = workflows.render_files(tool, environment)
        terminal.print_out(f"Writing only the workflows of {environment}; the manifests stay as they are.")
    else:
        prompt = terminal.prompt if terminal.is_interactive else None
        project_answers = questions.collect_answers(option_values, guesses, prompt, terminal.print_err)
        file_texts = {**manifests.render_files(project_answers), **workflows.render_files(project_answers.tool)}
        if project_answers.api:
            file_texts |= {
                f"{project_answers.api_folder}/{name}": text
                for name, text in template_files(project_answers.api).items()
            }
        manifests.check(file_texts)
    _print_report(terminal, write_missing(folder, file_texts, force=force))


def _print_report(terminal: Terminal, result: WriteResult) -> None:
    """Print which files were written, overwritten and kept, and the next steps."""
    skipped_title = "Kept, because they exist already (--force overwrites them)"
    for title, paths in (
        ("Written", result.created),
        ("Overwritten", result.overwritten),
        (skipped_title, result.skipped),
    ):
        if paths:
            terminal.print_out("\n".join([f"{title}:", *(f"  {path}" for path in paths)]))
    next_steps = (
        "orchestrator validate",
        "git add -A && git commit -m 'Set up deployment' && git push",
        "orchestrator bootstrap github    # once, with an administrator's credentials of AWS and of GitHub",
        "orchestrator doctor              # shows what is still missing",
    )
    terminal.print_out("\nNext:\n" + "\n".join(f"  {step}" for step in next_steps))


class WriteResult(Struct, frozen=True):
    """Files that were created, overwritten and skipped."""

    created: list[Path]
    overwritten: list[Path]
    skipped: list[Path]


def write_missing(folder: Path, file_texts: Mapping[str, str], *, force: bool) -> WriteResult:
    """Write the files that do not exist, or with ``force`` all of them, and return what was done.

    Raises Problems if a file cannot be written.
    """
    from orchestrator.problems import Problems

    result = WriteResult([], [], [])
    for name, text in file_texts.items():
        path = folder / name
        is_present = path.exists() or path.is_symlink()
        if is_present and not force:
            result.skipped.append(path)
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            written = (
                ", ".join(str(written_path) for written_path in (*result.created, *result.overwritten)) or "nothing"
            )
            raise Problems.from_message(
                f"cannot write {path}: {error.strerror}", hint=f"written so far: {written}"
            ) from None
        (result.overwritten if is_present else result.created).append(path)
    return result


def template_files(template: str) -> dict[str, str]:
    """Return the texts of a template's files, by the names to write them under."""
    from importlib.resources import files as package_files

    template_folder = package_files("orchestrator.templates")
    return {
        name: (template_folder / f"{template}.{suffix}").read_text(encoding="utf-8")
        for suffix, name in TEMPLATE_FILES.items()
    }


def write_files(folder: Path, file_texts: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write files into a folder, and return their paths; write none if one exists, unless ``force`` is set.

    Raises Problems if a file exists or cannot be written.
    """
    from orchestrator.problems import Position, Problem, Problems

    paths = {folder / name: text for name, text in file_texts.items()}
    existing_paths = [path for path in paths if path.exists() or path.is_symlink()]
    if existing_paths and not force:
        hint = "pass --force to overwrite it; nothing was written"
        raise Problems(Problem("this file exists already", Position(str(path)), hint) for path in existing_paths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problems.from_message(f"cannot write into {folder}: {error.strerror}") from None
    return list(paths)
