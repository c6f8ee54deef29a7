"""The line for people: what a plan would release, in the words of the team."""

from __future__ import annotations

import pytest

from orchestrator.render.release_summary import ReleaseFacts, summarize
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

QUIET = frozenset({"Requests in progress are finished."})


def change(address: str, action: Action = Action.UPDATE, *effects: str, **fields: str) -> Change:
    differences = tuple(FieldChange((name,), before, None) for name, before in fields.items())
    component = {"s3_site": "bucket", "ecr_image": "containerservice"}.get(address.partition(".")[0], "database")
    return Change(
        address, action, address, f"{component}.{address.partition('.')[2]}", fields=differences, effects=effects
    )


CASES = {
    "an image": ((change("ecr_image.api"),), {"commits": 3}, "API: new image (3 commits)"),
    "one commit": ((change("ecr_image.api"),), {"commits": 1}, "API: new image (1 commit)"),
    "commits unknown": ((change("ecr_image.worker"),), {}, "Worker: new image"),
    "the same image": ((change("ecr_image.api", Action.NONE),), {"commits": 3}, "API: unchanged"),
    "files of a site": (
        (change("s3_site.web", files="2 to add, 1 to change"),),
        {},
        "Site: files 2 to add, 1 to change",
    ),
    "the first site": ((change("s3_site.web", Action.CREATE),), {}, "Site: new"),
    "a site to build": ((), {"sites": {"bucket.web": "will be rebuilt"}}, "Site: will be rebuilt"),
    "a stale build": (
        (change("s3_site.web", Action.NONE),),
        {"sites": {"bucket.web": "will be rebuilt (4 source files changed)"}},
        "Site: will be rebuilt (4 source files changed)",
    ),
    "two sites": (
        (change("s3_site.web", Action.NONE), change("s3_site.admin")),
        {},
        "Site web: unchanged · Site admin: changed",
    ),
    "the same database": ((change("rds_instance.main", Action.NONE),), {}, "Database: unchanged"),
    "a larger database": ((change("rds_instance.main"),), {}, "Database: main to update"),
    "a migration": (
        (change("rds_instance.main", Action.NONE), change("migration.api", Action.CREATE)),
        {},
        "Database: migration by api",
    ),
    "held back": ((), {"held": ("containerservice.api", "bucket.web")}, "pinned: containerservice.api, bucket.web"),
    "nothing held": ((), {}, "pinned: none"),
    "no downtime": ((change("ecr_image.api"),), {}, "No downtime"),
    "quiet effects": ((change("ecs_express_service.api", Action.UPDATE, *QUIET),), {}, "No downtime"),
    "an outage": ((change("rds_instance.main", Action.UPDATE, "Restarts it."),), {}, "Interruption: main"),
    "a replaced service": ((change("apprunner_service.api", Action.REPLACE),), {}, "Interruption: api"),
}
"""Changes, facts, and what the line has to contain."""


@pytest.mark.parametrize("name", CASES)
def test_the_line(name: str) -> None:
    changes, facts, part = CASES[name]
    line = summarize(Plan("shop", "prod", "1", "r", changes), ReleaseFacts(**facts), 2.1, QUIET)  # type: ignore[arg-type]

    assert part in line
    assert "+2.10 USD/month" in line


@pytest.mark.parametrize(
    ("cost", "text"), [(0.0, "Cost unchanged"), (-14.95, "-14.95 USD/month"), (0.001, "Cost unchanged")]
)
def test_the_cost(cost: float, text: str) -> None:
    assert text in summarize(Plan("shop", "prod", "1", "r", ()), ReleaseFacts(), cost, QUIET)


def test_no_price_is_no_cost() -> None:
    assert "USD" not in summarize(Plan("shop", "prod", "1", "r", ()), ReleaseFacts(), None, QUIET)
