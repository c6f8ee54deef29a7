"""Render the findings as text, annotations and JSON.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from orchestrator.doctor import Finding, FindingState
from orchestrator.problems import Problem
from orchestrator.redaction.redact import sanitise
from orchestrator.render.style import Style

_STATE_STYLES: Final = {"ok": "green", "missing": "alarm", "not checked": "yellow"}
_COLUMN_WIDTHS: Final = (13, 13)


class FindingDocument(TypedDict):
    """One finding; ``fix``, ``file`` and ``line`` are None if there is none."""

    check: str
    state: FindingState
    what: str
    fix: str | None
    file: str | None
    line: int | None


class DoctorDocument(TypedDict):
    """Output of ``orchestrator doctor --format json``.  States are ``ok``, ``missing`` and ``not checked``."""

    environment: str | None
    missing: int
    not_checked: int
    findings: list[FindingDocument]


def render_text(findings: Sequence[Finding], style: Style) -> str:
    """Render one line for each finding with its fix below, and a summary at the end."""
    lines: list[str] = []
    for finding in findings:
        state = style.paint(finding.state.ljust(_COLUMN_WIDTHS[0]), _STATE_STYLES[finding.state])
        location = f"{finding.where}: " if finding.where and finding.state != "ok" else ""
        indent = " " * sum(_COLUMN_WIDTHS)
        first_line, *other_lines = style.wrap(sanitise(f"{location}{finding.message}"), indent)
        lines += [f"{state}{finding.check.ljust(_COLUMN_WIDTHS[1])}{first_line.lstrip()}", *other_lines]
        if finding.fix:
            fix_prefix = f"{indent}{style.paint('fix:', 'cyan')} "
            lines += [
                f"{fix_prefix}{line.lstrip()}" if line_index == 0 else line
                for line_index, line in enumerate(style.wrap(sanitise(finding.fix), f"{indent}     "))
            ]
    return style.replace_unencodable("\n".join([*lines, "", render_summary(findings)]))


def render_summary(findings: Sequence[Finding]) -> str:
    """Return the counts in one or two sentences."""
    missing_count = sum(finding.state == "missing" for finding in findings)
    unchecked_count = sum(finding.state == "not checked" for finding in findings)
    unchecked_note = f" {unchecked_count} could not be checked." if unchecked_count else ""
    if not missing_count:
        return f"Nothing is missing.{unchecked_note}"
    return f"{'1 item is' if missing_count == 1 else f'{missing_count} items are'} missing.{unchecked_note}"


def to_problems(findings: Sequence[Finding]) -> list[Problem]:
    """Return the missing items as problems, for GitHub's annotations."""
    return [
        Problem(finding.message, finding.where, finding.fix or None)
        for finding in findings
        if finding.state == "missing"
    ]


def to_document(findings: Sequence[Finding], environment: str | None) -> DoctorDocument:
    """Return the findings as a JSON document."""
    return {
        "environment": environment,
        "missing": sum(finding.state == "missing" for finding in findings),
        "not_checked": sum(finding.state == "not checked" for finding in findings),
        "findings": [
            {
                "check": finding.check,
                "state": finding.state,
                "what": sanitise(finding.message),
                "fix": sanitise(finding.fix) or None,
                "file": finding.where.file if finding.where else None,
                "line": finding.where.line if finding.where else None,
            }
            for finding in findings
        ],
    }
