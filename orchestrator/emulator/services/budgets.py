"""Emulate AWS Budgets: budgets with notifications, subscribers and tags, and AWS's defaults.

Amounts read back with a decimal (``60.0``), as on AWS. Nothing is ever spent here, so no notification is in alarm.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import CallContext, EmulatorState, Handler, Service
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.pagination import paginate

_DEFAULT_COST_TYPES = {
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
_MAX_NOTIFICATIONS = 10
_MAX_EMAIL_SUBSCRIBERS, _MAX_SNS_SUBSCRIBERS = 10, 1
_NOTIFICATION_KEY_FIELDS = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


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
    is_complete = True

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._budgets: dict[str, _Budget] = {}

    def handler(self, operation: str) -> Handler | None:
        """Return the method for an operation, which first checks the model's constraints and the account ID."""
        method = super().handler(operation)
        if method is None:
            return None

        def call_validated(params: Params, context: CallContext) -> Params | Response:
            check_constraints(operation_model("budgets", operation).input_shape, params)
            if params.get("AccountId", self.state.account) != self.state.account:
                raise AwsError("AccessDeniedException", "Account ID does not match the caller's.")
            return method(params, context)

        return call_validated

    def create_budget(self, params: Params, context: CallContext) -> Params:
        """Create a budget with its notifications and tags; refuse a name in use."""
        name = params["Budget"]["BudgetName"]
        if name in self._budgets:
            message = f"Error creating budget: {name} - the budget already exists."
            raise AwsError("DuplicateRecordException", message)
        budget = _Budget(_fill_defaults(params["Budget"]))
        for item in params.get("NotificationsWithSubscribers", []):
            self._add_notification(budget, item["Notification"], item["Subscribers"])
        budget.tags = {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", [])}
        self._budgets[name] = budget
        return {}

    def describe_budget(self, params: Params, context: CallContext) -> Params:
        """Return a budget by name."""
        return {"Budget": self._get_budget(params["BudgetName"]).shape}

    def describe_budgets(self, params: Params, context: CallContext) -> Params:
        """List the budgets."""
        shapes = [budget.shape for budget in self._budgets.values()]
        items, token = paginate(
            shapes, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException"
        )
        return {"Budgets": items, "NextToken": token}

    def update_budget(self, params: Params, context: CallContext) -> Params:
        """Replace a budget, except for its notifications."""
        budget = self._get_budget(params["NewBudget"]["BudgetName"])
        start = budget.shape["TimePeriod"]["Start"]
        budget.shape = _fill_defaults(params["NewBudget"], start)
        return {}

    def delete_budget(self, params: Params, context: CallContext) -> Params:
        """Delete a budget and its notifications."""
        self._get_budget(params["BudgetName"])
        del self._budgets[params["BudgetName"]]
        return {}

    def create_notification(self, params: Params, context: CallContext) -> Params:
        """Add a notification with its subscribers."""
        self._add_notification(self._get_budget(params["BudgetName"]), params["Notification"], params["Subscribers"])
        return {}

    def update_notification(self, params: Params, context: CallContext) -> Params:
        """Replace a notification; keep its subscribers."""
        budget = self._get_budget(params["BudgetName"])
        alert = _find_alert(budget, params["OldNotification"])
        notification = _normalise_notification(params["NewNotification"])
        if any(
            _is_same_notification(other_alert.notification, notification) and other_alert is not alert
            for other_alert in budget.alerts
        ):
            raise AwsError("DuplicateRecordException", "Notification already exists.")
        alert.notification = notification
        return {}

    def delete_notification(self, params: Params, context: CallContext) -> Params:
        """Delete a notification and its subscribers."""
        budget = self._get_budget(params["BudgetName"])
        budget.alerts.remove(_find_alert(budget, params["Notification"]))
        return {}

    def describe_notifications_for_budget(self, params: Params, context: CallContext) -> Params:
        """List the notifications of a budget."""
        notifications = [
            {**alert.notification, "NotificationState": "OK"} for alert in self._get_budget(params["BudgetName"]).alerts
        ]
        items, token = paginate(
            notifications, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException"
        )
        return {"Notifications": items, "NextToken": token}

    def create_subscriber(self, params: Params, context: CallContext) -> Params:
        """Add a subscriber; refuse an existing one."""
        alert = _find_alert(self._get_budget(params["BudgetName"]), params["Notification"])
        if params["Subscriber"] in alert.subscribers:
            raise AwsError("DuplicateRecordException", "Subscriber already exists.")
        _check_subscribers([*alert.subscribers, params["Subscriber"]])
        alert.subscribers.append(params["Subscriber"])
        return {}

    def update_subscriber(self, params: Params, context: CallContext) -> Params:
        """Replace a subscriber."""
        alert = _find_alert(self._get_budget(params["BudgetName"]), params["Notification"])
        _require_subscriber(alert, params["OldSubscriber"])
        alert.subscribers[alert.subscribers.index(params["OldSubscriber"])] = params["NewSubscriber"]
        return {}

    def delete_subscriber(self, params: Params, context: CallContext) -> Params:
        """Delete a subscriber, and the notification with its last subscriber."""
        budget = self._get_budget(params["BudgetName"])
        alert = _find_alert(budget, params["Notification"])
        _require_subscriber(alert, params["Subscriber"])
        alert.subscribers.remove(params["Subscriber"])
        if not alert.subscribers:
            budget.alerts.remove(alert)
        return {}

    def describe_subscribers_for_notification(self, params: Params, context: CallContext) -> Params:
        """List the subscribers of a notification."""
        alert = _find_alert(self._get_budget(params["BudgetName"]), params["Notification"])
        items, token = paginate(
            alert.subscribers, params.get("MaxResults", 100), params.get("NextToken"), "InvalidNextTokenException"
        )
        return {"Subscribers": items, "NextToken": token}

    def list_tags_for_resource(self, params: Params, context: CallContext) -> Params:
        """Return the tags of a budget, by ARN."""
        tags = self._get_budget_by_arn(params["ResourceARN"]).tags
        return {"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag_resource(self, params: Params, context: CallContext) -> Params:
        """Add or change tags."""
        tags = {tag["Key"]: tag["Value"] for tag in params["ResourceTags"]}
        self._get_budget_by_arn(params["ResourceARN"]).tags.update(tags)
        return {}

    def untag_resource(self, params: Params, context: CallContext) -> Params:
        """Remove tags."""
        tags = self._get_budget_by_arn(params["ResourceARN"]).tags
        for key in params["ResourceTagKeys"]:
            tags.pop(key, None)
        return {}

    def _get_budget(self, name: str) -> _Budget:
        budget = self._budgets.get(name)
        if budget is None:
            raise AwsError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")
        return budget

    def _get_budget_by_arn(self, arn: str) -> _Budget:
        return self._get_budget(arn.rpartition(":budget/")[2])

    def _add_notification(self, budget: _Budget, notification: Params, subscribers: list[Params]) -> None:
        normalised = _normalise_notification(notification)
        if any(_is_same_notification(alert.notification, normalised) for alert in budget.alerts):
            raise AwsError("DuplicateRecordException", "Notification already exists.")
        if len(budget.alerts) >= _MAX_NOTIFICATIONS:
            raise AwsError("CreationLimitExceededException", "Too many notifications for this budget.")
        _check_subscribers(subscribers)
        budget.alerts.append(_Alert(normalised, list(subscribers)))


def _fill_defaults(budget_params: Params, start: Any = None) -> Params:
    """Return a budget as AWS stores it."""
    now = datetime.now(UTC).replace(microsecond=0)
    shape = deepcopy(budget_params)
    if "FilterExpression" not in shape and "Metrics" not in shape:
        shape["CostTypes"] = {**_DEFAULT_COST_TYPES, **shape.get("CostTypes", {})}
    limit = shape.get("BudgetLimit")
    if limit:
        limit["Amount"] = _normalise_amount(limit["Amount"])
    period_start = start or now.replace(day=1, hour=0, minute=0, second=0)
    shape["TimePeriod"] = {
        "Start": period_start,
        "End": datetime(2087, 6, 15, tzinfo=UTC),
        **shape.get("TimePeriod", {}),
    }
    unit = limit["Unit"] if limit else "USD"
    shape["CalculatedSpend"] = {"ActualSpend": {"Amount": "0.0", "Unit": unit}}
    shape.setdefault("CostFilters", {})
    shape["LastUpdatedTime"] = now
    return shape


def _normalise_amount(text: str) -> str:
    try:
        return str(float(text))
    except ValueError as error:
        raise AwsError("InvalidParameterException", f"Invalid amount: {text}") from error


def _normalise_notification(notification: Params) -> Params:
    return {
        "ThresholdType": "PERCENTAGE",
        **{key: value for key, value in notification.items() if key in _NOTIFICATION_KEY_FIELDS},
    }


def _is_same_notification(notification: Params, other_notification: Params) -> bool:
    return all(notification.get(key) == other_notification.get(key) for key in _NOTIFICATION_KEY_FIELDS)


def _find_alert(budget: _Budget, notification: Params) -> _Alert:
    normalised = _normalise_notification(notification)
    matching = next(
        (candidate for candidate in budget.alerts if _is_same_notification(candidate.notification, normalised)), None
    )
    if matching is None:
        raise AwsError("NotFoundException", "Notification does not exist.")
    return matching


def _require_subscriber(alert: _Alert, subscriber: Params) -> None:
    if subscriber not in alert.subscribers:
        raise AwsError("NotFoundException", "Subscriber does not exist.")


def _check_subscribers(subscribers: list[Params]) -> None:
    subscription_types = [subscriber["SubscriptionType"] for subscriber in subscribers]
    if (
        subscription_types.count("EMAIL") > _MAX_EMAIL_SUBSCRIBERS
        or subscription_types.count("SNS") > _MAX_SNS_SUBSCRIBERS
    ):
        raise AwsError("CreationLimitExceededException", "Too many subscribers for this notification.")
