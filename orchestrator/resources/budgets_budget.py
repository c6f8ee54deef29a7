"""Manage monthly cost budgets. API: Budgets CreateBudget, UpdateBudget, CreateNotification, CreateSubscriber.

AWS evaluates a budget once or twice a day and sends alerts; it stops nothing. In the API, notifications are separate
from the budget: each is created and deleted on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import FieldChange, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

NOT_FOUND_CODES = ("NotFoundException",)
COST_TYPE_MEMBERS = {
    "include_credit": "IncludeCredit",
    "include_refund": "IncludeRefund",
    "include_tax": "IncludeTax",
    "include_support": "IncludeSupport",
}
PRESERVED_MEMBERS = ("CostFilters", "TimePeriod")

WATCHED = {
    "cost_filters": Watched(
        "CostFilters", "The budget counts only part of the costs; to change that, run `aws budgets update-budget`"
    ),
    "filter_expression": Watched("FilterExpression", "The budget counts only part of the costs"),
    "auto_adjust": Watched("AutoAdjustData", "AWS adjusts the limit; to stop that, run `aws budgets update-budget`"),
    "planned_limits": Watched(
        "PlannedBudgetLimits", "The limit changes over time; to stop that, run `aws budgets update-budget`"
    ),
    "budget_type": Watched(
        "BudgetType", "The budget does not count costs; to change that, run `aws budgets update-budget`", ("COST",)
    ),
    "end": Watched(
        "TimePeriod.End && !starts_with(to_string(TimePeriod.End), '\"2087') && to_string(TimePeriod.End)",
        "The budget ends on that date; to change that, run `aws budgets update-budget`",
    ),
    "billing_view": Watched(
        "BillingViewArn && !ends_with(BillingViewArn, 'billingview/primary') && BillingViewArn",
        "The budget counts only part of the costs; to change that, run `aws budgets update-budget`",
    ),
    "cost_types": Watched(
        "CostTypes.[IncludeSubscription == `false` && 'IncludeSubscription: false', "
        "IncludeUpfront == `false` && 'IncludeUpfront: false', "
        "IncludeRecurring == `false` && 'IncludeRecurring: false', "
        "IncludeOtherSubscription == `false` && 'IncludeOtherSubscription: false', "
        "IncludeDiscount == `false` && 'IncludeDiscount: false', "
        "UseBlended && 'UseBlended: true', UseAmortized && 'UseAmortized: true'] | [?@]",
        "The budget leaves out or converts some costs; to change that, run `aws budgets update-budget`",
    ),
}
RECOUNT_EFFECT = "The budget shows no spend until AWS recalculates it, within a day."
GENTLE = frozenset({RECOUNT_EFFECT})
"""Effects that need no approval."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with amounts as numbers and notifications sorted."""
    normalised = dict(spec)
    if "limit" in spec:
        normalised["limit"] = float(spec["limit"])
    if "notifications" in spec:
        normalised["notifications"] = sort_canonically(
            [_normalise_notification(notification) for notification in spec["notifications"]]
        )
    return normalised


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the budget with its tags, and its notifications and subscribers if the spec asks for them, or None."""
    budget = next((item for item in _list_budgets(aws, scope) if item["BudgetName"] == name), None)
    if budget is None:
        return None
    tag_response = (
        aws.get("budgets", "list_tags_for_resource", ResourceARN=_budget_arn(scope, name), missing=NOT_FOUND_CODES)
        or {}
    )
    tags = from_aws_tags(tag_response.get("ResourceTags"))
    limit, charges = budget.get("BudgetLimit", {}), budget.get("CostTypes", {})
    live_spec = {
        "limit": limit.get("Amount", 0),
        "currency": limit.get("Unit"),
        "period": budget["TimeUnit"],
        **{field: charges.get(member, True) for field, member in COST_TYPE_MEMBERS.items()},
        "tags": tags,
    }
    if "notifications" in spec:
        live_spec["notifications"] = _read_notifications(aws, scope, name)
    return LiveResource(
        normalise(live_spec),
        {"name": name, "arn": _budget_arn(scope, name)},
        {"budget": budget},
        unmanaged=find_changes(WATCHED, budget) if spec else (),
        **parse_ownership(tags),
    )


def discover(aws: AwsReader, scope: Scope) -> list[str]:
    """Return the names of budgets with the environment's prefix, which the tagging API does not list."""
    return [
        budget["BudgetName"]
        for budget in _list_budgets(aws, scope)
        if budget["BudgetName"].startswith(f"{scope.name_prefix}-")
    ]


