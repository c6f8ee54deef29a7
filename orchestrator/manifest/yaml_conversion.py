"""Convert YAML nodes to plain JSON values, and report the values that YAML reads unexpectedly.  Pure.

YAML 1.1 reads ``22:30`` as 1350 and ``010`` as 8, and merges duplicate keys silently; all of these are problems here.
Keys stay text, as written, and so do dates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from orchestrator.manifest.document import node_position
from orchestrator.problems import Problem

MAX_VALUES = 20_000
MAX_NUMBER_LENGTH = 40
_TAG_PREFIX = "tag:yaml.org,2002:"
MERGE_TAG = f"{_TAG_PREFIX}merge"
_OCTAL_PATTERN = re.compile(r"[-+]?0[0-7_]+\Z")


class NodeConverter:
    """Converts the nodes of one file and collects ``problems``."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._open_node_ids: set[int] = set()
        self._value_count = 0

    def to_value(self, node: yaml.Node) -> Any:
        """Return the JSON value of a node.  Aliases are copied, up to a limit and never into themselves."""
        self._value_count += 1
        if self._value_count > MAX_VALUES:
            if self._value_count == MAX_VALUES + 1:
                self._report(node, f"more than {MAX_VALUES} values in one file (aliases included)", "split the file")
            return None
        if id(node) in self._open_node_ids:
            self._report(node, "an alias is inside its own anchor", "replace the alias with the value")
            return None
        self._open_node_ids.add(id(node))
        try:
            return self._converters[type(node)](self, node)
        finally:
            self._open_node_ids.discard(id(node))

    def _report(self, node: yaml.Node, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, node_position(self.file, node), hint))

    def _convert_mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        self._expect_tag(node, "map")
        self._check_keys(node)
        return {key.value: self.to_value(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _check_keys(self, node: yaml.MappingNode) -> None:
        keys: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, "a key must be text, not a list or a mapping")
            elif key.tag == MERGE_TAG:
                self._report(
                    key,
                    "merge keys (`<<`) are not supported",
                    "write each key explicitly; put differences in environments/",
                )
            elif key.value in keys:
                first_position = node_position(self.file, keys[key.value])
                message = f"duplicate key `{_truncate(key.value)}`; first at {first_position}"
                self._report(key, message, "remove one of the two")
            else:
                keys[key.value] = key

    def _convert_sequence(self, node: yaml.SequenceNode) -> list[Any]:
        self._expect_tag(node, "seq")
        return [self.to_value(item) for item in node.value]

    def _expect_tag(self, node: yaml.Node, name: str) -> None:
        if node.tag != _TAG_PREFIX + name:
            short_tag = node.tag.replace(_TAG_PREFIX, "!!")
            self._report(node, f"the tag `{short_tag}` is not supported", "remove the tag: manifests are plain YAML")

    def _convert_scalar(self, node: yaml.ScalarNode) -> Any:
        parse_scalar = _SCALAR_PARSERS.get(node.tag.removeprefix(_TAG_PREFIX))
        if parse_scalar is None:
            self._expect_tag(node, "str")
            return node.value
        try:
            value, warning = parse_scalar(node.value)
        except ValueError:
            value, warning = node.value, "is not a valid number"
        if warning:
            self._report(node, f"`{_truncate(node.value)}` {warning}", f'quote it: "{_truncate(node.value)}"')
        return value

    _converters: dict[type[yaml.Node], Callable[[NodeConverter, Any], Any]] = {  # noqa: RUF012 - never written to
        yaml.MappingNode: _convert_mapping,
        yaml.SequenceNode: _convert_sequence,
        yaml.ScalarNode: _convert_scalar,
    }


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_NUMBER_LENGTH else f"{text[:MAX_NUMBER_LENGTH]}..."


def _parse_integer(text: str) -> tuple[int, str]:
    digits = text.replace("_", "").lower()
    if ":" in digits:
        number = _parse_sexagesimal(digits)
        return int(number), f"is read by YAML as the number {int(number)} (base 60)"
    if len(digits) > MAX_NUMBER_LENGTH:
        return 0, "is too long for a number"
    if _OCTAL_PATTERN.match(text):
        number = int(digits, 8)
        return number, f"is read by YAML as the number {number} (octal)"
    return int(digits, 0), ""


def _parse_float(text: str) -> tuple[float, str]:
    digits = text.replace("_", "").lower()
    if ":" in digits:
        return _parse_sexagesimal(digits), f"is read by YAML as the number {_parse_sexagesimal(digits):g} (base 60)"
    number = float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    return (number, "") if math.isfinite(number) else (0.0, "is not a number that JSON and AWS accept")


def _parse_sexagesimal(digits: str) -> float:
    sign = -1 if digits.startswith("-") else 1
    total = 0.0
    for part in digits.lstrip("+-").split(":"):
        total = total * 60 + float(part)
    if not math.isfinite(total):
        raise ValueError(digits[:MAX_NUMBER_LENGTH])
    return sign * total


_SCALAR_PARSERS: dict[str, Callable[[str], tuple[Any, str]]] = {
    "str": lambda text: (text, ""),
    "null": lambda text: (None, ""),
    "bool": lambda text: (text.lower() in {"true", "yes", "on"}, ""),
    "int": _parse_integer,
    "float": _parse_float,
    "timestamp": lambda text: (text, ""),
    "value": lambda text: (text, ""),
    "merge": lambda text: (text, ""),
}
