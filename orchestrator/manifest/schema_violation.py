"""One broken rule of a schema, with what is needed to talk about it: place, name, value, example.  Pure."""

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
    """One broken rule of one declared component, with what is needed to talk about it."""

    def __init__(self, error: ValidationError, declaration: Declaration) -> None:
        self.error = error
        self.declaration = declaration
        self.path: Path = tuple(error.absolute_path)
        self.value: Any = error.instance
        self.name = format_path(self.path)
        self.rule_value: Any = error.validator_value
        self.schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}

    def problem(self, message: str, hint: str | None = None, *, path: Path | None = None, key: bool = False) -> Problem:
        """The problem, at the value it is about."""
        return Problem(message, self.declaration.where(self.path if path is None else path, key=key), hint)

    @property
    def formatted_value(self) -> str:
        """The offending value, short, and never a secret."""
        return format_value(self.path, self.value)

    @property
    def example_hint(self) -> str | None:
        """The first example of the schema, as a hint."""
        examples = self.schema.get("examples")
        return f"for example: {format_inline(examples[0])}" if examples else None

    @property
    def value_description(self) -> str:
        """What the offending value is, for "must be ..., not ..."."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return f"the text {self.formatted_value}" if isinstance(self.value, str) else self.formatted_value


def format_value(path: Path, value: Any) -> str:
    """A value in a message: short, in backquotes, never a secret."""
    if isinstance(value, str) and secret_scan.detect_secret_type(path, value):
        return "this value"
    text = format_inline(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def format_inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