def _list_budgets(aws: AwsReader, scope: Scope) -> list[Any]:
    return aws.all("budgets", "describe_budgets", "Budgets", AccountId=scope.account, missing=NOT_FOUND_CODES)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the budget with its notifications and tags in one call."""
    request = {
        "AccountId": scope.account,
        "Budget": _build_budget(name, spec, {}),
        "NotificationsWithSubscribers": [
            {
                "Notification": _build_notification(notification),
                "Subscribers": _build_subscribers(notification["emails"]),
            }
            for notification in spec["notifications"]
        ],
        "ResourceTags": to_aws_tags(spec["tags"]),
    }
    yield ApiCall(
        "budgets",
        "create_budget",
        request,
        exists_codes=("DuplicateRecordException",),
        read_existing=confirm_existing(read, scope, name, spec, compared=True),
    )
    return {"name": name, "arn": _budget_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update tags, budget and notifications, each only if it differs.

    AWS resets the amount spent when the budget is updated, until it recalculates.
    """
    if "tags" in changed:
        yield ApiCall(
            "budgets",
            "tag_resource",
            {"ResourceARN": _budget_arn(scope, name), "ResourceTags": to_aws_tags(spec["tags"])},
        )
    if changed - {"tags", "notifications"}:
        budget = _build_budget(name, spec, live.private["budget"])
        yield ApiCall("budgets", "update_budget", {"AccountId": scope.account, "NewBudget": budget})
    if "notifications" in changed:
        yield from _update_notifications({"AccountId": scope.account, "BudgetName": name}, spec, live)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the budget with its notifications."""
    yield ApiCall(
        "budgets", "delete_budget", {"AccountId": scope.account, "BudgetName": name}, ok_codes=NOT_FOUND_CODES
    )
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    """Return the effects of a change; AWS documents the reset for UpdateBudget."""
    if all(field.path[0] in {"tags", "notifications"} for field in fields):
        return ()
    return (RECOUNT_EFFECT,)


def _budget_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:budgets::{scope.account}:budget/{name}"


def _build_budget(name: str, spec: Mapping[str, Value], live: Mapping[str, Any]) -> dict[str, Any]:
    cost_types = {member_name: spec[field] for field, member_name in COST_TYPE_MEMBERS.items() if field in spec}
    return {
        **{member: live[member] for member in PRESERVED_MEMBERS if live.get(member)},
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": spec["period"],
        "BudgetLimit": {"Amount": _format_amount(spec["limit"]), "Unit": spec["currency"]},
        "CostTypes": {**live.get("CostTypes", {}), **cost_types},
    }


def _format_amount(limit: float) -> str:
    """Return an amount with every digit: AWS accepts no exponent."""
    return f"{Decimal(str(limit)):f}".removesuffix(".0")


def _read_notifications(aws: AwsReader, scope: Scope, name: str) -> list[dict[str, Any]]:
    budget_key = {"AccountId": scope.account, "BudgetName": name}
    notifications = aws.all(
        "budgets", "describe_notifications_for_budget", "Notifications", missing=NOT_FOUND_CODES, **budget_key
    )
    live_notifications = []
    for notification in notifications:
        notification_members = {
            item: notification[item] for item in NOTIFICATION_MEMBERS.values() if item in notification
        }
        subscribers = aws.all(
            "budgets",
            "describe_subscribers_for_notification",
            "Subscribers",
            missing=NOT_FOUND_CODES,
            Notification=notification_members,
            **budget_key,
        )
        emails = [item["Address"] for item in subscribers if item["SubscriptionType"] == "EMAIL"]
        live_notifications.append(
            {
                **{field: notification.get(member_name) for field, member_name in NOTIFICATION_MEMBERS.items()},
                "emails": emails,
            }
        )
    return live_notifications


NOTIFICATION_MEMBERS = {
    "type": "NotificationType",
    "operator": "ComparisonOperator",
    "threshold": "Threshold",
    "unit": "ThresholdType",
}


def _normalise_notification(notification: Mapping[str, Value]) -> dict[str, Value]:
    """Return a notification with AWS's defaults: a threshold is a percentage unless specified otherwise."""
    return {
        "type": notification["type"],
        "operator": notification.get("operator") or "GREATER_THAN",
        "threshold": float(notification["threshold"]),
        "unit": notification.get("unit") or "PERCENTAGE",
        "emails": sort_canonically(list(notification["emails"])),
    }


def _build_notification(notification: Mapping[str, Value]) -> dict[str, Value]:
    return {member: notification[field] for field, member in NOTIFICATION_MEMBERS.items()}


def _build_notification_with_subscribers(notification: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "Notification": _build_notification(notification),
        "Subscribers": _build_subscribers(notification["emails"]),
    }


def _build_subscribers(emails: list[Value]) -> list[dict[str, Value]]:
    return [{"SubscriptionType": "EMAIL", "Address": email} for email in emails]


def _update_notifications(budget: Mapping[str, Value], spec: Mapping[str, Value], live: LiveResource) -> Steps:
    """Yield the steps that update the notifications. Deletes surplus ones first, because AWS limits their number."""
    desired = {_notification_key(notification): notification for notification in spec["notifications"]}
    existing = {_notification_key(notification): notification for notification in live.spec.get("notifications", ())}
    for key in [key for key in existing if key not in desired]:
        yield ApiCall(
            "budgets",
            "delete_notification",
            {**budget, "Notification": _build_notification(existing[key])},
            ok_codes=NOT_FOUND_CODES,
        )
    for key, notification in desired.items():
        request = {**budget, "Notification": _build_notification(notification)}
        if key not in existing:
            create_request = {**request, "Subscribers": _build_subscribers(notification["emails"])}
            yield ApiCall("budgets", "create_notification", create_request, ok_codes=("DuplicateRecordException",))
        else:
            yield from _update_subscribers(request, notification["emails"], existing[key]["emails"])
    return {}


def _update_subscribers(
    notification: Mapping[str, Value], desired_emails: list[str], current_emails: list[str]
) -> Steps:
    """Yield the steps that update the subscribers. Adds first, because the last subscriber cannot be removed."""
    for email in desired_emails:
        if email not in current_emails:
            request = {**notification, "Subscriber": _build_subscribers([email])[0]}
            yield ApiCall("budgets", "create_subscriber", request, ok_codes=("DuplicateRecordException",))
    for email in current_emails:
        if email not in desired_emails:
            request = {**notification, "Subscriber": _build_subscribers([email])[0]}
            yield ApiCall("budgets", "delete_subscriber", request, ok_codes=NOT_FOUND_CODES)
    return {}


def _notification_key(notification: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(notification[member] for member in NOTIFICATION_MEMBERS)
