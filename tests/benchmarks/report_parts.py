"""Read and write the parts of the benchmark page; each has its own date and can be replaced alone.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tests.benchmarks.table import Row, render_markdown

PART_TITLES = {
    "start": "Start-up",
    "push": "From push to healthy",
    "site": "Deploying a site",
    "database": "Moving a database",
    "state": "The state service",
    "ml": "Training a model",
    "recognition": "Recognising products",
    "apply": "Apply of the stack",
    "plan": "Plan of the stack",
    "latency": "Plan of the stack with 50 ms latency",
    "many": "Plan of a large stack",
    "growth": "Plan of 150, 600 and 2,400 resources",
}
"""All parts, in the order of the page."""
_PART_PATTERN = re.compile(r"<!-- part (\w+) -->\n(.*?)\n<!-- /part -->", re.DOTALL)
_BEGIN_MARKER, _END_MARKER = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def read_parts(page: str) -> dict[str, str]:
    """Return the parts of a page by name."""
    return {name: text for name, text in _PART_PATTERN.findall(page) if name in PART_TITLES}


def render_part(name: str, rows: Sequence[Row], note: str, measured_on: str) -> str:
    """Render a part: title, ``measured_on`` (date and machine), table, and ``note``."""
    return "\n\n".join(filter(None, (f"### {PART_TITLES[name]}", measured_on, render_markdown(rows).strip(), note)))


def join_parts(parts: Mapping[str, str]) -> str:
    """Join all parts, in order, with markers for ``read_parts``."""
    return "\n\n".join(f"<!-- part {name} -->\n{parts[name]}\n<!-- /part -->" for name in PART_TITLES if name in parts)


def insert_table(page: str, parts: Mapping[str, str]) -> str:
    """Return ``page`` with the rows of all parts as one table; raise ValueError if its markers are missing."""
    head, begin, rest = page.partition(_BEGIN_MARKER)
    introduction, _, after = rest.partition("\n| measure |")
    _, end, tail = after.partition(_END_MARKER)
    if not (begin and end):
        raise ValueError(f"the page has no {_BEGIN_MARKER} ... {_END_MARKER} around a table")
    heading, separator = render_markdown([]).splitlines()
    rows = [row for name in PART_TITLES if name in parts for row in _rows(parts[name])]
    table = "\n".join([heading, separator, *rows])
    footer = "Dates, machines and method: [benchmarks](../benchmarks.md). Run `make bench` to measure again."
    return f"{head}{begin}{introduction}\n{table}\n\n{footer}\n{end}{tail}"


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][2:]
