"""Monthly cost budgets.  API: Budgets CreateBudget, UpdateBudget, CreateNotification, CreateSubscriber.

A budget looks once or twice a day and warns; it stops nothing.  Its notifications are no part of it in the API: each
is made and removed on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import FieldChange, Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

GONE = ("NotFoundException",)
CHARGES = {
    "include_credit": "IncludeCredit",
    "include_refund": "IncludeRefund",
    "include_tax": "IncludeTax",
    "include_support": "IncludeSupport",
}
CARRIED = ("CostFilters", "TimePeriod")

RECOUNT = "The budget shows nothing spent until AWS has counted again, within a day."
GENTLE = frozenset({RECOUNT})
"""Effects that nobody has to agree to."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Amounts are numbers, and notifications a set."""
    found = dict(spec)
    if "limit" in spec:
        found["limit"] = float(spec["limit"])
    if "notifications" in spec:
        found["notifications"] = canonical([_notification(each) for each in spec["notifications"]])
    return found


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all, and its tags; then, where they are asked about, its notifications and who hears of each."""
    budget = next((each for each in _listed(aws, scope) if each["BudgetName"] == name), None)
    if budget is None:
        return None
    listed = aws.get("budgets", "list_tags_for_resource", ResourceARN=_arn(scope, name), missing=GONE) or {}
    tags = mapping(listed.get("ResourceTags"))
    limit, charges = budget.get("BudgetLimit", {}), budget.get("CostTypes", {})
    found = {
        "limit": limit.get("Amount", 0),
        "currency": limit.get("Unit"),
        "period": budget["TimeUnit"],
        **{ours: charges.get(theirs, True) for ours, theirs in CHARGES.items()},
        "tags": tags,
    }
    if "notifications" in spec:
        found["notifications"] = _notifications(aws, scope, name)
    return Live(normalise(found), {"name": name, "arn": _arn(scope, name)}, {"budget": budget}, **marks(tags))


def discover(aws: Aws, scope: Scope) -> list[str]:
    """The tagging API knows no budgets; of those with our prefix, the tags tell whose they are."""
    return [each["BudgetName"] for each in _listed(aws, scope) if each["BudgetName"].startswith(f"{scope.prefix}-")]


def _listed(aws: Aws, scope: Scope) -> list[Any]:
    return aws.all("budgets", "describe_budgets", "Budgets", AccountId=scope.account, missing=GONE)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """With its notifications and its tags at once."""
    body = {
        "AccountId": scope.account,
        "Budget": _budget(name, spec, {}),
        "NotificationsWithSubscribers": [
            {"Notification": _shape(each), "Subscribers": _subscribers(each["emails"])}
            for each in spec["notifications"]
        ],
        "ResourceTags": pairs(spec["tags"]),
    }
    yield Call("budgets", "create_budget", body, ok=("DuplicateRecordException",))
    return {"name": name, "arn": _arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The budget itself only when it differs: AWS forgets the amount spent until it has counted again."""
    if "tags" in changed:
        yield Call("budgets", "tag_resource", {"ResourceARN": _arn(scope, name), "ResourceTags": pairs(spec["tags"])})
    if changed - {"tags", "notifications"}:
        budget = _budget(name, spec, live.private["budget"])
        yield Call("budgets", "update_budget", {"AccountId": scope.account, "NewBudget": budget})
    if "notifications" in changed:
        yield from _renotify({"AccountId": scope.account, "BudgetName": name}, spec, live)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Its notifications go with it."""
    yield Call("budgets", "delete_budget", {"AccountId": scope.account, "BudgetName": name}, ok=GONE)
    return {}


def effects(fields: tuple[FieldChange, ...], live: Live) -> tuple[str, ...]:
    """What the API says of UpdateBudget."""
    if all(field.path[0] in {"tags", "notifications"} for field in fields):
        return ()
    return (RECOUNT,)


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:budgets::{scope.account}:budget/{name}"


def _budget(name: str, spec: Mapping[str, Value], live: Mapping[str, Any]) -> dict[str, Any]:
    charges = {theirs: spec[ours] for ours, theirs in CHARGES.items() if ours in spec}
    return {
        **{member: live[member] for member in CARRIED if live.get(member)},
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": spec["period"],
        "BudgetLimit": {"Amount": _amount(spec["limit"]), "Unit": spec["currency"]},
        "CostTypes": {**live.get("CostTypes", {}), **charges},
    }


def _amount(limit: float) -> str:
    """Every digit: AWS takes no exponent."""
    return f"{Decimal(str(limit)):f}".removesuffix(".0")


def _notifications(aws: Aws, scope: Scope, name: str) -> list[dict[str, Any]]:
    key = {"AccountId": scope.account, "BudgetName": name}
    listed = aws.all("budgets", "describe_notifications_for_budget", "Notifications", missing=GONE, **key)
    found = []
    for each in listed:
        asked = {member: each[member] for member in MEMBERS.values() if member in each}
        members = aws.all(
            "budgets", "describe_subscribers_for_notification", "Subscribers", missing=GONE, Notification=asked, **key
        )
        emails = [member["Address"] for member in members if member["SubscriptionType"] == "EMAIL"]
        found.append({**{ours: each.get(theirs) for ours, theirs in MEMBERS.items()}, "emails": emails})
    return found


MEMBERS = {
    "type": "NotificationType",
    "operator": "ComparisonOperator",
    "threshold": "Threshold",
    "unit": "ThresholdType",
}


def _notification(each: Mapping[str, Value]) -> dict[str, Value]:
    """AWS takes a threshold for a percentage unless it is told otherwise."""
    return {
        "type": each["type"],
        "operator": each.get("operator") or "GREATER_THAN",
        "threshold": float(each["threshold"]),
        "unit": each.get("unit") or "PERCENTAGE",
        "emails": canonical(list(each["emails"])),
    }


def _shape(each: Mapping[str, Value]) -> dict[str, Value]:
    return {theirs: each[ours] for ours, theirs in MEMBERS.items()}


def _with_subscribers(each: Mapping[str, Value]) -> dict[str, Value]:
    return {"Notification": _shape(each), "Subscribers": _subscribers(each["emails"])}


def _subscribers(emails: list[Value]) -> list[dict[str, Value]]:
    return [{"SubscriptionType": "EMAIL", "Address": email} for email in emails]


def _renotify(budget: Mapping[str, Value], spec: Mapping[str, Value], live: Live) -> Steps:
    """Remove what is too much first: AWS allows few of them."""
    wanted = {_key(each): each for each in spec["notifications"]}
    found = {_key(each): each for each in live.spec.get("notifications", ())}
    for key in [key for key in found if key not in wanted]:
        yield Call("budgets", "delete_notification", {**budget, "Notification": _shape(found[key])}, ok=GONE)
    for key, each in wanted.items():
        body = {**budget, "Notification": _shape(each)}
        if key not in found:
            new = {**body, "Subscribers": _subscribers(each["emails"])}
            yield Call("budgets", "create_notification", new, ok=("DuplicateRecordException",))
        else:
            yield from _resubscribe(body, each["emails"], found[key]["emails"])
    return {}


def _resubscribe(body: Mapping[str, Value], wanted: list[str], found: list[str]) -> Steps:
    """A notification never stands without anybody to hear it: the last subscriber cannot be removed."""
    for email in wanted:
        if email not in found:
            subscriber = {**body, "Subscriber": _subscribers([email])[0]}
            yield Call("budgets", "create_subscriber", subscriber, ok=("DuplicateRecordException",))
    for email in found:
        if email not in wanted:
            subscriber = {**body, "Subscriber": _subscribers([email])[0]}
            yield Call("budgets", "delete_subscriber", subscriber, ok=GONE)
    return {}


def _key(each: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(each[member] for member in MEMBERS)
