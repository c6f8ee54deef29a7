"""Find the databases whose manifest wants a restore drill now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.resources.rds_instance.messages import is_drill_due
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan


def find_due(settings: Settings) -> tuple[str, ...]:
    """Return the names of the Databases whose restore drill is due. Raises Problems if AWS cannot be read."""
    from orchestrator.planning import pipeline

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    return list_due(pipeline.plan(desired))


def list_due(planned: PreparedPlan) -> tuple[str, ...]:
    """Return the names of the Databases of a plan whose restore drill is due."""
    today = datetime.now(UTC).date().isoformat()
    return tuple(
        task.resource.name
        for address, task in sorted(planned.tasks.items())
        if address.startswith("rds_instance.") and task.resource is not None and task.live is not None
        if is_drill_due(task.resource.spec, task.live, today)
    )
