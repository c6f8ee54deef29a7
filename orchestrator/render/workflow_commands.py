"""Build GitHub Actions workflow commands: annotations and log groups.  Pure.

Source: GitHub's "Workflow commands".  Data is escaped as the runner unescapes it, so a value cannot end the line.
"""

from __future__ import annotations

from orchestrator.problems import Position
from orchestrator.redaction.redact import sanitise


def error(message: str, position: Position | None = None, title: str = "") -> str:
    """Return an error annotation, at a position in a file if given."""
    properties = {"file": position.file, "line": str(position.line), "col": str(position.column)} if position else {}
    if title:
        properties["title"] = title
    property_list = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    return f"::error{f' {property_list}' if property_list else ''}::{_escape_data(message)}"


def warning(message: str) -> str:
    """Return a warning annotation."""
    return f"::warning::{_escape_data(sanitise(message))}"


def group(title: str) -> str:
    """Return the line that opens a log group; ``END_GROUP`` closes it."""
    return f"::group::{_escape_data(sanitise(title))}"


END_GROUP = "::endgroup::"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
