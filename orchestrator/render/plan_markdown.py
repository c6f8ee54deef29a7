"""A plan as a GitHub comment.  Pure: layout over ``view``, GitHub's escapes, and cutting to what GitHub stores.

Names and values are hostile here: they cannot leave their code block, open HTML, or ping anybody.  GitHub keeps
65,536 characters of a comment; sections that do not fit are left out whole, and the comment says so, with a line for
each component that went.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.render.field_values import shorten
from orchestrator.render.plan_view import ChangeView, ComponentView, PlanView, StepView, VetoView

LIMIT: Final = 60_000
"""Bytes of UTF-8; some way below GitHub's 65,536 characters."""

_RESERVE: Final = 2_500
_LISTING: Final = 300
"""Bytes around a list of components."""
_LONGEST_LIST: Final = 12
_LONGEST_CHANGE: Final = 80
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$]|^[-+=])")
_LINK: Final = re.compile(r"(?i)\b(https?|ftp|mailto):|\bwww\.")
_PING: Final = re.compile(r"@(?=[\w-])")
_BREAK: Final = "\u200b"
"""A space without width: GitHub looks for users and links in the rendered text, where escapes are gone."""


def render(plan: PlanView, limit: int = LIMIT, elsewhere: str = "the run's artefacts") -> str:
    """The whole plan in at most ``limit`` bytes (at least 40,000); ``elsewhere`` says where an uncut one lies."""
    head = "\n\n".join(_head(plan))
    foot = "\n\n".join(_foot(plan))
    page = _Page(limit - _size(head) - _size(foot) - _RESERVE)
    first = [page.fit("the vetoes", _vetoes(plan)), page.fit("what to look at first", _dangers(plan))]
    last = [page.fit(name, text) for name, text in _asides(plan)]
    middle = _components(plan.components, page)
    parts = [head, *first, *middle, *last, _left_out(page.left_out, elsewhere), foot]
    return "\n\n".join(part for part in parts if part) + "\n"


