"""The result of a command as one JSON document, for programs: ``--format json`` of commands without data of their own.

The output is captured while the command runs; progress and prompts stay on standard error.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import click
from msgspec import Struct

from orchestrator.problems import Problem
from orchestrator.runs.settings import Settings
from orchestrator.runs.terminal import Terminal


class ProblemDocument(Struct, frozen=True):
    """One problem; ``hint``, ``file``, ``line`` and ``column`` are None if there is none."""

    message: str
    hint: str | None
    file: str | None
    line: int | None
    column: int | None


class CommandResult(Struct, frozen=True):
    """Output of a command with ``--format json``: its exit code, the lines of its output, and its problems."""

    command: str
    exit_code: int
    output: tuple[str, ...]
    problems: tuple[ProblemDocument, ...]


def build_result_option() -> click.Option:
    """Return ``--format text|json``, which captures the output of the command for its result."""
    return click.Option(
        ["--format"],
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        expose_value=False,
        is_eager=True,
        callback=_capture_output,
        help="Format of the output. `json` prints one document at the end: exit code, output and problems.",
    )


def print_result(settings: Settings, exit_code: int, problems: Sequence[Problem]) -> None:
    """Print the result of a command whose output was captured; nothing otherwise."""
    if settings.captured_output is None:
        return
    from orchestrator import canonical_json
    from orchestrator.render import problem_text

    result = CommandResult(
        settings.command_name,
        exit_code,
        tuple(settings.captured_output.getvalue().splitlines()),
        tuple(
            ProblemDocument(*(entry[name] for name in ProblemDocument.__struct_fields__))  # type: ignore[arg-type]
            for entry in problem_text.to_log_entries(problems)
        ),
    )
    Terminal.from_environment().print_out(canonical_json.dump(result).decode())


def _capture_output(context: click.Context, _option: click.Parameter, value: Any) -> None:
    settings: Settings = context.ensure_object(Settings)
    settings.command_name = context.command_path
    settings.captured_output = io.StringIO() if value == "json" else None
