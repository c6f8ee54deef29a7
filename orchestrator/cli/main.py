"""The command ``orchestrator``: run one command, and turn every error into a message and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import orchestrator
from orchestrator import process_lifecycle
from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.runs.settings import Settings

COMMANDS = {
    "init": "Write the first files of a project.",
    "bootstrap": "Set up AWS roles and GitHub settings for the workflows.",
    "doctor": "Check the set-up, and print how to fix what is missing.",
    "rehearse": "Create, change and delete a small stack in an account, and record AWS's responses.",
    "validate": "Check the manifests offline.",
    "render": "Print the merged manifests of one environment.",
    "explain": "Explain a manifest field.",
    "cost": "Estimate the monthly cost of the stack that the manifests define.",
    "review": "Print a page for a monthly review, as Markdown.",
    "outlook": "List upcoming dates: cost changes, upgrades by AWS, outdated actions.",
    "prices": "Download AWS's current list prices, and show the prices that estimates use.",
    "plan": "Show what would change in AWS. Changes nothing.",
    "apply": "Make AWS match the manifests.",
    "deploy": "Build, apply and verify a release, and record it.",
    "promote": "Deploy a release that another environment has verified, with the same digests.",
    "rollback": "Roll back to an earlier release, completely or in parts.",
    "restore": "Restore lost data.",
    "migrate": "Copy existing data into the project, and verify that it arrived.",
    "verify": "Check that a database and its files match.",
    "releases": "List the releases, and show which can be restored.",
    "live": "Show whether a pull request or commit is live.",
    "unpin": "Unpin what a rollback pinned, so that the next deploy includes it.",
    "unlock": "Release the lock of a run that is stuck or was killed.",
    "blame": "Name the component at fault in a rolled-back release.",
    "status": "Show the current release and the health of every component on one screen.",
    "logs": "Print the logs of a service's containers.",
    "open": "Open the site, a service, the dashboard or the AWS console in a browser.",
    "exec": "Run a command in a container of a service.",
    "console": "Open a psql prompt on a database.",
    "graph": "Draw the dependencies between components.",
    "drift": "Show where AWS differs from the manifests.",
    "adopt": "Adopt the existing AWS resources of components that the manifests declare.",
    "secret": "Store, list and remove external secret values, and rotate generated ones.",
    "model": "Show the model in use, and whether to retrain it.",
    "hibernate": "Pause services and stop databases while nobody needs them.",
    "wake": "Wake a hibernated environment, and change nothing else.",
    "destroy": "Delete all resources of one environment.",
    "eject": "Write the files that import a stack into Terraform or CloudFormation.",
    "emulator": "Run an emulated AWS on this machine.",
    "github": "Plan, deploy, promote, roll back and check drift in GitHub Actions.",
    "serve": "Run the state service, which records runs and releases.",
    "token": "Create, list and revoke tokens of the state service.",
    "history": "Verify, export and import the state service's history.",
    "demo": "Plan, deploy, break, roll back and restore on an emulated AWS.",
    "mcp": "Give a coding agent read-only access to the project.",
    "upgrade": "Compare the versions in use with the published versions, or upgrade a database.",
    "completion": "Print the completion script for a shell.",
}
"""The commands and their summaries in ``--help``, which imports none of their modules."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"orchestrator.cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close_matches = difflib.get_close_matches(args[0], COMMANDS, 1)
            suggestion = f"; did you mean {close_matches[0]!r}?" if close_matches else ""
            raise click.UsageError(f"unknown command {args[0]!r}{suggestion}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `orchestrator demo`, which needs no AWS account.",
)
@click.version_option(orchestrator.__version__, prog_name="orchestrator")
def cli() -> None:
    """GitOps for one AWS account: manifests in git, a plan on the pull request, a verified release on merge."""


def main(arguments: Sequence[str] | None = None, command: click.Command = cli) -> int:
    """Run ``arguments`` and return the exit code.  Without them, run the process's command line and exit."""
    if arguments is None:
        process_lifecycle.tune_gc()
        process_lifecycle.flush_and_exit(_run(None, command))
    return _run(arguments, command)


def _run(arguments: Sequence[str] | None, command: click.Command) -> int:
    settings = Settings()
    problems: list[Problem] = []
    exit_code = _run_command(arguments, command, settings, problems)
    if settings.captured_output is not None:
        from orchestrator.cli import command_result

        command_result.print_result(settings, exit_code, problems)
    return exit_code


def _run_command(
    arguments: Sequence[str] | None, command: click.Command, settings: Settings, collected: list[Problem]
) -> int:
    """Run a command, print its problems, add them to ``collected``, and return the exit code."""
    try:
        exit_code = command.main(args=arguments, prog_name="orchestrator", obj=settings, standalone_mode=False)
        return int(exit_code or ExitCode.OK)
    except Problems as problems:
        collected += problems.problems
        _print_problems(problems, settings)
        return int(problems.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        settings.terminal.print_out(error.format_message())
        return ExitCode.OK
    except click.ClickException as error:
        _print_problems(Problems([_usage_problem(error)]), settings)
        return ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        settings.terminal.print_err(
            "Interrupted. Run the same command again: it continues from the current state of AWS."
        )
        return ExitCode.INTERRUPTED
    except RecursionError:  # only documents from outside are nested that deeply
        problem = Problem("a YAML or JSON document is nested too deeply", hint="reduce its levels of nesting")
        _print_problems(Problems([problem]), settings)
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - last resort: a user must not see a traceback
        from orchestrator.cli import crash_report

        settings.terminal.print_err(crash_report.report(error, sys.argv[1:], verbose=settings.verbose))
        return ExitCode.FAILED


def _usage_problem(error: click.ClickException) -> Problem:
    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context else None
    message = error.format_message()
    return Problem(message[:1].lower() + message[1:].removesuffix("."), hint=hint)


def _print_problems(error: Problems, settings: Settings) -> None:
    """Print the problems to standard error as text or JSON, and as annotations in GitHub Actions."""
    from orchestrator.render import problem_text

    terminal = settings.terminal
    if settings.log_format == "json":
        import json

        for record in problem_text.to_log_entries(error.problems):
            terminal.print_err(json.dumps(record, ensure_ascii=False))
    else:
        terminal.print_err(problem_text.render_text(error.problems, terminal.style))
    if terminal.is_github_actions:
        terminal.print_err(problem_text.render_annotations(error.problems))
