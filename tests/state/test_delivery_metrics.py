"""How well a team delivers: what counts as a deploy, as a failure of one, and as the end of an outage."""

from __future__ import annotations

from typing import Any

from orchestrator.state.protocol.records import Run
from orchestrator.state.server.delivery_metrics import weekly_metrics
from orchestrator.state.server.filters import DeliveryMetrics


def run(minute: int, verb: Any, status: Any, day: int = 23, environment: str = "shop/prod", committed: str = "") -> Run:
    """A run of Monday the 23rd, which ended in this minute of its ninth hour."""
    at = f"2026-11-{day}T09:{minute:02}:00.000Z"
    known = f"2026-11-{day}T{committed}:00.000Z" if committed else ""
    return Run(
        f"{day}-{minute}-{environment}", environment, verb, "ana", "c", at, status, committed_at=known, ended_at=at
    )


def test_a_week_in_which_all_went_well() -> None:
    """From the commit to the deploy that brought it; the median, so that one long wait does not tell all."""
    found = weekly_metrics(
        [run(0, "deploy", "succeeded", committed="08:00"), run(30, "deploy", "succeeded", committed="09:20")]
    )

    assert found == (DeliveryMetrics("2026-11-23", 2, 0, (3600 + 600) / 2, None),)


def test_what_fails_by_itself_and_what_somebody_goes_back_from() -> None:
    """Both are failed changes; the outage ends with the next success, and begins with the first failure."""
    by_itself = weekly_metrics(
        [
            run(0, "deploy", "succeeded"),
            run(10, "deploy", "failed"),
            run(15, "deploy", "returned"),
            run(40, "deploy", "succeeded"),
        ]
    )
    by_hand = weekly_metrics([run(0, "deploy", "succeeded"), run(20, "rollback", "succeeded")])

    assert by_itself == (DeliveryMetrics("2026-11-23", 4, 2, None, 30 * 60.0),)
    assert by_hand == (DeliveryMetrics("2026-11-23", 1, 1, None, 20 * 60.0),)


def test_what_is_no_deploy_counts_for_nothing() -> None:
    """Nobody agreed, a newer run did it, another environment, a destroy; and each week stands for itself."""
    found = weekly_metrics(
        [
            run(0, "deploy", "succeeded"),
            run(1, "deploy", "interrupted"),
            run(2, "deploy", "superseded"),
            run(3, "destroy", "failed"),
            run(4, "deploy", "failed", environment="shop/qa"),
            run(5, "deploy", "succeeded"),
            run(0, "deploy", "succeeded", day=30),
        ]
    )

    assert [(week.week, week.deploys, week.failures, week.restore_seconds) for week in found] == [
        ("2026-11-23", 3, 1, None),
        ("2026-11-30", 1, 0, None),
    ]
