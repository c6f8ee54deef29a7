"""YAML nodes -> plain JSON values, with YAML's surprises named.

YAML 1.1 reads ``22:30`` as 1350 and ``010`` as 8; two equal keys silently become one.  None of it passes here.
Keys are always text, as written; dates stay text.  Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from orchestrator.manifest.document import position
from orchestrator.problems import Problem

MOST_VALUES = 20_000
LONGEST_NUMBER = 40
_TAG = "tag:yaml.org,2002:"
MERGE = f"{_TAG}merge"
_OCTAL = re.compile(r"[-+]?0[0-7_]+\Z")


class Converter:
    """Converts the nodes of one file; ``problems`` grows as they are met."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node) -> Any:
        """The JSON value of a node.  Aliases are copied, up to a limit and never into themselves."""
        self._values += 1
        if self._values > MOST_VALUES:
            if self._values == MOST_VALUES + 1:
                self._report(node, f"more than {MOST_VALUES} values in one file, aliases counted", "split the file")
            return None
        if id(node) in self._open:
            self._report(node, "an alias stands inside of its own anchor", "write the value out")
            return None
        self._open.add(id(node))
        try:
            return self._kinds[type(node)](self, node)
        finally:
            self._open.discard(id(node))

    def _report(self, node: yaml.Node, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, position(self.file, node), hint))

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        self._expect_tag(node, "map")
        self._check_keys(node)
        return {key.value: self.value(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, "a key must be text, not a list or a mapping")
            elif key.tag == MERGE:
                self._report(key, "`<<` merges nothing here", "write the keys out; environments/ has what differs")
            elif key.value in seen:
                first = position(self.file, seen[key.value])
                message = f"the key `{_cut(key.value)}` is there twice; first at {first}"
                self._report(key, message, "keep one of the two")
            else:
                seen[key.value] = key

    def _sequence(self, node: yaml.SequenceNode) -> list[Any]:
        self._expect_tag(node, "seq")
        return [self.value(item) for item in node.value]

    def _expect_tag(self, node: yaml.Node, name: str) -> None:
        if node.tag != _TAG + name:
            shown = node.tag.replace(_TAG, "!!")
            self._report(node, f"the tag `{shown}` means nothing here", "remove the tag; manifests are plain YAML")

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        reader = _SCALARS.get(node.tag.removeprefix(_TAG))
        if reader is None:
            self._expect_tag(node, "str")
            return node.value
        try:
            value, surprise = reader(node.value)
        except ValueError:
            value, surprise = node.value, "cannot be read as a number"
        if surprise:
            self._report(node, f"`{_cut(node.value)}` {surprise}", f'quote it: "{_cut(node.value)}"')
        return value

    _kinds: dict[type[yaml.Node], Callable[[Converter, Any], Any]] = {  # noqa: RUF012 - never written to
        yaml.MappingNode: _mapping,
        yaml.SequenceNode: _sequence,
        yaml.ScalarNode: _scalar,
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_NUMBER else f"{text[:LONGEST_NUMBER]}..."


def _integer(text: str) -> tuple[int, str]:
    digits = text.replace("_", "").lower()
    if ":" in digits:
        number = _base_60(digits)
        return int(number), f"is read by YAML as the number {int(number)} (base 60)"
    if len(digits) > LONGEST_NUMBER:
        return 0, "is too long for a number"
    if _OCTAL.match(text):
        number = int(digits, 8)
        return number, f"is read by YAML as the number {number} (octal)"
    return int(digits, 0), ""


def _float(text: str) -> tuple[float, str]:
    digits = text.replace("_", "").lower()
    if ":" in digits:
        return _base_60(digits), f"is read by YAML as the number {_base_60(digits):g} (base 60)"
    number = float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    return (number, "") if math.isfinite(number) else (0.0, "is no number that JSON or AWS know")


def _base_60(digits: str) -> float:
    sign = -1 if digits.startswith("-") else 1
    total = 0.0
    for part in digits.lstrip("+-").split(":"):
        total = total * 60 + float(part)
    if not math.isfinite(total):
        raise ValueError(digits[:LONGEST_NUMBER])
    return sign * total


_SCALARS: dict[str, Callable[[str], tuple[Any, str]]] = {
    "str": lambda text: (text, ""),
    "null": lambda text: (None, ""),
    "bool": lambda text: (text.lower() in {"true", "yes", "on"}, ""),
    "int": _integer,
    "float": _float,
    "timestamp": lambda text: (text, ""),
    "value": lambda text: (text, ""),
    "merge": lambda text: (text, ""),
}
