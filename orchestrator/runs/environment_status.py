"""Gather the state of one environment: what runs where, how it is, what is held back.  Reads only."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator import shell
from orchestrator.planning import pipeline
from orchestrator.planning.plan import PreparedPlan
from orchestrator.release import Release, bucket_lease, checkout
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.render import drift
from orchestrator.render.status_view import ComponentStatus, EnvironmentStatus, ReleaseStatus
from orchestrator.runs import plan_output
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Health

_ADDRESS_OUTPUTS = {
    "apprunner_service": ("", "url"),
    "ecs_express_service": ("", "url"),
    "cloudfront_distribution": ("https://", "domain"),
}
"""Resource types that people open in a browser: the prefix and the output of the address."""


def read_status(settings: Settings) -> EnvironmentStatus:
    """Return the status of the environment.

    Raises Problems if the manifests are invalid, or AWS or the release bucket cannot be read.
    """
    candidate = checkout.load(settings.manifests, settings.environment, is_promoting=False)
    planned = pipeline.plan(candidate.desired, clients=candidate.clients, preserves_power=True)
    plan, drift_view = planned.plan, drift.build_view(planned.plan)
    costs = plan_output.estimate_costs(planned)
    return EnvironmentStatus(
        plan.project,
        plan.environment,
        plan.account,
        plan.region,
        _component_statuses(planned),
        drift_view.headline,
        drift_view.is_in_sync,
        _release_status(settings, candidate.ledger.current_release),
        bucket_lease.describe_lock(candidate.store) if _has_bucket(candidate) and candidate.store else "",
        tuple(dict.fromkeys(pin.part for pin in candidate.ledger.pins)),
        costs[0].idle if costs and costs[0].line_items else None,
    )


def list_addresses(planned: PreparedPlan) -> Mapping[str, str]:
    """Return where each component answers, by component."""
    addresses: dict[str, str] = {}
    for address, live in planned.live.items():
        prefix, output = _ADDRESS_OUTPUTS.get(address.partition(".")[0], ("", ""))
        if output and live.outputs.get(output):
            task = planned.tasks.get(address)
            component = task.resource.component if task and task.resource else live.component
            addresses[component or address] = f"{prefix}{live.outputs[output]}"
    return addresses


def _has_bucket(candidate: ReleaseCandidate) -> bool:
    return candidate.store is not None and candidate.store.exists()


def _component_statuses(planned: PreparedPlan) -> tuple[ComponentStatus, ...]:
    addresses = list_addresses(planned)
    healths: dict[str, tuple[Health, str]] = {}
    worst_first = (Health.FAILED, Health.PROGRESSING, Health.HEALTHY)
    for change in planned.plan.changes:
        health, status = healths.get(change.component, (Health.HEALTHY, ""))
        if worst_first.index(change.health) < worst_first.index(health) or (change.status and not status):
            healths[change.component] = (change.health, change.status)
        else:
            healths[change.component] = (health, status)
    return tuple(
        ComponentStatus(component, health, status, addresses.get(component, ""))
        for component, (health, status) in sorted(healths.items())
        if component
    )


def _release_status(settings: Settings, release: Release | None) -> ReleaseStatus | None:
    if release is None:
        return None
    title = ""
    if release.commit and shell.which("git") is not None:
        command = ["git", "show", "--no-patch", "--format=%s", release.commit]
        shown = shell.run(command, folder=settings.manifests, timeout=10)
        title = shown.output.strip() if shown.exit_code == 0 else ""
    return ReleaseStatus(release.number, release.at, release.by, release.commit[:12], release.result, title)
