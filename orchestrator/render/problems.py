"""Problems for people, for GitHub's annotations, and for log collectors.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.problems import Problem
from orchestrator.redaction.redact import safe
from orchestrator.render import workflow_commands
from orchestrator.render.style import Style


def text(problems: Sequence[Problem], style: Style) -> str:
    """``file:line:column: message``, each with its hint below; counted when there are several."""
    lines: list[str] = []
    for problem in problems:
        place = style.paint(f"{safe(str(problem.where))}:", "bold") if problem.where else style.paint("error:", "alarm")
        lines.append(f"{place} {safe(problem.message)}")
        if problem.hint:
            lines.append(f"    {style.paint('hint:', 'cyan')} {safe(problem.hint)}")
    if len(problems) > 1:
        lines.append(f"{len(problems)} problems.")
    return style.fit("\n".join(lines))


def commands(problems: Sequence[Problem]) -> str:
    """One ``::error`` line a problem, with its place."""
    return "\n".join(
        workflow_commands.error(
            safe(problem.message) + (f"\nhint: {safe(problem.hint)}" if problem.hint else ""), problem.where
        )
        for problem in problems
    )


def records(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """One JSON object a problem."""
    return [
        {
            "event": "problem",
            "level": "error",
            "message": safe(problem.message),
            "hint": safe(problem.hint) if problem.hint else None,
            "file": problem.where.file if problem.where else None,
            "line": problem.where.line if problem.where else None,
            "column": problem.where.column if problem.where else None,
        }
        for problem in problems
    ]
