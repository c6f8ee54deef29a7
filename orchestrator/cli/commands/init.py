"""``orchestrator init``: write the first files of a project, an environment, or only a Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.changed_environments import RepositoryEnvironment
    from orchestrator.runs.terminal import Terminal
    from orchestrator.scaffold.file_writer import WriteResult

TEMPLATES = ("dotnet", "python", "node", "go")
_ANSWER_OPTIONS = {
    "name": ("NAME", "Name of the project."),
    "repository": ("OWNER/NAME", "Repository on GitHub, OWNER/NAME."),
    "branch": ("NAME", "Branch whose pushes are deployed; by default the repository's default branch."),
    "account": ("ID", "Id of the AWS account."),
    "region": ("REGION", "AWS region, e.g. eu-west-1."),
    "api": ("LANGUAGE", "Language of the API: dotnet, python, node, go, docker (its own Dockerfile) or none."),
    "api-folder": ("FOLDER", "Folder of the API: the build context of its image."),
    "runtime": ("RUNTIME", "Runtime of the API: ecs-express, which works in every account, or app-runner."),
    "database": ("yes|no", "Whether the API has a PostgreSQL database."),
    "secrets": (
        "NAMES",
        "Environment variables of the API that contain generated secrets, separated by commas, or none.",
    ),
    "site": ("FOLDER", "Folder of the built site, or none."),
    "site-build": ("COMMAND", "Command that builds the site, or none."),
    "site-folder": ("FOLDER", "Folder in which the site is built; by default the parent folder of --site."),
    "environments": ("NAMES", "Environments, separated by commas: prod, or staging,prod."),
    "promotion": ("yes|no", "Whether production gets only releases that the previous environment has verified."),
    "email": ("ADDRESS", "E-mail address for alarms, or none."),
    "budget": ("USD", "Monthly cost in USD above which AWS sends e-mails, or none."),
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
    "orchestrator init --add-environment staging --promotion yes",
    "orchestrator init --matrix",
    "orchestrator init --check",
    "orchestrator init --template python --force .",
)
@click.option("--template", type=click.Choice(TEMPLATES), help="Write only a Dockerfile for this kind of application.")
@click.option("--add-environment", metavar="NAME", help="Write only the overlay and the workflows of an environment.")
@click.option(
    "--matrix",
    is_flag=True,
    help="Write only workflows that serve all applications and environments of a repository.",
)
@click.option("--check", is_flag=True, help="Deploy a fresh clone of FOLDER to an emulated AWS, and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@answer_options
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common_options
def command(
    settings: Settings,
    template: str | None,
    add_environment: str | None,
    matrix: bool,
    check: bool,
    force: bool,
    folder: Path,
    **option_values: str | None,
) -> int:
    """Write the first files of a project.

    Inspects FOLDER, reports what it found, and writes manifests, GitHub workflows, a production Dockerfile, .gitignore
    and sections of README.md and AGENTS.md. On a terminal, asks for every value that no option sets. Keeps existing
    files, and lists them. If FOLDER contains manifests, asks nothing and writes only the workflows. With -e or
    --add-environment NAME, writes only the overlay and the workflows of that environment. With --matrix, writes the
    workflows of a repository with several applications or environments. With --template, writes only a Dockerfile and
    its .dockerignore, with a multi-stage build, a non-root user, port 8080 and a health check on /health. With --check,
    deploys a fresh clone to an emulated AWS on this machine, and writes nothing.
    """
    if check:
        from orchestrator.demo import fresh_clone

        return fresh_clone.check(folder, settings.terminal)
    settings.environment = add_environment or settings.environment
    values = {name.replace("_", "-"): value for name, value in option_values.items()}
    if matrix:
        _write_matrix(settings.terminal, folder, values, force=force)
    elif template is not None:
        _write_dockerfile(settings.terminal, template, folder, force=force)
    else:
        _write_project(settings, folder, values, force=force)
    return 0


def _write_dockerfile(terminal: Terminal, template: str, folder: Path, *, force: bool) -> None:
    from orchestrator.scaffold import detection, dockerfiles, file_writer

    api = detection.choose_api(detection.detect(folder), template, ".")
    written = file_writer.write_files(folder, dockerfiles.render_files(api), force=force)
    names = "\n".join(f"  {path}" for path in written)
    build = "image: {repository: NAME, build: {context: FOLDER}}"
    terminal.print_out(f"Written:\n{names}\n\nReview them, then set the folder in a ContainerService:\n  {build}")


def _write_matrix(terminal: Terminal, folder: Path, option_values: Mapping[str, str | None], *, force: bool) -> None:
    """Write the workflows that serve every environment of the repository."""
    from orchestrator.scaffold import detection, file_writer, matrix_workflows, questions

    guesses = detection.guess_answers(folder)
    tool, branch = (
        questions.validate_answer(name, option_values.get(name) or guesses[name]) for name in ("tool", "branch")
    )
    environments = _list_environments(folder)
    folders = dict.fromkeys(item.manifests for item in environments)
    with_promotion = any(item.promotes_from for item in environments)
    texts = matrix_workflows.render_files(tool, branch, folders, with_promotion=with_promotion)
    result = file_writer.write_missing(folder, texts, force=force)
    _print_report(terminal, result, [])
    replaced = sorted(
        path
        for path in (folder / ".github" / "workflows").glob("*.yml")
        if path.name.startswith(("plan-", "deploy-", "drift-")) and path not in result.skipped
    )
    if replaced:
        names = " ".join(str(path) for path in replaced)
        terminal.print_out(f"These workflows replace those of single environments. Delete the old ones: git rm {names}")


def _list_environments(folder: Path) -> list[RepositoryEnvironment]:
    """Return the environments of the repository; none if it is not one yet."""
    from orchestrator.runs import changed_environments

    try:
        return changed_environments.list_environments(folder)
    except Problems:
        return []


def _write_project(settings: Settings, folder: Path, option_values: Mapping[str, str | None], *, force: bool) -> None:
    from orchestrator.manifest.overlay import DEFAULT_NAME
    from orchestrator.scaffold import detection, file_writer, manifests, project_files, questions

    terminal = settings.terminal
    environment = _checked_environment(settings.environment or DEFAULT_NAME)
    detected = detection.detect(folder)
    guesses = detection.guess_answers(folder, detected=detected)
    if environment != DEFAULT_NAME or (any((folder / manifests.FOLDER).glob("*.y*ml")) and not force):
        values = {**guesses, **{name: value for name, value in option_values.items() if value is not None}}
        _write_environment(terminal, folder, environment, values, force=force)
        return
    _print_found(terminal, detection.describe(detected))
    if terminal.is_interactive and not option_values.get("account"):
        guesses["account"] = detection.find_account(guesses["region"])
    prompt = terminal.prompt if terminal.is_interactive else None
    answers = questions.collect_answers(option_values, guesses, prompt, terminal.print_err)
    result = file_writer.write_missing(folder, project_files.render_files(answers, detected), force=force)
    extended = project_files.add_sections(folder, answers, detected)
    _print_report(terminal, result, extended)
    _print_next_steps(terminal, answers.environment_names, answers.branch, answers.email)


def _write_environment(
    terminal: Terminal, folder: Path, environment: str, values: Mapping[str, str], *, force: bool
) -> None:
    """Write the workflows of one environment, and its overlay if the project has manifests and it is not `prod`."""
    from orchestrator.manifest import overlay
    from orchestrator.scaffold import file_writer, manifests, questions, workflows

    tool, branch = (
        questions.validate_answer("tool", values["tool"]),
        questions.validate_answer("branch", values["branch"]),
    )
    if environment == overlay.DEFAULT_NAME or not (folder / manifests.FOLDER).is_dir():
        file_texts = workflows.render_files(tool, environment, branch)
        terminal.print_out(f"Writing only the workflows of {environment}; the manifests are not changed.")
        _print_report(terminal, file_writer.write_missing(folder, file_texts, force=force), [])
        _print_next_steps(terminal, (environment,), branch, "")
    else:
        promotes = questions.validate_answer("promotion", values.get("promotion", "no")) == "yes"
        target = _add_environment(terminal, folder, environment, (tool, branch), promotes=promotes, force=force)
        _print_next_steps(terminal, (environment, *([target] if target else [])), branch, "")


def _add_environment(
    terminal: Terminal, folder: Path, environment: str, source: tuple[str, str], *, promotes: bool, force: bool
) -> str:
    """Write an environment's own files, and what the environments share; ``source`` is the tool and the branch.

    Returns the environment that its releases are promoted to, or "".
    """
    from orchestrator.scaffold import added_environment, file_writer, manifests, project_files, questions

    tool, branch = source
    names = added_environment.list_names(folder)
    others = tuple(name for name in names if name != environment)
    promotion = (environment, questions.find_production(others)) if promotes else None
    has_database = (folder / manifests.FOLDER / "database.yaml").exists()
    promoted_to = promotion[1] if promotion else ""
    own_texts = project_files.render_environment(
        environment, tool, branch, names, has_database=has_database, promoted_to=promoted_to
    )
    shared = added_environment.update(folder, tool, others, environment, promotion)
    terminal.print_out(f"Writing only the overlay and workflows of {environment}; the other manifests are not changed.")
    _print_report(terminal, file_writer.write_missing(folder, own_texts, force=force), [])
    _print_report(terminal, file_writer.write_missing(folder, shared.texts, force=True), [])
    for instruction in shared.instructions:
        terminal.print_out(f"Change manually: {instruction}")
    return promoted_to


def _checked_environment(name: str) -> str:
    from orchestrator.manifest.overlay import MAX_NAME_LENGTH, NAME_PATTERN
    from orchestrator.problems import Problems

    if not NAME_PATTERN.match(name) or len(name) > MAX_NAME_LENGTH:
        rule = f"use lower-case letters, digits and single hyphens, at most {MAX_NAME_LENGTH} characters"
        raise Problems.from_message(f"invalid environment name `{name}`", hint=rule)
    return name


def _print_found(terminal: Terminal, lines: list[str]) -> None:
    found = (
        "\n".join(f"  {line}" for line in lines)
        or "  no application. For an API, pass --api and --api-folder. For a site, pass --site."
    )
    terminal.print_out(f"Found:\n{found}\n")


def _print_report(terminal: Terminal, result: WriteResult, extended: list[Path]) -> None:
    """Print which files were written, overwritten and kept."""
    skipped_title = "Kept, because they already exist (use --force to overwrite them)"
    for title, paths in (
        ("Written", result.created),
        ("Overwritten", result.overwritten),
        (skipped_title, result.skipped),
        ("Added a section about deployment to", extended),
    ):
        if paths:
            terminal.print_out("\n".join([f"{title}:", *(f"  {path}" for path in paths)]))


def _print_next_steps(terminal: Terminal, environments: tuple[str, ...], branch: str, email: str) -> None:
    """Print the steps to the first deploy, in an order that works: a push to the branch deploys."""
    from orchestrator.manifest.overlay import DEFAULT_NAME

    options = ["" if environments == (DEFAULT_NAME,) else f" -e {name}" for name in environments]
    steps = [
        (
            "orchestrator validate && orchestrator init --check",
            "check on this machine that a fresh clone can be deployed",
        ),
        *(
            (f"orchestrator bootstrap github{option}", "once, as an administrator of AWS and of the repository")
            for option in options
        ),
        ("git add -A && git commit -m 'Set up deployment'", "on a branch, or for the first deploy on " + branch),
        ("git push", f"then merge into {branch}: every push to that branch is deployed"),
        *((f"orchestrator doctor{option}", "check these steps, and list what is missing") for option in options),
    ]
    if email:
        steps.append((f"open the e-mails to {email}", "and confirm the subscriptions to alarms after the first deploy"))
    width = max(len(step) for step, _ in steps)
    lines = [f"  {number}. {step:{width}}  # {reason}" for number, (step, reason) in enumerate(steps, start=1)]
    terminal.print_out("\nNext:\n" + "\n".join(lines))