class _Page:
    """The room that is left, in bytes, and what found none."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.left_out: list[str] = []

    def fit(self, name: str, section: str) -> str:
        """``section``, or nothing when it is too long."""
        if not section:
            return ""
        if _size(section) > self.room:
            self.left_out.append(name)
            return ""
        self.room -= _size(section)
        return section


def marker(title: str, what: str = "plan") -> str:
    """The invisible line by which the comment is found again and replaced."""
    return f"<!-- orchestrator:{what} {re.sub(r'[^A-Za-z0-9/_.]', '-', title)} -->"


def escape(text: str) -> str:
    """Prose that reads as it is written: no markup, no link, no ping."""
    text = _LINK.sub(lambda found: f"{found[0][:-1]}{_BREAK}{found[0][-1]}", _SPECIAL.sub(r"\\\1", text))
    text = re.sub(r"^(\d+)\.", r"\1\\.", text)
    return _PING.sub(f"@{_BREAK}", text.replace("\\#", f"\\#{_BREAK}"))


def code(text: str) -> str:
    """``text`` as a code span, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def fenced(lines: list[str], language: str) -> str:
    """``lines`` as a code block, whatever fences they hold."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _size(text: str) -> int:
    return len(text.encode()) + 2


def _head(plan: PlanView) -> Iterator[str]:
    yield marker(plan.title)
    yield f"### {code(plan.title)}: {escape(plan.headline)}"
    cost = f" {_prose(plan.cost.headline)}" if plan.cost is not None and plan.cost.headline else ""
    yield f"{escape(plan.place[:1].upper() + plan.place[1:])}.{cost}"


def _vetoes(plan: PlanView) -> str:
    if not plan.vetoes:
        return ""
    lines = ["> [!CAUTION]", "> **Vetoed: nothing will be applied until this is settled.**"]
    lines += [f"> - {_veto(veto)}" for veto in plan.vetoes[:_LONGEST_LIST]]
    lines += [f"> - and {len(plan.vetoes) - _LONGEST_LIST} more"] if len(plan.vetoes) > _LONGEST_LIST else []
    if plan.token_hint:
        lines += [">", f"> If this is what you want, say so for this very plan: {code(plan.token_hint)}"]
    return "\n".join(lines)


def _veto(veto: VetoView) -> str:
    place = f"{code(veto.address)}: " if veto.address else ""
    return f"{place}{_prose(veto.sentence)} *({escape(veto.name)})*"


def _dangers(plan: PlanView) -> str:
    items = [f"{code(address)}: {_prose(why)}" for address, why in plan.dangers]
    return _bullets("**Look at these first**", items)


def _asides(plan: PlanView) -> Iterator[tuple[str, str]]:
    unread = [f"{code(item.address)}: {_prose(item.reason)}" for item in plan.unread]
    yield "what is not checked", _bullets("**Not checked**", unread)
    yield "what is not well", _bullets("**Not well**", [_prose(item) for item in plan.unwell])
    yield "notes", _bullets("**Notes**", [_prose(note) for note in plan.notes])
    if plan.cost is not None and plan.cost.lines:
        yield "what it costs", _folded("What it costs, one by one", fenced(list(plan.cost.lines), "text"))
    if plan.permissions:
        body = fenced(list(plan.permissions), "text")
        yield "permissions", _folded("Permissions that applying needs", body)


def _prose(text: str) -> str:
    """A sentence, short enough that a list of them always finds room."""
    return escape(shorten(text, 400))


def _bullets(title: str, items: list[str]) -> str:
    if not items:
        return ""
    shown = [f"- {item}" for item in items[:_LONGEST_LIST]]
    more = [f"- and {len(items) - _LONGEST_LIST} more"] if len(items) > _LONGEST_LIST else []
    return "\n".join([title, "", *shown, *more])


def _folded(summary: str, body: str) -> str:
    """A folded section; ``summary`` is HTML.  The blank lines make GitHub read the body as Markdown again."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _components(components: Sequence[ComponentView], page: _Page) -> list[str]:
    """Each folded, with what it does; where they do not all fit, the others are listed with a line each."""
    told = list(_fitting(components, page.room))
    if len(told) < len(components):
        listed = sum(_size(_line(component)) for component in components)
        told = list(_fitting(components, page.room - min(listed + _LISTING, page.room // 3)))
    page.room -= sum(map(_size, told))
    others = components[len(told) :]
    page.left_out += [component.name for component in others]
    return [*told, _listing(others, page)] if others else told


def _fitting(components: Sequence[ComponentView], room: int) -> Iterator[str]:
    """The sections of the first that fit, in order."""
    for component in components:
        section = _component(component, room)
        room -= _size(section)
        if room < 0:
            return
        yield section


def _listing(components: Sequence[ComponentView], page: _Page) -> str:
    """As many as fit, in a line each."""
    lines: list[str] = []
    for component in components:
        line = _line(component)
        if page.room < _size(line) + _LISTING:
            break
        page.room -= _size(line)
        lines.append(line)
    title = "1 component more" if len(lines) == 1 else f"{len(lines)} components more, in a line each"
    return _folded(title, fenced(lines, "text")) if lines else ""


def _line(component: ComponentView) -> str:
    return shorten(f"{component.name}: {component.headline}", 200)


def _component(component: ComponentView, room: int) -> str:
    """As many changes as fit in ``room`` bytes; only the headline when not even the first does."""
    title = f"<code>{html.escape(component.name.replace('@', f'@{_BREAK}'))}</code>: {html.escape(component.headline)}"
    lines: list[str] = []
    left = room - _size(_folded(title, "")) - 200
    for number, change in enumerate(component.changes):
        added = list(_change(change))
        left -= sum(len(line.encode()) + 1 for line in added)
        if left < 0:
            lines += [f"# {len(component.changes) - number} more changes of this component are left out here"]
            break
        lines += added
    return _folded(title, fenced(lines, "diff"))


def _change(change: ChangeView) -> Iterator[str]:
    lead = change.symbol if change.symbol in {"+", "-"} and not change.dangers else "!"
    aside = "" if change.physical == change.address.partition(".")[2] else f"  {change.physical}"
    yield f"{lead} {change.action} {change.address}{aside}"
    for danger in change.dangers:
        yield f"#   {danger}"
    body = [
        *_fields(change),
        *(f"#   {number}. {step.action} {step.detail}".rstrip() for number, step in _steps(change)),
    ]
    yield from body[:_LONGEST_CHANGE]
    if len(body) > _LONGEST_CHANGE:
        yield f"#   {len(body) - _LONGEST_CHANGE} more lines of this change are left out here"


def _fields(change: ChangeView) -> Iterator[str]:
    """GitHub colours by the first character: what changes is shown as the old line and the new."""
    for field in change.fields:
        if field.before is not None:
            yield f"-   {field.path}: {shorten(field.before, 400)}"
        if field.after is not None:
            yield f"+   {field.path}: {shorten(field.after, 400)}"


def _steps(change: ChangeView) -> Iterator[tuple[int, StepView]]:
    return iter(enumerate(change.steps, start=1))


def _left_out(names: list[str], elsewhere: str) -> str:
    if not names:
        return ""
    shown = ", ".join(code(shorten(name, 40)) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"**Left out here, for want of room:** {shown}{more}. The whole plan is in {escape(shorten(elsewhere, 200))}."
    )


def _foot(plan: PlanView) -> Iterator[str]:
    if plan.components and plan.digest:
        yield f"<sub>Digest {code(plan.digest)}: apply does this or stops.</sub>"
