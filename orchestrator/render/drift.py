"""Show drift: each resource as in sync, drifted, unhealthy, pending, ignored or not checked.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

from msgspec import Struct, to_builtins

from orchestrator.redaction.redact import sanitise
from orchestrator.render.drift_coverage import DriftCoverage, describe_not_looked_at, measure_coverage
from orchestrator.render.field_values import FieldView, build_field_views
from orchestrator.render.plan_markdown import MAX_COMMENT_BYTES, code_block, code_span, escape, marker
from orchestrator.render.plan_view import (
    build_unread_view,
    clean_name,
    clean_sentence,
    describe_pending,
    describe_unmanaged,
)
from orchestrator.render.style import COLOUR_BY_SIGN, Style
from orchestrator.vocabulary import POWER_HIBERNATED, Action, Change, FieldChange, Health, Plan, Waived


class SyncStatus(StrEnum):
    """The sync status of a resource."""

    IN_SYNC = "in sync"
    DRIFTED = "drifted"
    UNHEALTHY = "unhealthy"
    PENDING = "pending"
    NOT_CHECKED = "not checked"
    IGNORED = "ignored"


class ResourceDrift(Struct, frozen=True):
    """The drift of one resource.  ``action`` is the AWS action that was denied or failed, if any."""

    address: str
    sync: SyncStatus
    reason: str = ""
    action: str = ""
    fields: tuple[FieldView, ...] = ()


class SettingCounts(Struct, frozen=True):
    """Number of settings that are checked, and number that AWS's service models define for these resources."""

    checked: int
    total: int


class DriftDocument(Struct, frozen=True):
    """Output of ``orchestrator drift --format json``: counts of resources by sync status, and each resource."""

    coverage: float
    drifted: int
    environment: str
    ignored: int
    lost_releases: tuple[str, ...]
    in_sync: int
    not_checked: int
    not_looked_at: Mapping[str, Mapping[str, tuple[str, ...]]]
    pending: int
    resources: tuple[ResourceDrift, ...]
    settings: SettingCounts
    unhealthy: int


