"""Render the status of one environment on one screen.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import POWER_HIBERNATED, Health

_HEALTH_COLOURS = {Health.HEALTHY: "green", Health.PROGRESSING: "yellow", Health.FAILED: "red"}


class ComponentStatus(Struct, frozen=True):
    """One component: the worst health of its resources, problems or operations in progress, and its address."""

    component: str
    health: Health
    status: str = ""
    url: str = ""


class ReleaseStatus(Struct, frozen=True):
    """The current release; ``title`` is the commit's first line, "" if this checkout does not have the commit."""

    number: int
    at: str
    by: str
    commit: str
    result: str
    title: str = ""


class EnvironmentStatus(Struct, frozen=True):
    """One environment.  ``drift`` is a headline, ``lock`` says who holds it, ``pinned`` names the pinned parts.

    ``idle_usd`` is the estimated monthly cost of the resources in AWS, null if there are none.
    """

    project: str
    environment: str
    account: str
    region: str
    components: tuple[ComponentStatus, ...]
    drift: str
    in_sync: bool
    release: ReleaseStatus | None = None
    lock: str = ""
    pinned: tuple[str, ...] = ()
    idle_usd: float | None = None

    @property
    def is_well(self) -> bool:
        """Whether everything is healthy and as the manifests say."""
        return self.in_sync and all(component.health is Health.HEALTHY for component in self.components)


def render_text(status: EnvironmentStatus, style: Style) -> str:
    """Return the status as text that ends with a newline."""
    title = style.paint(clean_name(f"{status.project}/{status.environment}"), "bold")
    place = style.paint(clean_name(f"(account {status.account}, {status.region})"), "dim")
    lines = [f"{title} {place}", *_release_lines(status), "", *_component_lines(status, style), ""]
    lines.append(style.paint(f"Drift: {status.drift}", "good" if status.in_sync else "alarm"))
    lines.append(f"Lock: {clean_sentence(status.lock) or 'free'}")
    if status.pinned:
        lines.append(style.paint(f"Pinned: {', '.join(map(clean_name, status.pinned))}", "yellow"))
    if status.idle_usd is not None:
        lines.append(f"Cost: about {status.idle_usd:.2f} USD a month idle, before VAT and traffic")
    return style.replace_unencodable("\n".join(lines) + "\n")


def _release_lines(status: EnvironmentStatus) -> Iterator[str]:
    release = status.release
    if release is None:
        yield "Release: none yet"
        return
    commit = f"{clean_name(release.commit)} {clean_sentence(release.title)}".strip() or "no commit"
    yield f"Release {release.number} ({release.result}): {commit}, by {clean_name(release.by)}, {release.at}"


def _component_lines(status: EnvironmentStatus, style: Style) -> Iterator[str]:
    width = max((len(item.component) for item in status.components), default=0)
    for item in status.components:
        is_hibernated = item.status.startswith(POWER_HIBERNATED)
        state = POWER_HIBERNATED if is_hibernated else item.health.value
        health = style.paint(f"{state:<11}", _HEALTH_COLOURS[item.health])
        # Of what is healthy only the remarks: that storage grew, how the last restore drill ended.
        status_text = item.status.partition("; ")[2] if item.health is Health.HEALTHY else item.status
        status_note = clean_sentence(status_text)
        details = "  ".join(filter(None, [clean_name(item.url), status_note]))
        yield f"  {clean_name(item.component):<{width}}  {health}  {details}".rstrip()
