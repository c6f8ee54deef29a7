"""Override SNS: unconfirmed subscriptions, and topics created again with other tags."""

from __future__ import annotations

import json
import re

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_CONFIRMATION_PROTOCOLS = ("email", "email-json", "http", "https")


_TOPIC_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo")
_DELIVERY_POLICY = {
    "http": {
        "defaultHealthyRetryPolicy": {
            "minDelayTarget": 20,
            "maxDelayTarget": 20,
            "numRetries": 3,
            "numMaxDelayRetries": 0,
            "numNoDelayRetries": 0,
            "numMinDelayRetries": 0,
            "backoffFunction": "linear",
        },
        "disableSubscriptionOverrides": False,
        "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
    }
}
"""The delivery policy of a topic that has none of its own.  Source: Amazon SNS developer guide, "Delivery policies"."""


class Sns(Service):
    """Overrides topics and subscriptions, on both backends. No subscription is ever confirmed."""

    service = "sns"

    def create_topic(self, params: Params, context: CallContext) -> Params:
        """Create a topic or return the existing one; refuse an existing one with other tags."""
        if not _TOPIC_NAME_PATTERN.fullmatch(params["Name"]):
            raise AwsError("InvalidParameter", "Invalid parameter: Topic Name", 400)
        arn = f"arn:aws:sns:{context.region}:{self.state.account}:{params['Name']}"
        requested_tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        try:
            self.state.call("sns", "GetTopicAttributes", context.region, TopicArn=arn)
        except AwsError:
            return context.forward(params)
        existing_tags = self.state.call("sns", "ListTagsForResource", context.region, ResourceArn=arn).get("Tags", [])
        if requested_tags and requested_tags != {tag["Key"]: tag["Value"] for tag in existing_tags}:
            message = "Invalid parameter: Tags Reason: Topic already exists with different tags"
            raise AwsError("InvalidParameter", message, 400)
        return {"TopicArn": arn}

    def get_topic_attributes(self, params: Params, context: CallContext) -> Params:
        """Return the attributes that are set; refuse what is no ARN."""
        _check_topic_arn(params["TopicArn"])
        response = context.forward(params)
        attributes = {
            name: value for name, value in response["Attributes"].items() if name != "DeliveryPolicy" or value
        }
        return {**response, "Attributes": {**attributes, "EffectiveDeliveryPolicy": json.dumps(_DELIVERY_POLICY)}}

    def subscribe(self, params: Params, context: CallContext) -> Params:
        """Subscribe; one by mail or web stays pending, and its ARN is returned only on request."""
        response = context.forward(params)
        if params["Protocol"] in _CONFIRMATION_PROTOCOLS and not params.get("ReturnSubscriptionArn"):
            return {"SubscriptionArn": "pending confirmation"}
        return response

    def list_subscriptions(self, params: Params, context: CallContext) -> Params:
        """List subscriptions; a pending one has PendingConfirmation instead of its ARN."""
        return _mark_pending(context.forward(params))

    def list_subscriptions_by_topic(self, params: Params, context: CallContext) -> Params:
        """List a topic's subscriptions; a pending one has PendingConfirmation instead of its ARN."""
        return _mark_pending(context.forward(params))

    def get_subscription_attributes(self, params: Params, context: CallContext) -> Params:
        """Return the attributes, with PendingConfirmation true for pending subscriptions."""
        response = context.forward(params)
        attributes = response["Attributes"]
        is_pending = attributes.get("Protocol") in _CONFIRMATION_PROTOCOLS
        attributes["PendingConfirmation"] = "true" if is_pending else "false"
        return response


def _mark_pending(response: Params) -> Params:
    for subscription in response.get("Subscriptions", []):
        if subscription["Protocol"] in _CONFIRMATION_PROTOCOLS:
            subscription["SubscriptionArn"] = "PendingConfirmation"
    return response


def _check_topic_arn(arn: str) -> None:
    """Raise AwsError InvalidParameter for what is no ARN."""
    count = len(arn.split(":"))
    if count < 6:
        message = f"Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not {count}"
        raise AwsError("InvalidParameter", message, 400)
