"""Render what an adoption keeps, changes and removes of the resources of a component.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.planning.adoption import Adoption
from orchestrator.redaction.redact import redact, sanitise
from orchestrator.render.field_values import format_value, shorten
from orchestrator.render.style import Style
from orchestrator.vocabulary import FieldChange

MAX_VALUE_CHARACTERS = 80
_LABEL_INDENT, _TEXT_INDENT = "    ", " " * 16


def render_text(handles: Iterable[str], adoptions: Iterable[Adoption], style: Style) -> str:
    """Return the report as text: by resource what stays, what changes and what is removed."""
    lines = [style.paint(f"Effect of adopting {', '.join(handles)} on the existing resources", "bold")]
    for item in adoptions:
        lines.append(f"  {item.address}  {style.paint(item.physical, 'dim')}")
        lines += _render_list("stays", [", ".join(item.unchanged)] if item.unchanged else [], style, "good")
        lines += _render_list("changes", [_format_change(field) for field in item.changed], style, "bold")
        lines += _render_list("is removed", item.lost, style, "alarm")
    return "\n".join(lines)


def _render_list(label: str, texts: Iterable[str], style: Style, colour: str) -> Iterator[str]:
    first = f"{_LABEL_INDENT}{label.ljust(len(_TEXT_INDENT) - len(_LABEL_INDENT))}"
    for text in texts:
        start, *rest = style.wrap(sanitise(text), first, _TEXT_INDENT)
        yield start.replace(label, style.paint(label, colour), 1)
        yield from rest
        first = _TEXT_INDENT


def _format_change(field: FieldChange) -> str:
    before, after = (
        shorten(format_value(redact(value)), MAX_VALUE_CHARACTERS) for value in (field.before, field.after)
    )
    return f"{'.'.join(field.path)}: {before} → {after}"
