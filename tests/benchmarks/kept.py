"""What was measured, part by part: each part of the page says when and on what, and is replaced alone.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tests.benchmarks.table import Row, markdown

TITLES = {
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
_PART = re.compile(r"<!-- part (\w+) -->\n(.*?)\n<!-- /part -->", re.DOTALL)
_BEGIN, _END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def read(page: str) -> dict[str, str]:
    """The parts of a page as they stand there, by their names."""
    return {name: text for name, text in _PART.findall(page) if name in TITLES}


def part(name: str, rows: Sequence[Row], note: str, when: str) -> str:
    """One part: its title, ``when`` (and where) it was measured, its table, and a ``note``."""
    return "\n\n".join(filter(None, (f"### {TITLES[name]}", when, markdown(rows).strip(), note)))


def together(parts: Mapping[str, str]) -> str:
    """All parts, in order, so that they can be read back."""
    return "\n\n".join(f"<!-- part {name} -->\n{parts[name]}\n<!-- /part -->" for name in TITLES if name in parts)


def insert(readme: str, parts: Mapping[str, str]) -> str:
    """``readme`` with the rows of all parts as one table, between its marks; raises ValueError where it has none."""
    head, begin, rest = readme.partition(_BEGIN)
    lead, _, after = rest.partition("\n| measure |")
    _, end, tail = after.partition(_END)
    if not (begin and end):
        raise ValueError(f"the README has no {_BEGIN} ... {_END} around a table")
    heading, line = markdown([]).splitlines()
    rows = [row for name in TITLES if name in parts for row in _rows(parts[name])]
    table = "\n".join([heading, line, *rows])
    told = (
        "How it was measured, when and on what: [docs/benchmarks.md](docs/benchmarks.md). `make bench` does it again."
    )
    return f"{head}{begin}{lead}\n{table}\n\n{told}\n{end}{tail}"


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][2:]
