"""Render a plan as a GitHub comment.  Pure: lays out a ``PlanView``, escapes it, and cuts it to GitHub's size limit.

Names and values are untrusted: they cannot leave their code block, open HTML, or mention anybody.  GitHub stores 65,536
characters of a comment.  Sections that do not fit are omitted whole; the comment says so and lists the omitted
components.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.quantities import format_count
from orchestrator.render.field_values import shorten
from orchestrator.render.plan_view import ChangeView, ComponentView, PlanView, StepView, VetoView

MAX_COMMENT_BYTES: Final = 60_000
"""Bytes of UTF-8, below GitHub's 65,536 characters."""

_RESERVED_BYTES: Final = 2_500
_LIST_OVERHEAD_BYTES: Final = 300
"""Bytes of markup around a list of components."""
_MAX_LIST_ITEMS: Final = 12
_MAX_SENTENCE_CHARACTERS: Final = 600
"""More than any sentence of the product has: one that is cut in the middle loses its advice."""
_MAX_CHANGE_LINES: Final = 80
_MARKDOWN_CHARACTERS: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$]|^[-+=])")
_QUOTED_PATTERN: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK_PATTERN: Final = re.compile(r"(?i)\b(https?|ftp|mailto):|\bwww\.")
_MENTION_PATTERN: Final = re.compile(r"@(?=[\w-])")
_ZERO_WIDTH_SPACE: Final = "\u200b"
"""Breaks mentions and links: GitHub detects them in the rendered text, after the escapes."""


