"""Check an environment for drift, and whether its releases can still be restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate
    from orchestrator.render.drift import DriftView


def check_drift(settings: Settings, candidate: ReleaseCandidate, planned: PreparedPlan) -> DriftView:
    """Return the drift that ``planned`` shows and record it with the state service; print a note if that fails."""
    from orchestrator.aws import Reader
    from orchestrator.release import rollback
    from orchestrator.render import drift

    ledger, store = candidate.ledger, candidate.store
    reader = Reader(candidate.clients) if candidate.clients is not None else None
    lost_releases = rollback.describe_lost(ledger, store, reader) if store and reader else ()
    drift_view = drift.build_view(planned.plan, lost_releases)
    reporter.record_drift(settings, drift_view, planned)
    if store and reader:
        environment = f"{planned.plan.project}/{planned.plan.environment}"
        reporter.record_releases(settings, ledger, store, reader, environment)
    return drift_view
