"""One broken rule of a schema, with what is needed to talk about it: place, name, value, example.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.manifest import secret_scan
from orchestrator.manifest.document import Declared, Path, written
from orchestrator.problems import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


class Complaint:
    """One broken rule of one declared component, with what is needed to talk about it."""

    def __init__(self, error: ValidationError, declared: Declared) -> None:
        self.error = error
        self.declared = declared
        self.path: Path = tuple(error.absolute_path)
        self.value: Any = error.instance
        self.name = written(self.path)
        self.rule: Any = error.validator_value
        self.schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}

    def problem(self, message: str, hint: str | None = None, *, path: Path | None = None, key: bool = False) -> Problem:
        """The problem, at the value it is about."""
        return Problem(message, self.declared.where(self.path if path is None else path, key=key), hint)

    @property
    def shown(self) -> str:
        """The offending value, short, and never a secret."""
        return show(self.path, self.value)

    @property
    def example(self) -> str | None:
        """The first example of the schema, as a hint."""
        examples = self.schema.get("examples")
        return f"for example: {inline(examples[0])}" if examples else None

    @property
    def called(self) -> str:
        """What the offending value is, for "must be ..., not ..."."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return f"the text {self.shown}" if isinstance(self.value, str) else self.shown


def show(path: Path, value: Any) -> str:
    """A value in a message: short, in backquotes, never a secret."""
    if isinstance(value, str) and secret_scan.reason(path, value):
        return "this value"
    text = inline(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
