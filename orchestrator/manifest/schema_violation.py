"""Describe one violation of a schema: its position, field name, value and example.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.manifest import secret_scan
from orchestrator.manifest.document import Declaration, Path, format_path
from orchestrator.problems import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


class Violation:
    """One violation of a component's schema, with the parts of a message about it."""

    def __init__(self, error: ValidationError, declaration: Declaration) -> None:
        self.error = error
        self.declaration = declaration
        self.path: Path = tuple(error.absolute_path)
        self.value: Any = error.instance
        self.name = format_path(self.path)
        self.rule_value: Any = error.validator_value
        self.schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}

    def problem(self, message: str, hint: str | None = None, *, path: Path | None = None, key: bool = False) -> Problem:
        """Return a problem at the position of the value, or at ``path``."""
        return Problem(message, self.declaration.where(self.path if path is None else path, key=key), hint)

    @property
    def formatted_value(self) -> str:
        """The invalid value, shortened, and never a secret."""
        return format_value(self.path, self.value)

    @property
    def example_hint(self) -> str | None:
        """Hint with the first example of the schema, or None."""
        examples = self.schema.get("examples")
        return f"for example: {format_inline(examples[0])}" if examples else None

    @property
    def value_description(self) -> str:
        """Description of the invalid value, for "must be ..., not ..."."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return f"the text {self.formatted_value}" if isinstance(self.value, str) else self.formatted_value


def format_value(path: Path, value: Any) -> str:
    """Return a value for a message: shortened, in backticks, never a secret."""
    if isinstance(value, str) and secret_scan.detect_secret_type(path, value):
        return "this value"
    text = format_inline(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def format_inline(value: Any) -> str:
    """Return text unchanged and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
