"""GitHub Actions workflow commands: annotations and folded groups in a run's log.  Pure.

Source: GitHub's "Workflow commands".  Data is escaped as the runner unescapes it, so a value cannot end the line.
"""

from __future__ import annotations

from orchestrator.problems import Position
from orchestrator.redaction.redact import safe


def error(message: str, where: Position | None = None, title: str = "") -> str:
    """An error annotation, at a place in a file when there is one."""
    properties = {"file": where.file, "line": str(where.line), "col": str(where.column)} if where else {}
    if title:
        properties["title"] = title
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::error{f' {said}' if said else ''}::{_data(message)}"


def warning(message: str) -> str:
    """A warning annotation."""
    return f"::warning::{_data(safe(message))}"


def group(title: str) -> str:
    """The line that opens a folded part of the log; ``END_GROUP`` closes it."""
    return f"::group::{_data(safe(title))}"


END_GROUP = "::endgroup::"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
