"""Find the last restore drill of each database, and those whose manifest wants one now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.resources.rds_instance.messages import is_drill_due
from orchestrator.runs.settings import Settings
from orchestrator.state.protocol.records import RestoreDrill
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.values import WriteOnly

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.vocabulary import LiveResource, Resource


def find_due(settings: Settings) -> tuple[str, ...]:
    """Return the names of the Databases whose restore drill is due. Raises Problems if AWS cannot be read."""
    from orchestrator.planning import pipeline

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    return list_due(pipeline.plan(desired))


def list_due(planned: PreparedPlan) -> tuple[str, ...]:
    """Return the names of the Databases of a plan whose restore drill is due."""
    today = datetime.now(UTC).date().isoformat()
    return tuple(resource.name for resource, live in _databases(planned) if is_drill_due(resource.spec, live, today))


def describe_drills(planned: PreparedPlan) -> tuple[RestoreDrill, ...]:
    """Return the last restore drill of each Database that exists, for the state service."""
    return tuple(_describe(resource, live) for resource, live in _databases(planned))


def _describe(resource: Resource, live: LiveResource) -> RestoreDrill:
    limit, result = resource.spec.get("drill_every_days"), live.private.get("last_drill")
    limit_days = int(str(limit.value)) if isinstance(limit, WriteOnly) else 0
    if result is None:
        return RestoreDrill(resource.name, limit_days=limit_days)
    at = format_timestamp(result.at.timestamp())
    return RestoreDrill(resource.name, result.verdict, at, result.seconds, limit_days)


def _databases(planned: PreparedPlan) -> tuple[tuple[Resource, LiveResource], ...]:
    return tuple(
        (task.resource, task.live)
        for address, task in sorted(planned.tasks.items())
        if address.startswith("rds_instance.") and task.resource is not None and task.live is not None
    )
