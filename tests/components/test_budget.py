"""What a Budget becomes, and what it is not allowed to say."""

from __future__ import annotations

from pathlib import Path

from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document


def test_a_budget_warns_of_what_is_spent_and_of_what_will_be(tmp_path: Path) -> None:
    """Every amount becomes a notification in money, and credits do not hide the cost."""
    spec = "{ limit: 60, alerts: [20, 60], forecast: [60], email: [ops@shop.example] }"
    made = manifest_stacks.load_resources(tmp_path, make_document("Budget", "monthly", spec))["budgets_budget.monthly"]

    assert made.physical == "shop-prod-monthly"
    assert [(each["type"], each["threshold"], each["unit"]) for each in made.spec["notifications"]] == [
        ("ACTUAL", 20, "ABSOLUTE_VALUE"),
        ("ACTUAL", 60, "ABSOLUTE_VALUE"),
        ("FORECASTED", 60, "ABSOLUTE_VALUE"),
    ]
    assert {each["emails"][0] for each in made.spec["notifications"]} == {"ops@shop.example"}
    assert (made.spec["include_credit"], made.spec["include_refund"]) == (False, False)


def test_no_more_notifications_than_aws_allows(tmp_path: Path) -> None:
    """Alerts and forecasts share one limit."""
    spec = "{ limit: 60, alerts: [1, 2, 3], forecast: [4, 5, 6], email: [ops@shop.example] }"

    assert manifest_stacks.list_problems(tmp_path, make_document("Budget", "monthly", spec)) == [
        "too many notifications: 3 alerts and 3 forecasts; AWS allows 5 per budget"
    ]


def test_a_budget_that_tells_nobody_is_no_budget(tmp_path: Path) -> None:
    """Neither alerts nor forecasts: an oversight."""
    spec = "{ limit: 60, email: [ops@shop.example] }"

    assert manifest_stacks.list_problems(tmp_path, make_document("Budget", "monthly", spec)) == [
        "a budget without alerts or forecasts sends no notifications"
    ]
