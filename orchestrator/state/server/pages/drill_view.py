"""What pages show about the restore drills of an environment.  Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.state.protocol.records import RestoreDrill
from orchestrator.state.server.pages.formatting import to_unix_seconds

DAY_SECONDS = 86400
VERDICT_LABELS = {"passed": "passed", "failed": "failed", "unverified": "restored, rows not read", "": "never tested"}


class DrillView(Struct, frozen=True):
    """A database with its last drill; ``is_due`` if the manifest wants another one now, or none has succeeded."""

    drill: RestoreDrill
    is_due: bool

    @property
    def label(self) -> str:
        return VERDICT_LABELS.get(self.drill.verdict, self.drill.verdict)

    @property
    def verdict_tone(self) -> str:
        """The colour of the drill's result alone, whether or not the next drill is due."""
        return {"passed": "good", "failed": "bad"}.get(self.drill.verdict, "warn")

    @property
    def tone(self) -> str:
        if self.drill.verdict == "failed":
            return "bad"
        return "warn" if self.is_due or self.drill.verdict != "passed" else "good"


def build_drill_view(drill: RestoreDrill, now: float) -> DrillView:
    """Return what pages show about the last drill of a database; ``now`` in Unix seconds."""
    at = to_unix_seconds(drill.at)
    if at is None or drill.verdict == "failed":
        return DrillView(drill, is_due=True)
    return DrillView(drill, is_due=bool(drill.limit_days) and now - at >= drill.limit_days * DAY_SECONDS)


def list_drill_views(drills: tuple[RestoreDrill, ...] | None, now: float) -> tuple[DrillView, ...]:
    """Return the views of all databases, none if no drift check has read them."""
    return tuple(build_drill_view(drill, now) for drill in drills or ())


def choose_worst(views: tuple[DrillView, ...]) -> DrillView | None:
    """Return the drill that needs attention most, None without a database."""
    return max(views, key=lambda view: (("good", "warn", "bad").index(view.tone), -len(view.drill.at)), default=None)
