"""Write Terraform's configuration language: blocks, attributes and strings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field


class Expression(Struct, frozen=True):
    """A value that is written as it is, such as ``aws_s3_bucket.files``."""

    text: str


class Block(Struct, frozen=True):
    """``type "label" { ... }``: attributes, then blocks.  Attributes that are None are left out."""

    type: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()


def render(blocks: Iterable[Block]) -> str:
    """Return a configuration file."""
    return "\n".join("\n".join(_render_block(block, "")) + "\n" for block in blocks)


def _render_block(block: Block, indent: str) -> Iterator[str]:
    yield indent + " ".join([block.type, *map(render_string, block.labels), "{"])
    attributes = {name: value for name, value in block.attributes.items() if value is not None}
    yield from _render_pairs(attributes, indent + "  ")
    for position, inner in enumerate(block.blocks):
        if attributes or position:
            yield ""
        yield from _render_block(inner, indent + "  ")
    yield indent + "}"


def _render_pairs(pairs: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Yield ``name = value`` lines, aligned as ``terraform fmt`` does: in runs of values that take one line."""
    rendered = [(name, render_value(value, indent)) for name, value in pairs.items()]
    for is_multiline, run in itertools.groupby(rendered, key=lambda pair: "\n" in pair[1]):
        lines = list(run)
        width = 0 if is_multiline else max(len(name) for name, _ in lines)
        for name, value in lines:
            yield f"{indent}{name:{width}} = {value}"


def render_value(value: Any, indent: str = "") -> str:
    """Return a value as an expression.  Raises TypeError if it is no plain data."""
    match value:
        case Expression(text):
            return text
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return render_string(value)
        case list() | tuple():
            return f"[{', '.join(render_value(item, indent) for item in value)}]"
        case Mapping():
            pairs = {render_string(str(key)): item for key, item in value.items()}
            lines = "".join(f"{line}\n" for line in _render_pairs(pairs, indent + "  "))
            return f"{{\n{lines}{indent}}}" if lines else "{}"
    raise TypeError(f"{type(value).__name__} cannot be written in Terraform's language")


def render_string(text: str) -> str:
    """Return a quoted string; what would be a template in it stays text."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("${", "$${").replace("%{", "%%{")
