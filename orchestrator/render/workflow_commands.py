"""GitHub Actions workflow commands: annotations and folded groups in a run's log.  Pure.

Source: GitHub's "Workflow commands".  Data is escaped as the runner unescapes it, so a value cannot end the line.
"""

from __future__ import annotations

from orchestrator.problems import Position
from orchestrator.redaction.redact import sanitise


def error(message: str, position: Position | None = None, title: str = "") -> str:
    """An error annotation, at a place in a file when there is one."""
    properties = {"file": position.file, "line": str(position.line), "col": str(position.column)} if position else {}
    if title:
        properties["title"] = title
    property_list = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    return f"::error{f' {property_list}' if property_list else ''}::{_escape_data(message)}"


def warning(message: str) -> str:
    """A warning annotation."""
    return f"::warning::{_escape_data(sanitise(message))}"


def group(title: str) -> str:
    """The line that opens a folded part of the log; ``END_GROUP`` closes it."""
    return f"::group::{_escape_data(sanitise(title))}"


END_GROUP = "::endgroup::"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
