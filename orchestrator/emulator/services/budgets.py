"""AWS Budgets: budgets with their notifications and subscribers, tags, and the defaults AWS fills in.

Amounts read back with a decimal (``60.0``), as on AWS.  Nothing is ever spent here, so no notification is in alarm.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import Context, Handler, Service, World
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.pagination import page

_COSTS = {
    "IncludeTax": True,
    "IncludeSubscription": True,
    "UseBlended": False,
    "IncludeRefund": True,
    "IncludeCredit": True,
    "IncludeUpfront": True,
    "IncludeRecurring": True,
    "IncludeOtherSubscription": True,
    "IncludeSupport": True,
    "IncludeDiscount": True,
    "UseAmortized": False,
}
_NOTIFICATIONS = 10
_EMAILS, _TOPICS = 10, 1
_IDENTITY = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


@dataclass
class _Alert:
    notification: Params
    subscribers: list[Params]


@dataclass
class _Budget:
    shape: Params
    alerts: list[_Alert] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


class Budgets(Service):
    """The whole service, without actions and reports."""

    service = "budgets"
    complete = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._budgets: dict[str, _Budget] = {}

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation, behind the model's constraints and the account's number."""
        found = super().handler(operation)
        if found is None:
            return None

        def checked(params: Params, context: Context) -> Params | Response:
            check_constraints(operation_model("budgets", operation).input_shape, params)
            if params.get("AccountId", self.world.account) != self.world.account:
                raise AwsError("AccessDeniedException", "Account ID does not match the caller's.")
            return found(params, context)

        return checked

    def create_budget(self, params: Params, context: Context) -> Params:
        """With its notifications and tags; the name must be free."""
        name = params["Budget"]["BudgetName"]
        if name in self._budgets:
            message = f"Error creating budget: {name} - the budget already exists."
            raise AwsError("DuplicateRecordException", message)
        made = _Budget(_completed(params["Budget"]))
        for each in params.get("NotificationsWithSubscribers", []):
            self._add(made, each["Notification"], each["Subscribers"])
        made.tags = {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", [])}
        self._budgets[name] = made
        return {}

    def describe_budget(self, params: Params, context: Context) -> Params:
        """By name."""
        return {"Budget": self._budget(params["BudgetName"]).shape}

    def describe_budgets(self, params: Params, context: Context) -> Params:
        """All of them."""
        shapes = [each.shape for each in self._budgets.values()]
        items, token = page(shapes, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException")
        return {"Budgets": items, "NextToken": token}

    def update_budget(self, params: Params, context: Context) -> Params:
        """Replace all but the notifications."""
        found = self._budget(params["NewBudget"]["BudgetName"])
        start = found.shape["TimePeriod"]["Start"]
        found.shape = _completed(params["NewBudget"], start)
        return {}

    def delete_budget(self, params: Params, context: Context) -> Params:
        """With its notifications."""
        self._budget(params["BudgetName"])
        del self._budgets[params["BudgetName"]]
        return {}

    def create_notification(self, params: Params, context: Context) -> Params:
        """A new one with its subscribers."""
        self._add(self._budget(params["BudgetName"]), params["Notification"], params["Subscribers"])
        return {}

    def update_notification(self, params: Params, context: Context) -> Params:
        """Replace it; its subscribers stay."""
        found = self._budget(params["BudgetName"])
        alert = _alert(found, params["OldNotification"])
        wanted = _threshold(params["NewNotification"])
        if any(_same(each.notification, wanted) and each is not alert for each in found.alerts):
            raise AwsError("DuplicateRecordException", "Notification already exists.")
        alert.notification = wanted
        return {}

    def delete_notification(self, params: Params, context: Context) -> Params:
        """With its subscribers."""
        found = self._budget(params["BudgetName"])
        found.alerts.remove(_alert(found, params["Notification"]))
        return {}

    def describe_notifications_for_budget(self, params: Params, context: Context) -> Params:
        """All of a budget's."""
        found = [{**each.notification, "NotificationState": "OK"} for each in self._budget(params["BudgetName"]).alerts]
        items, token = page(found, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException")
        return {"Notifications": items, "NextToken": token}

    def create_subscriber(self, params: Params, context: Context) -> Params:
        """One more, unless it is there."""
        alert = _alert(self._budget(params["BudgetName"]), params["Notification"])
        if params["Subscriber"] in alert.subscribers:
            raise AwsError("DuplicateRecordException", "Subscriber already exists.")
        _check_subscribers([*alert.subscribers, params["Subscriber"]])
        alert.subscribers.append(params["Subscriber"])
        return {}

    def update_subscriber(self, params: Params, context: Context) -> Params:
        """Replace one."""
        alert = _alert(self._budget(params["BudgetName"]), params["Notification"])
        _require_subscriber(alert, params["OldSubscriber"])
        alert.subscribers[alert.subscribers.index(params["OldSubscriber"])] = params["NewSubscriber"]
        return {}

    def delete_subscriber(self, params: Params, context: Context) -> Params:
        """Take one away; with the last one goes the notification."""
        found = self._budget(params["BudgetName"])
        alert = _alert(found, params["Notification"])
        _require_subscriber(alert, params["Subscriber"])
        alert.subscribers.remove(params["Subscriber"])
        if not alert.subscribers:
            found.alerts.remove(alert)
        return {}

    def describe_subscribers_for_notification(self, params: Params, context: Context) -> Params:
        """All of a notification's."""
        alert = _alert(self._budget(params["BudgetName"]), params["Notification"])
        items, token = page(
            alert.subscribers, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException"
        )
        return {"Subscribers": items, "NextToken": token}

    def list_tags_for_resource(self, params: Params, context: Context) -> Params:
        """Of a budget, by ARN."""
        tags = self._by_arn(params["ResourceARN"]).tags
        return {"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag_resource(self, params: Params, context: Context) -> Params:
        """Add or change tags."""
        tags = {tag["Key"]: tag["Value"] for tag in params["ResourceTags"]}
        self._by_arn(params["ResourceARN"]).tags.update(tags)
        return {}

    def untag_resource(self, params: Params, context: Context) -> Params:
        """Take tags away."""
        tags = self._by_arn(params["ResourceARN"]).tags
        for key in params["ResourceTagKeys"]:
            tags.pop(key, None)
        return {}

    def _budget(self, name: str) -> _Budget:
        found = self._budgets.get(name)
        if found is None:
            raise AwsError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")
        return found

    def _by_arn(self, arn: str) -> _Budget:
        return self._budget(arn.rpartition(":budget/")[2])

    def _add(self, budget: _Budget, notification: Params, subscribers: list[Params]) -> None:
        wanted = _threshold(notification)
        if any(_same(each.notification, wanted) for each in budget.alerts):
            raise AwsError("DuplicateRecordException", "Notification already exists.")
        if len(budget.alerts) >= _NOTIFICATIONS:
            raise AwsError("CreationLimitExceededException", "Too many notifications for this budget.")
        _check_subscribers(subscribers)
        budget.alerts.append(_Alert(wanted, list(subscribers)))


def _completed(given: Params, start: Any = None) -> Params:
    """A budget as AWS keeps it."""
    now = datetime.now(UTC).replace(microsecond=0)
    shape = deepcopy(given)
    if "FilterExpression" not in shape and "Metrics" not in shape:
        shape["CostTypes"] = {**_COSTS, **shape.get("CostTypes", {})}
    limit = shape.get("BudgetLimit")
    if limit:
        limit["Amount"] = _amount(limit["Amount"])
    first = start or now.replace(day=1, hour=0, minute=0, second=0)
    shape["TimePeriod"] = {"Start": first, "End": datetime(2087, 6, 15, tzinfo=UTC), **shape.get("TimePeriod", {})}
    unit = limit["Unit"] if limit else "USD"
    shape["CalculatedSpend"] = {"ActualSpend": {"Amount": "0.0", "Unit": unit}}
    shape.setdefault("CostFilters", {})
    shape["LastUpdatedTime"] = now
    return shape


def _amount(text: str) -> str:
    try:
        return str(float(text))
    except ValueError as error:
        raise AwsError("InvalidParameterException", f"Invalid amount: {text}") from error


def _threshold(notification: Params) -> Params:
    return {"ThresholdType": "PERCENTAGE", **{key: value for key, value in notification.items() if key in _IDENTITY}}


def _same(one: Params, other: Params) -> bool:
    return all(one.get(key) == other.get(key) for key in _IDENTITY)


def _alert(budget: _Budget, notification: Params) -> _Alert:
    wanted = _threshold(notification)
    found = next((each for each in budget.alerts if _same(each.notification, wanted)), None)
    if found is None:
        raise AwsError("NotFoundException", "Notification does not exist.")
    return found


def _require_subscriber(alert: _Alert, subscriber: Params) -> None:
    if subscriber not in alert.subscribers:
        raise AwsError("NotFoundException", "Subscriber does not exist.")


def _check_subscribers(subscribers: list[Params]) -> None:
    kinds = [each["SubscriptionType"] for each in subscribers]
    if kinds.count("EMAIL") > _EMAILS or kinds.count("SNS") > _TOPICS:
        raise AwsError("CreationLimitExceededException", "Too many subscribers for this notification.")
