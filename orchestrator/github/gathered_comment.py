"""Put the plan comments of several environments into one comment, each as a section, and find one in it again.  Pure.

Each job of a matrix writes its section, whose last line records the reviewed plan; one job gathers them.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from typing import Final

from orchestrator.quantities import format_count
from orchestrator.render import plan_markdown
from orchestrator.render.plan_markdown import MAX_COMMENT_BYTES, code_span

MARKER: Final = plan_markdown.marker("all", "gathered-plans")
_START, _END = "<!-- orchestrator:section -->", "<!-- orchestrator:end-of-section -->"
_OVERHEAD_BYTES: Final = 600
"""Bytes of a section's frame, and of its line in the list."""
_TITLE: Final = re.compile(r"^### (.+)$", re.MULTILINE)


def section_name(marker: str) -> str:
    """Return the name of the artefact with the section that ``marker`` identifies."""
    return f"plan-section-{hashlib.sha256(marker.encode()).hexdigest()[:16]}"


def section_limit(count: int) -> int:
    """Return how many bytes each of ``count`` sections may have."""
    return (MAX_COMMENT_BYTES - 1_000) // max(1, count) - _OVERHEAD_BYTES


def render(sections: Mapping[str, str], commit: str, run_url: str) -> str:
    """Render the comment from the section of each environment by its title; "" is one that was not planned.

    A section that is too long is replaced by its title, and counts as not reviewed.
    """
    limit = section_limit(len(sections))
    fitting = {
        title: text if len(text.encode()) <= limit and _START not in text and _END not in text else ""
        for title, text in sections.items()
    }
    lines = [_render_line(title, text, fitting[title], run_url) for title, text in sections.items()]
    count = format_count(len(sections), "environment")
    header = f"{MARKER}\n### Plans of {count}" if sections else f"{MARKER}\n### No environment is affected"
    parts = [header, "\n".join(lines), *(_render_section(title, text) for title, text in fitting.items() if text)]
    parts.append(f"<sub>Planned at {code_span(commit[:12])} in [this run]({run_url}).</sub>")
    return "\n\n".join(part for part in parts if part) + "\n"


def find_section(body: str, marker: str) -> str:
    """Return the section of a gathered comment that ``marker`` identifies; the whole body of any other comment."""
    if not is_gathered(body):
        return body
    sections = re.findall(rf"^{re.escape(_START)}$(.*?)^{re.escape(_END)}$", body, re.MULTILINE | re.DOTALL)
    return next((section.strip() for section in sections if section.strip().startswith(marker)), "")


def is_gathered(body: str) -> bool:
    return body.startswith(MARKER)


def _render_line(title: str, text: str, fitting: str, run_url: str) -> str:
    if not text:
        return f"- {code_span(title)}: no plan; see [the run]({run_url})"
    match = _TITLE.search(text)
    headline = match[1] if match else code_span(title)
    note = (
        ""
        if fitting
        else f" (too long for this comment, so it does not count as reviewed: see [the run]({run_url}#artifacts))"
    )
    return f"- {headline}{note}"


def _render_section(title: str, text: str) -> str:
    summary = f"<summary>{html.escape(title)}</summary>"
    return f"<details>{summary}\n\n{_START}\n{text.strip()}\n{_END}\n\n</details>"
