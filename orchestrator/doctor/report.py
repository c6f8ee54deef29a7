"""What was found, for people and for programs.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orchestrator.doctor import Finding
from orchestrator.problems import Problem
from orchestrator.redaction.redact import safe
from orchestrator.render.style import Style

_LOOKS: Final = {"ok": "green", "missing": "alarm", "not checked": "yellow"}
_WIDTHS: Final = (13, 13)


def text(findings: Sequence[Finding], style: Style) -> str:
    """One line each, its fix below, and the sum at the end."""
    lines: list[str] = []
    for each in findings:
        state = style.paint(each.state.ljust(_WIDTHS[0]), _LOOKS[each.state])
        place = f"{each.where}: " if each.where and each.state != "ok" else ""
        indent = " " * sum(_WIDTHS)
        first, *others = style.wrap(safe(f"{place}{each.what}"), indent)
        lines += [f"{state}{each.check.ljust(_WIDTHS[1])}{first.lstrip()}", *others]
        if each.fix:
            lead = f"{indent}{style.paint('fix:', 'cyan')} "
            lines += [
                f"{lead}{line.lstrip()}" if number == 0 else line
                for number, line in enumerate(style.wrap(safe(each.fix), f"{indent}     "))
            ]
    return style.fit("\n".join([*lines, "", summary(findings)]))


def summary(findings: Sequence[Finding]) -> str:
    """In a sentence."""
    lacking = sum(each.state == "missing" for each in findings)
    dark = sum(each.state == "not checked" for each in findings)
    unlit = f" {dark} could not be checked." if dark else ""
    if not lacking:
        return f"Nothing is missing.{unlit}"
    return f"{'1 thing is' if lacking == 1 else f'{lacking} things are'} missing.{unlit}"


def problems(findings: Sequence[Finding]) -> list[Problem]:
    """What is missing, as GitHub's annotations want it."""
    return [Problem(each.what, each.where, each.fix or None) for each in findings if each.state == "missing"]


def document(findings: Sequence[Finding], environment: str | None) -> dict[str, Any]:
    """For programs."""
    return {
        "environment": environment,
        "missing": sum(each.state == "missing" for each in findings),
        "not_checked": sum(each.state == "not checked" for each in findings),
        "findings": [
            {
                "check": each.check,
                "state": each.state,
                "what": safe(each.what),
                "fix": safe(each.fix) or None,
                "file": each.where.file if each.where else None,
                "line": each.where.line if each.where else None,
            }
            for each in findings
        ],
    }
