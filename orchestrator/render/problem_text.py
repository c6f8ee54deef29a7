"""Render problems as text, as GitHub annotations, and as log entries.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.problems import Problem
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise, sanitise_lines
from orchestrator.render import workflow_commands
from orchestrator.render.style import Style


def render_text(problems: Sequence[Problem], style: Style) -> str:
    """Return ``file:line:column: message`` lines with their hints, and a count if there are several.

    The further lines of a message, such as a program's output, are indented.
    """
    lines: list[str] = []
    for problem in problems:
        prefix = (
            style.paint(f"{sanitise(str(problem.where))}:", "bold") if problem.where else style.paint("error:", "alarm")
        )
        lines.append(f"{prefix} {sanitise_lines(problem.message)}".replace("\n", "\n    "))
        if problem.hint:
            lines.append(f"    {style.paint('hint:', 'cyan')} {sanitise(problem.hint)}")
    if len(problems) > 1:
        lines.append(f"{format_count(len(problems), 'problem')}.")
    return style.replace_unencodable("\n".join(lines))


def render_annotations(problems: Sequence[Problem]) -> str:
    """Return one ``::error`` line per problem, with its position."""
    return "\n".join(
        workflow_commands.error(
            sanitise_lines(problem.message) + (f"\nhint: {sanitise(problem.hint)}" if problem.hint else ""),
            problem.where,
        )
        for problem in problems
    )


def to_log_entries(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """Return one JSON object per problem."""
    return [
        {
            "event": "problem",
            "level": "error",
            "message": sanitise_lines(problem.message),
            "hint": sanitise(problem.hint) if problem.hint else None,
            "file": problem.where.file if problem.where else None,
            "line": problem.where.line if problem.where else None,
            "column": problem.where.column if problem.where else None,
        }
        for problem in problems
    ]
