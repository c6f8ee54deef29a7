"""AWS Budgets: notifications, subscribers, defaults, tags."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.account import Client, Clients, error_code

ACCOUNT = "123456789012"
ARN = f"arn:aws:budgets::{ACCOUNT}:budget/monthly"
MAIL = {"SubscriptionType": "EMAIL", "Address": "ops@joiabagur.example"}


def at(threshold: float) -> dict[str, Any]:
    return {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": threshold,
        "ThresholdType": "ABSOLUTE_VALUE",
    }


@pytest.fixture
def budgets(aws: Clients) -> Client:
    client = aws("budgets", "us-east-1")
    client.create_budget(
        AccountId=ACCOUNT,
        Budget=budget("60"),
        NotificationsWithSubscribers=[{"Notification": at(20.0), "Subscribers": [MAIL]}],
        ResourceTags=[{"Key": "a", "Value": "1"}],
    )
    return client


def budget(amount: str) -> dict[str, Any]:
    return {
        "BudgetName": "monthly",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": amount, "Unit": "USD"},
        "CostTypes": {"IncludeCredit": False},
    }


def test_defaults_are_filled(budgets: Client) -> None:
    """Cost types, the period, and an amount with its decimal."""
    found = budgets.describe_budget(AccountId=ACCOUNT, BudgetName="monthly")["Budget"]

    assert found["BudgetLimit"] == {"Amount": "60.0", "Unit": "USD"}
    assert (found["CostTypes"]["IncludeCredit"], found["CostTypes"]["IncludeRefund"]) == (False, True)
    assert found["CostTypes"]["UseBlended"] is False
    assert found["TimePeriod"]["End"].year == 2087


def test_an_update_leaves_the_notifications(budgets: Client) -> None:
    """They are managed by their own calls."""
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget("80"))

    named = {"AccountId": ACCOUNT, "BudgetName": "monthly"}
    assert budgets.describe_budget(**named)["Budget"]["BudgetLimit"]["Amount"] == "80.0"
    notifications = budgets.describe_notifications_for_budget(**named)["Notifications"]
    assert [each["Threshold"] for each in notifications] == [20.0]


def test_notifications_and_subscribers(budgets: Client) -> None:
    """Made, changed and deleted one by one."""
    named = {"AccountId": ACCOUNT, "BudgetName": "monthly"}
    other = {**MAIL, "Address": "cfo@joiabagur.example"}
    budgets.create_notification(**named, Notification=at(40.0), Subscribers=[MAIL])
    budgets.update_notification(**named, OldNotification=at(20.0), NewNotification=at(30.0))
    budgets.create_subscriber(**named, Notification=at(30.0), Subscriber=other)
    budgets.delete_subscriber(**named, Notification=at(30.0), Subscriber=MAIL)
    budgets.delete_notification(**named, Notification=at(40.0))

    assert [each["Threshold"] for each in budgets.describe_notifications_for_budget(**named)["Notifications"]] == [30.0]
    found = budgets.describe_subscribers_for_notification(**named, Notification=at(30.0))
    assert found["Subscribers"] == [other]
    assert error_code(budgets.delete_notification, **named, Notification=at(40.0)) == "NotFoundException"


def test_a_budget_is_made_once(budgets: Client) -> None:
    """And is gone when deleted."""
    assert error_code(budgets.create_budget, AccountId=ACCOUNT, Budget=budget("60")) == "DuplicateRecordException"
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName="monthly")
    assert error_code(budgets.describe_budget, AccountId=ACCOUNT, BudgetName="monthly") == "NotFoundException"


def test_tags(budgets: Client) -> None:
    """Given at creation, changed by ARN."""
    budgets.tag_resource(ResourceARN=ARN, ResourceTags=[{"Key": "b", "Value": "2"}])
    budgets.untag_resource(ResourceARN=ARN, ResourceTagKeys=["a"])

    assert budgets.list_tags_for_resource(ResourceARN=ARN)["ResourceTags"] == [{"Key": "b", "Value": "2"}]
