"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.cli.value_completion import complete_environment, complete_target
from orchestrator.runs.reporter import MAX_WAIT_SECONDS, RunOptions
from orchestrator.runs.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def common_options(function: F) -> F:
    """Add ``-f -e --verbose --log-format --no-color``; the command receives them as its first argument."""

    @click.option(
        "-f",
        "--manifests",
        type=click.Path(path_type=Path),
        default=Path("manifests"),
        show_default=True,
        envvar="ORCHESTRATOR_MANIFESTS",
        help="Folder of the manifests.",
    )
    @click.option(
        "-e",
        "--environment",
        envvar="ORCHESTRATOR_ENVIRONMENT",
        shell_complete=complete_environment,
        help="Environment, e.g. prod.",
    )
    @click.option("--verbose", is_flag=True, help="Show every field, log every action, and print tracebacks.")
    @click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", help="Format of the log on stderr."
    )
    @click.option("--no-color", is_flag=True, help="Print without colours (same as setting NO_COLOR).")
    @click.pass_context
    @functools.wraps(function)
    def wrapper(context: click.Context, /, no_color: bool, **options: Any) -> Any:
        settings: Settings = context.ensure_object(Settings)
        for name in ("manifests", "environment", "verbose", "log_format"):
            setattr(settings, name, options.pop(name))
        settings.set_terminal(no_colour=no_color)
        if log := settings.create_logger():
            log.debug(
                "command_started",
                command=context.info_name,
                manifests=str(settings.manifests),
                environment=settings.environment,
            )
        return function(settings, **options)

    return wrapper  # type: ignore[return-value]


def project_options(function: F) -> F:
    """Add the common options to a command that needs an environment; on a terminal, ask which one of several."""

    @common_options
    @functools.wraps(function)
    def wrapper(settings: Settings, *args: Any, **options: Any) -> Any:
        settings.choose_environment()
        return function(settings, *args, **options)

    return wrapper  # type: ignore[return-value]


def format_option(
    *formats: str, help_text: str = "Format of the output.", name: str = "output_format"
) -> Callable[[F], F]:
    """Return a decorator that adds ``--format`` with these choices, of which the first is the default."""
    return click.option(
        "--format", name, type=click.Choice(formats), default=formats[0], show_default=True, help=help_text
    )


def build_job_options(function: F) -> F:
    """Add ``--built`` and ``--build-job``; the command receives the build job of its run, or None, as ``build``."""

    @click.option(
        "--built",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="ORCHESTRATOR_BUILT",
        help="Folder of the sites and images that `github build` built. Without it, this command builds them.",
    )
    @click.option(
        "--build-job",
        default="",
        envvar="ORCHESTRATOR_BUILD_JOB",
        metavar="JSON",
        help="Result and outputs of the job that ran `github build`, as GitHub's `toJSON(needs.build)`.",
    )
    @functools.wraps(function)
    def wrapper(settings: Settings, *, built: Path | None, build_job: str, **options: Any) -> Any:
        from orchestrator.github.build_job import BuildJob

        build = BuildJob.parse(built, build_job) if built is not None else None
        return function(settings, build=build, **options)

    return wrapper  # type: ignore[return-value]


def plan_options(function: F) -> F:
    """Add ``--target`` and ``--allow``, for commands that plan."""
    target = click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="ADDRESS",
        shell_complete=complete_target,
        help="Limit the plan to this resource or component and its dependencies.",
    )
    allow = click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
    return target(allow(function))


def apply_options(function: F) -> F:
    """Add ``--expect``, ``--auto-approve`` and ``--parallelism``, for commands that change AWS."""
    expect = click.option("--expect", default="", metavar="DIGEST", help="Apply only the plan with this digest.")
    approve = click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
    parallel = click.option(
        "--parallelism",
        type=click.IntRange(1, 64),
        default=16,
        show_default=True,
        help="Maximum number of changes in progress at once.",
    )
    return expect(approve(parallel(function)))


def run_options(function: F) -> F:
    """Add ``--wait`` and ``--without-record``; the command receives them as ``run_options``."""

    @click.option("--wait", is_flag=True, help="Wait in the queue for the lock instead of failing.")
    @click.option(
        "--without-record", is_flag=True, help="Do not contact the state service; keep a journal to import later."
    )
    @functools.wraps(function)
    def wrapper(*args: Any, wait: bool, without_record: bool, **arguments: Any) -> Any:
        options = RunOptions(without_record, MAX_WAIT_SECONDS if wait else 0.0)
        return function(*args, run_options=options, **arguments)

    return wrapper  # type: ignore[return-value]


def data_options(function: F) -> F:
    """Add ``--auto-approve`` and the options of a run, for commands that copy or restore data.

    The command receives them as ``approval`` and ``run_options``.
    """

    @click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
    @run_options
    @functools.wraps(function)
    def wrapper(*args: Any, auto_approve: bool, expect: str = "", **arguments: Any) -> Any:
        from orchestrator.runs.approval import Approval

        return function(*args, approval=Approval(None, expect, auto_approve), **arguments)

    return wrapper  # type: ignore[return-value]


def ca_option(function: F) -> F:
    """Add ``--ca``; the command receives the absolute path as ``ca_file``, "" without it."""

    @click.option(
        "--ca",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        metavar="FILE",
        help="CA certificates for the database server, such as the RDS bundle.",
    )
    @functools.wraps(function)
    def wrapper(*args: Any, ca: Path | None, **arguments: Any) -> Any:
        return function(*args, ca_file=str(ca.resolve()) if ca else "", **arguments)

    return wrapper  # type: ignore[return-value]


def via_option(function: F) -> F:
    """Add ``--via``, for commands that connect to a Database; the command receives it as ``via``."""
    return click.option(
        "--via",
        default="direct",
        show_default=True,
        metavar="direct|vpc|SERVICE",
        help="How to reach the Database: directly, through a task in its network, or through a service on ECS Express.",
    )(function)


def plan_only_option(function: F) -> F:
    """Add ``--plan``; the command receives it as ``plan_only``."""
    return click.option("--plan", "plan_only", is_flag=True, help="Show what would change; change nothing.")(function)
