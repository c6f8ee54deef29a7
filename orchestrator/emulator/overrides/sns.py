"""SNS's idea of a subscription nobody has confirmed, and of a topic made again with other tags."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service

_CONFIRMED_BY_HAND = ("email", "email-json", "http", "https")


class Sns(Service):
    """Corrections to topics and subscriptions, on either backend.  Nobody here ever confirms a subscription."""

    service = "sns"

    def create_topic(self, params: Params, context: Context) -> Params:
        """The same topic again is answered; with other tags it is refused."""
        arn = f"arn:aws:sns:{context.region}:{self.world.account}:{params['Name']}"
        wanted = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        try:
            self.world.call("sns", "GetTopicAttributes", context.region, TopicArn=arn)
        except AwsError:
            return context.forward(params)
        found = self.world.call("sns", "ListTagsForResource", context.region, ResourceArn=arn).get("Tags", [])
        if wanted and wanted != {tag["Key"]: tag["Value"] for tag in found}:
            message = "Invalid parameter: Tags Reason: Topic already exists with different tags"
            raise AwsError("InvalidParameter", message, 400)
        return {"TopicArn": arn}

    def subscribe(self, params: Params, context: Context) -> Params:
        """One by mail or web is pending; its ARN is told only if asked for."""
        answer = context.forward(params)
        if params["Protocol"] in _CONFIRMED_BY_HAND and not params.get("ReturnSubscriptionArn"):
            return {"SubscriptionArn": "pending confirmation"}
        return answer

    def list_subscriptions(self, params: Params, context: Context) -> Params:
        """With PendingConfirmation in place of the ARN."""
        return _pending(context.forward(params))

    def list_subscriptions_by_topic(self, params: Params, context: Context) -> Params:
        """Likewise."""
        return _pending(context.forward(params))

    def get_subscription_attributes(self, params: Params, context: Context) -> Params:
        """With PendingConfirmation true for those."""
        answer = context.forward(params)
        attributes = answer["Attributes"]
        pending = attributes.get("Protocol") in _CONFIRMED_BY_HAND
        attributes["PendingConfirmation"] = "true" if pending else "false"
        return answer


def _pending(answer: Params) -> Params:
    for each in answer.get("Subscriptions", []):
        if each["Protocol"] in _CONFIRMED_BY_HAND:
            each["SubscriptionArn"] = "PendingConfirmation"
    return answer