class DriftView(Struct, frozen=True):
    """The drift of all resources of an environment: drifted ones first, then those not checked.

    ``lost_releases`` says which releases a rollback could no longer restore.
    """

    title: str
    place: str
    resources: tuple[ResourceDrift, ...]
    settings: DriftCoverage
    lost_releases: tuple[str, ...] = ()

    def count(self, status: SyncStatus) -> int:
        """Return how many resources have ``status``."""
        return sum(resource.sync is status for resource in self.resources)

    @property
    def coverage(self) -> float:
        """Percentage of all settings that AWS lets one set on the resources; 100 if there are none."""
        return self.settings.percentage

    @property
    def has_drifted(self) -> bool:
        return self.count(SyncStatus.DRIFTED) > 0

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to do something: something has drifted, is unhealthy, or could not be rolled back."""
        return self.has_drifted or self.count(SyncStatus.UNHEALTHY) > 0 or bool(self.lost_releases)

    @property
    def is_in_sync(self) -> bool:
        """Whether everything that was checked is as the manifests say, now."""
        return not self.needs_attention and self.count(SyncStatus.PENDING) == 0

    @property
    def headline(self) -> str:
        """Counts and coverage, such as ``1 drifted, 29 in sync, 1 not checked; coverage 96.8%``."""
        counts = [
            f"{self.count(status)} {status}"
            for status in (SyncStatus.DRIFTED, SyncStatus.IN_SYNC, SyncStatus.NOT_CHECKED)
        ]
        optional = (SyncStatus.UNHEALTHY, SyncStatus.PENDING, SyncStatus.IGNORED)
        counts += [f"{self.count(status)} {status}" for status in optional if self.count(status)]
        return f"{', '.join(counts)}; coverage {self.coverage:g}%"


LOST_ADVICE = (
    "Run `orchestrator deploy` to restore the missing parts of the current release, or to create a release that can be "
    "restored. To list all releases: orchestrator releases"
)

_STATUS_ORDER = (
    SyncStatus.DRIFTED,
    SyncStatus.UNHEALTHY,
    SyncStatus.PENDING,
    SyncStatus.NOT_CHECKED,
    SyncStatus.IGNORED,
    SyncStatus.IN_SYNC,
)
_REASONS = {
    Action.CREATE: "in the manifests, but not in AWS",
    Action.DELETE: "owned by this environment in AWS, but not in the manifests",
    Action.UPDATE: "differs",
    Action.REPLACE: "differs in a field that only a replacement can change",
}


def build_view(plan: Plan, lost_releases: tuple[str, ...] = ()) -> DriftView:
    """Build the drift view of a plan: a resource that it would change has drifted."""
    unread = {item.address: item for item in plan.unread}
    waived: dict[str, list[Waived]] = {}
    for waiver in plan.waived:
        waived.setdefault(waiver.address, []).append(waiver)
    resource_drifts = [
        _build_resource(change, waived.get(change.address, []))
        for change in plan.changes
        if change.address not in unread
    ]
    for item in unread.values():
        unread_resource = build_unread_view(item)
        resource_drifts.append(
            ResourceDrift(
                unread_resource.address, SyncStatus.NOT_CHECKED, clean_sentence(item.reason), sanitise(item.action)
            )
        )
    resource_drifts.sort(key=lambda resource: _STATUS_ORDER.index(resource.sync))
    return DriftView(
        sanitise(f"{plan.project}/{plan.environment}"),
        sanitise(f"account {plan.account}, {plan.region}"),
        tuple(resource_drifts),
        measure_coverage(plan),
        tuple(map(clean_sentence, lost_releases)),
    )


def render_text(drift: DriftView, style: Style, *, hide_in_sync: bool = False, list_not_looked_at: bool = False) -> str:
    """Return one line per resource with its fields below; ``hide_in_sync`` omits resources in sync.

    ``list_not_looked_at`` adds every setting that nothing reads, with the reason. The text ends with a newline.
    """
    lines = [f"{style.paint(drift.title, 'bold')} {style.paint(f'({drift.place})', 'dim')}"]
    lines.append(style.paint(f"{drift.headline}.", "alarm" if drift.needs_attention else "good"))
    lines.append("")
    colours = {
        SyncStatus.DRIFTED: "red",
        SyncStatus.UNHEALTHY: "red",
        SyncStatus.PENDING: "yellow",
        SyncStatus.NOT_CHECKED: "yellow",
        SyncStatus.IGNORED: "dim",
        SyncStatus.IN_SYNC: "green",
    }
    for resource in drift.resources:
        if hide_in_sync and resource.sync is SyncStatus.IN_SYNC:
            continue
        prefix = f"  {resource.sync:<11}  {resource.address}  "
        first, *more = (
            style.wrap(_format_reason(resource), prefix, " " * 15) if _format_reason(resource) else [prefix.rstrip()]
        )
        lines += [first.replace(resource.sync, style.paint(resource.sync, colours[resource.sync]), 1), *more]
        lines += list(_render_fields(resource, style))
    if drift.lost_releases:
        lines += ["", style.paint("Rollback", "alarm")]
        lines += [line for sentence in drift.lost_releases for line in style.wrap(f"{sentence}.", "  ")]
        lines += style.wrap(LOST_ADVICE, "  ")
    lines += ["", *_render_coverage(drift.settings, style, list_not_looked_at)]
    return style.replace_unencodable("\n".join(lines).rstrip() + "\n")


def _render_coverage(coverage: DriftCoverage, style: Style, list_not_looked_at: bool) -> Iterator[str]:
    if not list_not_looked_at:
        hint = ". To list the others, run: orchestrator drift --coverage" if coverage.not_looked_at else "."
        yield from style.wrap(f"{coverage.sentence}{hint}", "")
        return
    yield style.paint(f"{coverage.sentence}. Not checked:", "bold")
    for resource_type, settings, reason in describe_not_looked_at(coverage):
        yield from style.wrap(f"{resource_type}: {settings} ({reason})", "  ", " " * 4)


def render_markdown(drift: DriftView) -> str:
    """Return Markdown for a comment or a step summary; resources in sync are only counted."""
    parts = [f"{marker(drift.title, 'drift')}\n\n### {code_span(drift.title)}: {escape(drift.headline)}"]
    if drift.lost_releases:
        items = "\n".join(f"* {escape(sentence)}" for sentence in drift.lost_releases)
        parts.append(f"**Rollback**\n\n{items}\n\n{escape(LOST_ADVICE)}")
    out_of_sync = [resource for resource in drift.resources if resource.sync is not SyncStatus.IN_SYNC]
    bytes_left = MAX_COMMENT_BYTES - 2_000
    for number, section in enumerate(map(_render_section, out_of_sync)):
        bytes_left -= len(section.encode()) + 2
        if bytes_left < 0:
            parts.append(f"**{len(out_of_sync) - number} more omitted: the comment is too long.**")
            break
        parts.append(section)
    parts.append(escape(f"{drift.settings.sentence}."))
    return "\n\n".join(parts) + "\n"


def to_json(drift: DriftView) -> str:
    """Return the drift as indented JSON that ends with a newline."""
    document = DriftDocument(
        coverage=drift.coverage,
        drifted=drift.count(SyncStatus.DRIFTED),
        environment=drift.title,
        ignored=drift.count(SyncStatus.IGNORED),
        lost_releases=drift.lost_releases,
        in_sync=drift.count(SyncStatus.IN_SYNC),
        not_checked=drift.count(SyncStatus.NOT_CHECKED),
        not_looked_at=drift.settings.not_looked_at,
        pending=drift.count(SyncStatus.PENDING),
        resources=drift.resources,
        settings=SettingCounts(drift.settings.checked, drift.settings.total),
        unhealthy=drift.count(SyncStatus.UNHEALTHY),
    )
    return json.dumps(to_builtins(document), indent=2, ensure_ascii=False) + "\n"


def _build_resource(change: Change, waived: list[Waived]) -> ResourceDrift:
    address = clean_name(change.address)
    reasons = [
        *([_REASONS[change.action]] if change.action is not Action.NONE else []),
        *(describe_unmanaged(item) for item in change.unmanaged),
        *(_describe_waiver(waiver) for waiver in waived),
        *([clean_sentence(f"{change.health}: {change.status}")] if change.health is not Health.HEALTHY else []),
        *([POWER_HIBERNATED] if change.action is Action.NONE and change.status.startswith(POWER_HIBERNATED) else []),
        *(describe_pending(item) for item in change.pending),
        *(clean_sentence(f"could not read {setting}") for setting in change.unwatched),
    ]
    return ResourceDrift(
        address, _sync_status(change, waived), "; ".join(reasons), fields=_build_fields(change, waived)
    )


def _sync_status(change: Change, waived: list[Waived]) -> SyncStatus:
    if change.action is not Action.NONE or change.unmanaged:
        return SyncStatus.DRIFTED
    if change.health is Health.FAILED:
        return SyncStatus.UNHEALTHY
    if change.pending or change.health is Health.PROGRESSING:
        return SyncStatus.PENDING
    if change.unwatched:
        return SyncStatus.NOT_CHECKED
    return SyncStatus.IGNORED if waived else SyncStatus.IN_SYNC


def _build_fields(change: Change, waived: list[Waived]) -> tuple[FieldView, ...]:
    """Return the fields that differ, with what others have set; those of a waiver if nothing else differs."""
    if change.action is Action.CREATE:
        return ()
    unmanaged = tuple(FieldChange((item.field,), item.live, item.expected) for item in change.unmanaged)
    differing = (*change.fields, *unmanaged)
    return build_field_views(differing or tuple(waiver.field for waiver in waived))


def _describe_waiver(waiver: Waived) -> str:
    state = "was ignored until" if waiver.past else "is ignored until"
    note = "; that waiver has expired" if waiver.past else ""
    details = f"({waiver.owner}: {waiver.reason})"
    return clean_sentence(f"{'.'.join(waiver.field.path)} {state} {waiver.until} {details}{note}")


def _format_reason(resource: ResourceDrift) -> str:
    action = f" ({resource.action})" if resource.action and resource.action not in resource.reason else ""
    return f"{resource.reason}{action}"


def _render_fields(resource: ResourceDrift, style: Style) -> Iterator[str]:
    """Yield each field with its value in AWS, then its value in the manifests."""
    for field in resource.fields:
        values = f"{field.before or 'absent'} in AWS, {field.after or 'absent'} in the manifests"
        yield f"               {style.paint(field.sign, COLOUR_BY_SIGN[field.sign])} {field.path}: {values}"


def _render_section(resource: ResourceDrift) -> str:
    lines = [f"**{resource.sync}** {code_span(resource.address)}: {escape(_format_reason(resource))}"]
    rows = []
    for field in resource.fields[:60]:
        rows += [f"- {field.path}: {field.before}"] if field.before is not None else []
        rows += [f"+ {field.path}: {field.after}"] if field.after is not None else []
    return "\n\n".join([*lines, code_block(rows, "diff")] if rows else lines)