def render(plan: PlanView, max_bytes: int = MAX_COMMENT_BYTES, full_plan_location: str = "the run's artefacts") -> str:
    """Return the plan in at most ``max_bytes`` (at least 40,000); ``full_plan_location`` says where all of it is."""
    header = "\n\n".join(_render_header(plan))
    footer = "\n\n".join(_render_footer(plan))
    budget = _ByteBudget(max_bytes - _count_bytes(header) - _count_bytes(footer) - _RESERVED_BYTES)
    leading = [
        budget.add("the vetoes", _render_vetoes(plan)),
        budget.add("the changes to review first", _render_dangers(plan)),
    ]
    trailing = [budget.add(name, text) for name, text in _render_notes(plan)]
    component_sections = _render_components(plan.components, budget)
    parts = [
        header,
        *leading,
        *component_sections,
        *trailing,
        _render_omissions(budget.omitted, full_plan_location),
        footer,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


class _ByteBudget:
    """The bytes left in the comment, and the names of the sections that did not fit."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes_left = max_bytes
        self.omitted: list[str] = []

    def add(self, name: str, text: str) -> str:
        """Return ``text``, or an empty string if it does not fit."""
        if not text:
            return ""
        if _count_bytes(text) > self.bytes_left:
            self.omitted.append(name)
            return ""
        self.bytes_left -= _count_bytes(text)
        return text


def marker(title: str, kind: str = "plan") -> str:
    """Return the hidden line that identifies the comment, so that it can be replaced."""
    return f"<!-- orchestrator:{kind} {re.sub(r'[^A-Za-z0-9/_.]', '-', title)} -->"


def escape(text: str) -> str:
    """Return text that GitHub shows as written: without markup, links or mentions."""
    text = _LINK_PATTERN.sub(
        lambda link: f"{link[0][:-1]}{_ZERO_WIDTH_SPACE}{link[0][-1]}", _MARKDOWN_CHARACTERS.sub(r"\\\1", text)
    )
    text = re.sub(r"^(\d+)\.", r"\1\\.", text)
    return _MENTION_PATTERN.sub(f"@{_ZERO_WIDTH_SPACE}", text.replace("\\#", f"\\#{_ZERO_WIDTH_SPACE}"))


def render_sentence(text: str) -> str:
    """Return a sentence of ours with what it quotes in backticks as code; everything else is shown as written."""
    parts = _QUOTED_PATTERN.split(text)  # every second one is quoted
    return "".join(code_span(part) if index % 2 else escape(part) for index, part in enumerate(parts) if part)


def code_span(text: str) -> str:
    """Return ``text`` as a code span, even if it contains backticks."""
    text = _hide_comments(text)
    longest_run = max((len(backticks) for backticks in re.findall("`+", text)), default=0)
    fence = "`" * (longest_run + 1)
    padding = " " if longest_run or not text.strip() else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def code_block(lines: list[str], language: str) -> str:
    """Return ``lines`` as a code block, even if they contain fences."""
    lines = [_hide_comments(line) for line in lines]
    longest_run = max((len(backticks) for line in lines for backticks in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest_run + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _hide_comments(text: str) -> str:
    """Return text that cannot be taken for a marker: code is not escaped, and markers are HTML comments."""
    return text.replace("<!--", f"<{_ZERO_WIDTH_SPACE}!--")


def _count_bytes(text: str) -> int:
    return len(text.encode()) + 2


def _render_header(plan: PlanView) -> Iterator[str]:
    yield marker(plan.title)
    yield f"### {code_span(plan.title)}: {escape(plan.headline)}"
    if plan.summary:
        yield f"**{escape(plan.summary)}**"
    cost = f" {_escape_sentence(plan.cost.headline)}" if plan.cost is not None and plan.cost.headline else ""
    yield f"{escape(plan.place[:1].upper() + plan.place[1:])}.{cost}"


def _render_vetoes(plan: PlanView) -> str:
    if not plan.vetoes:
        return ""
    lines = ["> [!CAUTION]", "> **Vetoed: nothing is applied until this is resolved.**"]
    lines += [f"> - {_render_veto(veto)}" for veto in plan.vetoes[:_MAX_LIST_ITEMS]]
    lines += [f"> - and {len(plan.vetoes) - _MAX_LIST_ITEMS} more"] if len(plan.vetoes) > _MAX_LIST_ITEMS else []
    if plan.token_hint:
        lines += [">", f"> To allow exactly this plan, use: {code_span(plan.token_hint)}"]
    return "\n".join(lines)


def _render_veto(veto: VetoView) -> str:
    prefix = f"{code_span(veto.address)}: " if veto.address else ""
    return f"{prefix}{_escape_sentence(veto.sentence)} *({escape(veto.name)})*"


def _render_dangers(plan: PlanView) -> str:
    items = [f"{code_span(address)}: {_escape_sentence(danger)}" for address, danger in plan.dangers]
    return _render_list("**Review these first**", items)


def _render_notes(plan: PlanView) -> Iterator[tuple[str, str]]:
    unread = [f"{code_span(item.address)}: {_escape_sentence(item.reason)}" for item in plan.unread]
    yield "the unchecked resources", _render_list("**Not checked**", unread)
    yield "the unhealthy resources", _render_list("**Unhealthy**", [_escape_sentence(item) for item in plan.unhealthy])
    yield "the pending changes", _render_list("**Pending in AWS**", [_escape_sentence(item) for item in plan.pending])
    unmanaged_title = "**Changed outside the manifests (apply leaves these unchanged)**"
    yield "the foreign changes", _render_list(unmanaged_title, [_escape_sentence(item) for item in plan.unmanaged])
    yield "the notes", _render_list("**Notes**", [_escape_sentence(note) for note in plan.notes])
    if plan.cost is not None and plan.cost.lines:
        table = _render_cost_changes(plan.cost.changes)
        body = "\n\n".join(filter(None, (table, code_block(list(plan.cost.lines), "text"))))
        yield "the cost", _render_collapsed("Cost by resource", body)
    if plan.permissions:
        body = code_block(list(plan.permissions), "text")
        yield "the permissions", _render_collapsed("Permissions required to apply", body)


def _render_cost_changes(changes: Sequence[tuple[str, float, float]]) -> str:
    """Return a table of what costs more or less, the largest difference first."""
    if not changes:
        return ""
    ordered = sorted(changes, key=lambda item: -abs(item[2] - item[1]))
    rows = [
        f"| {code_span(address)} | {before:.2f} | {after:.2f} | {after - before:+.2f} |"
        for address, before, after in ordered[:_MAX_LIST_ITEMS]
    ]
    before_total, after_total = sum(item[1] for item in changes), sum(item[2] for item in changes)
    rows += [f"| and {len(ordered) - _MAX_LIST_ITEMS} more | | | |"] if len(ordered) > _MAX_LIST_ITEMS else []
    rows.append(
        f"| **what changes** | {before_total:.2f} | {after_total:.2f} | **{after_total - before_total:+.2f}** |"
    )
    return "\n".join(["| USD a month | now | then | difference |", "|---|---:|---:|---:|", *rows])


def _escape_sentence(text: str) -> str:
    """Return a sentence, escaped and short enough that a list of them fits."""
    return render_sentence(shorten(text, _MAX_SENTENCE_CHARACTERS))


def _render_list(title: str, items: list[str]) -> str:
    if not items:
        return ""
    shown = [f"- {item}" for item in items[:_MAX_LIST_ITEMS]]
    overflow = [f"- and {len(items) - _MAX_LIST_ITEMS} more"] if len(items) > _MAX_LIST_ITEMS else []
    return "\n".join([title, "", *shown, *overflow])


def _render_collapsed(summary: str, body: str) -> str:
    """Return a collapsed section; ``summary`` is HTML.  The blank lines make GitHub parse the body as Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _render_components(components: Sequence[ComponentView], budget: _ByteBudget) -> list[str]:
    """Return a collapsed section per component; the components that do not fit are listed, one line each."""
    sections = list(_render_fitting_components(components, budget.bytes_left))
    if len(sections) < len(components):
        list_bytes = sum(_count_bytes(_summarize_component(component)) for component in components)
        sections = list(
            _render_fitting_components(
                components, budget.bytes_left - min(list_bytes + _LIST_OVERHEAD_BYTES, budget.bytes_left // 3)
            )
        )
    budget.bytes_left -= sum(map(_count_bytes, sections))
    omitted = components[len(sections) :]
    budget.omitted += [component.name for component in omitted]
    return [*sections, _render_component_list(omitted, budget)] if omitted else sections


def _render_fitting_components(components: Sequence[ComponentView], bytes_left: int) -> Iterator[str]:
    """Yield the sections of the first components that fit, in order."""
    for component in components:
        section = _render_component(component, bytes_left)
        bytes_left -= _count_bytes(section)
        if bytes_left < 0:
            return
        yield section


def _render_component_list(components: Sequence[ComponentView], budget: _ByteBudget) -> str:
    """Return a list of as many components as fit, one line each."""
    lines: list[str] = []
    for component in components:
        summary = _summarize_component(component)
        if budget.bytes_left < _count_bytes(summary) + _LIST_OVERHEAD_BYTES:
            break
        budget.bytes_left -= _count_bytes(summary)
        lines.append(summary)
    title = format_count(len(lines), "more component", "more components, one line each")
    return _render_collapsed(title, code_block(lines, "text")) if lines else ""


def _summarize_component(component: ComponentView) -> str:
    return shorten(f"{component.name}: {component.headline}", 200)


def _render_component(component: ComponentView, max_bytes: int) -> str:
    """Return a component's section with as many changes as fit in ``max_bytes``; at least its headline."""
    title = (
        f"<code>{html.escape(component.name.replace('@', f'@{_ZERO_WIDTH_SPACE}'))}</code>: "
        f"{html.escape(component.headline)}"
    )
    lines: list[str] = []
    bytes_left = max_bytes - _count_bytes(_render_collapsed(title, "")) - 200
    for number, change in enumerate(component.changes):
        change_lines = list(_render_change(change))
        bytes_left -= sum(len(line.encode()) + 1 for line in change_lines)
        if bytes_left < 0:
            lines += [f"# {format_count(len(component.changes) - number, 'more change')} of this component omitted"]
            break
        lines += change_lines
    return _render_collapsed(title, code_block(lines, "diff"))


def _render_change(change: ChangeView) -> Iterator[str]:
    marker_character = change.symbol if change.symbol in {"+", "-"} and not change.dangers else "!"
    physical_note = "" if change.physical == change.address.partition(".")[2] else f"  {change.physical}"
    yield f"{marker_character} {change.action} {change.address}{physical_note}"
    for danger in change.dangers:
        yield f"#   {danger}"
    body = [
        *_render_fields(change),
        *(f"#   {number}. {step.action} {step.detail}".rstrip() for number, step in _number_steps(change)),
    ]
    yield from body[:_MAX_CHANGE_LINES]
    if len(body) > _MAX_CHANGE_LINES:
        yield f"#   {format_count(len(body) - _MAX_CHANGE_LINES, 'more line')} of this change omitted"


def _render_fields(change: ChangeView) -> Iterator[str]:
    """Yield the old and the new line of each field: GitHub colours a line by its first character."""
    for field in change.fields:
        if field.before is not None:
            yield f"-   {field.path}: {shorten(field.before, 400)}"
        if field.after is not None:
            yield f"+   {field.path}: {shorten(field.after, 400)}"


def _number_steps(change: ChangeView) -> Iterator[tuple[int, StepView]]:
    return iter(enumerate(change.steps, start=1))


def _render_omissions(names: list[str], full_plan_location: str) -> str:
    if not names:
        return ""
    shown = ", ".join(code_span(shorten(name, 40)) for name in names[:5])
    overflow = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"**Omitted because the comment is too long:** {shown}{overflow}. The "
        f"full plan is in {escape(shorten(full_plan_location, 200))}."
    )


def _render_footer(plan: PlanView) -> Iterator[str]:
    if plan.components and plan.digest:
        short = f"<sub>Digest {code_span(plan.digest[:12])}: apply makes exactly these changes, or stops.</sub>"
        yield f"{short}\n\n{_render_collapsed('<sub>Full digest</sub>', code_block([plan.digest], 'text'))}"
