"""What was measured, part by part: each part of the page says when and on what, and is replaced alone.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tests.benchmarks.table import Row, render_markdown

PART_TITLES = {
    "start": "Start-up",
    "push": "From push to healthy",
    "site": "Shipping a site",
    "state": "The state service",
    "ml": "Training a model",
    "apply": "Apply of the stack",
    "plan": "Plan of the stack",
    "latency": "Plan of the stack, far from AWS",
    "many": "Plan of many",
}
"""Every part that can be measured, in the order of the page."""
_PART_PATTERN = re.compile(r"<!-- part (\w+) -->\n(.*?)\n<!-- /part -->", re.DOTALL)
_BEGIN_MARKER, _END_MARKER = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def read_parts(page: str) -> dict[str, str]:
    """The parts of a page as they stand there, by their names."""
    return {name: text for name, text in _PART_PATTERN.findall(page) if name in PART_TITLES}


def render_part(name: str, rows: Sequence[Row], note: str, measured_on: str) -> str:
    """One part: its title, ``when`` (and where) it was measured, its table, and a ``note``."""
    return "\n\n".join(filter(None, (f"### {PART_TITLES[name]}", measured_on, render_markdown(rows).strip(), note)))


def join_parts(parts: Mapping[str, str]) -> str:
    """All parts, in order, so that they can be read back."""
    return "\n\n".join(f"<!-- part {name} -->\n{parts[name]}\n<!-- /part -->" for name in PART_TITLES if name in parts)


def insert_table(readme: str, parts: Mapping[str, str]) -> str:
    """``readme`` with the rows of all parts as one table, between its marks; raises ValueError where it has none."""
    head, begin, rest = readme.partition(_BEGIN_MARKER)
    introduction, _, after = rest.partition("\n| measure |")
    _, end, tail = after.partition(_END_MARKER)
    if not (begin and end):
        raise ValueError(f"the README has no {_BEGIN_MARKER} ... {_END_MARKER} around a table")
    heading, separator = render_markdown([]).splitlines()
    rows = [row for name in PART_TITLES if name in parts for row in _rows(parts[name])]
    table = "\n".join([heading, separator, *rows])
    footer = (
        "How it was measured, when and on what: [docs/benchmarks.md](docs/benchmarks.md). `make bench` does it again."
    )
    return f"{head}{begin}{introduction}\n{table}\n\n{footer}\n{end}{tail}"


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][2:]
