"""Drift as people see it: in sync, drifted, or not checked with the reason; and how much was looked at.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, to_builtins

from orchestrator.redaction.redact import safe
from orchestrator.render.field_values import FieldView, field_views
from orchestrator.render.plan_markdown import LIMIT, code, escape, fenced, marker
from orchestrator.render.plan_view import name, sentence, unread_view
from orchestrator.render.style import BY_SIGN, Style
from orchestrator.vocabulary import Action, Change, Plan, Waived


class Sync(StrEnum):
    """What is known of one resource."""

    IN_SYNC = "in sync"
    DRIFTED = "drifted"
    NOT_CHECKED = "not checked"
    IGNORED = "ignored"


class ResourceDrift(Struct, frozen=True):
    """One resource; ``reason`` in words, ``action`` the AWS action that was denied or failed, if any."""

    address: str
    sync: Sync
    reason: str = ""
    action: str = ""
    fields: tuple[FieldView, ...] = ()


class DriftView(Struct, frozen=True):
    """All resources of one environment: drifted ones first, then those not checked."""

    title: str
    place: str
    resources: tuple[ResourceDrift, ...]

    def count(self, sync: Sync) -> int:
        """How many are in this state."""
        return sum(resource.sync is sync for resource in self.resources)

    @property
    def coverage(self) -> float:
        """Percentage of the resources that could be looked at; 100 when there are none."""
        total = len(self.resources)
        return round(100 * (total - self.count(Sync.NOT_CHECKED)) / total, 1) if total else 100.0

    @property
    def has_drifted(self) -> bool:
        return self.count(Sync.DRIFTED) > 0

    @property
    def headline(self) -> str:
        """``1 drifted, 29 in sync, 1 not checked; coverage 96.8 %``."""
        counts = [f"{self.count(sync)} {sync}" for sync in (Sync.DRIFTED, Sync.IN_SYNC, Sync.NOT_CHECKED)]
        counts += [f"{ignored} ignored"] if (ignored := self.count(Sync.IGNORED)) else []
        return f"{', '.join(counts)}; coverage {self.coverage:g} %"


_ORDER = (Sync.DRIFTED, Sync.NOT_CHECKED, Sync.IGNORED, Sync.IN_SYNC)
_WHY = {
    Action.CREATE: "is in the manifests, not in AWS",
    Action.DELETE: "is ours in AWS, not in the manifests",
    Action.UPDATE: "differs",
    Action.REPLACE: "differs in what only a replacement can change",
}


def view(plan: Plan) -> DriftView:
    """A plan, read as drift: what it would change has drifted."""
    unread = {item.address: item for item in plan.unread}
    let_be: dict[str, list[Waived]] = {}
    for one in plan.waived:
        let_be.setdefault(one.address, []).append(one)
    found = [_resource(each, let_be.get(each.address, [])) for each in plan.changes if each.address not in unread]
    for item in unread.values():
        shown = unread_view(item)
        found.append(ResourceDrift(shown.address, Sync.NOT_CHECKED, sentence(item.reason), safe(item.action)))
    found.sort(key=lambda resource: _ORDER.index(resource.sync))
    return DriftView(
        safe(f"{plan.project}/{plan.environment}"), safe(f"account {plan.account}, {plan.region}"), tuple(found)
    )


def text(drift: DriftView, style: Style, *, loud: bool = False) -> str:
    """One line a resource, its fields below; ``loud`` leaves out what is in sync.  Ends with a newline."""
    lines = [f"{style.paint(drift.title, 'bold')} {style.paint(f'({drift.place})', 'dim')}"]
    lines.append(style.paint(f"{drift.headline}.", "alarm" if drift.has_drifted else "good"))
    lines.append("")
    colours = {Sync.DRIFTED: "red", Sync.NOT_CHECKED: "yellow", Sync.IGNORED: "dim", Sync.IN_SYNC: "green"}
    for resource in drift.resources:
        if loud and resource.sync is Sync.IN_SYNC:
            continue
        lead = f"  {resource.sync:<11}  {resource.address}  "
        first, *more = style.wrap(_reason(resource), lead, " " * 15) if _reason(resource) else [lead.rstrip()]
        lines += [first.replace(resource.sync, style.paint(resource.sync, colours[resource.sync]), 1), *more]
        lines += list(_fields(resource, style))
    return style.fit("\n".join(lines).rstrip() + "\n")


def markdown(drift: DriftView) -> str:
    """For a comment or a step summary; what is in sync is folded into the count."""
    parts = [f"{marker(drift.title, 'drift')}\n\n### {code(drift.title)}: {escape(drift.headline)}"]
    loud = [resource for resource in drift.resources if resource.sync is not Sync.IN_SYNC]
    room = LIMIT - 2_000
    for number, part in enumerate(map(_section, loud)):
        room -= len(part.encode()) + 2
        if room < 0:
            parts.append(f"**{len(loud) - number} more are left out here, for want of room.**")
            break
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def to_json(drift: DriftView) -> str:
    """The same as data, for scripts; indented, ends with a newline."""
    document = {
        "coverage": drift.coverage,
        "drifted": drift.count(Sync.DRIFTED),
        "environment": drift.title,
        "ignored": drift.count(Sync.IGNORED),
        "in_sync": drift.count(Sync.IN_SYNC),
        "not_checked": drift.count(Sync.NOT_CHECKED),
        "resources": to_builtins(drift.resources),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _resource(change: Change, let_be: list[Waived]) -> ResourceDrift:
    address = name(change.address)
    asides = [_aside(one) for one in let_be]
    if change.action is Action.NONE:
        fields = field_views(tuple(one.field for one in let_be))
        return ResourceDrift(address, Sync.IGNORED if let_be else Sync.IN_SYNC, "; ".join(asides), fields=fields)
    fields = () if change.action is Action.CREATE else field_views(change.fields)
    return ResourceDrift(address, Sync.DRIFTED, "; ".join([_WHY[change.action], *asides]), fields=fields)


def _aside(one: Waived) -> str:
    words = "was let be, and that day is past" if one.past else "is let be"
    until = f"until {one.until} ({one.owner}: {one.reason})"
    return sentence(f"{'.'.join(one.field.path)} {words}: {until}")


def _reason(resource: ResourceDrift) -> str:
    action = f" ({resource.action})" if resource.action and resource.action not in resource.reason else ""
    return f"{resource.reason}{action}"


def _fields(resource: ResourceDrift, style: Style) -> Iterator[str]:
    """AWS's value and the manifests', in the order of what is and what should be."""
    for field in resource.fields:
        sides = f"{field.before or 'not there'} in AWS, {field.after or 'not there'} in the manifests"
        yield f"               {style.paint(field.sign, BY_SIGN[field.sign])} {field.path}: {sides}"


def _section(resource: ResourceDrift) -> str:
    lines = [f"**{resource.sync}** {code(resource.address)}: {escape(_reason(resource))}"]
    rows = []
    for field in resource.fields[:60]:
        rows += [f"- {field.path}: {field.before}"] if field.before is not None else []
        rows += [f"+ {field.path}: {field.after}"] if field.after is not None else []
    return "\n\n".join([*lines, fenced(rows, "diff")] if rows else lines)
