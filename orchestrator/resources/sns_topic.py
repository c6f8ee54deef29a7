"""Manage topics that send alarms to people.

API: SNS CreateTopic, Subscribe, Unsubscribe, SetTopicAttributes, DeleteTopic.

An email address counts as subscribed once the confirmation is sent, because only its owner can confirm. An unconfirmed
address that is no longer declared cannot be removed; SNS deletes it by itself, so it is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_tags
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically, to_json
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:sns:[^:]+:\d+:(?P<name>[^:]+)")

NOT_FOUND_CODES = ("NotFound", "NotFoundException")
UNCONFIRMED_ARNS = ("PendingConfirmation", "Deleted")
ATTRIBUTE_MEMBERS = {"policy": "Policy", "display_name": "DisplayName", "kms_key": "KmsMasterKeyId"}

WATCHED_ATTRIBUTES = {
    "delivery_policy": Watched("DeliveryPolicy", "Remove it with `aws sns set-topic-attributes`"),
    "tracing": Watched("TracingConfig", "Remove it with `aws sns set-topic-attributes`", ("PassThrough",)),
    "archive_policy": Watched("ArchivePolicy", "Remove it with `aws sns set-topic-attributes`"),
    "signature_version": Watched("SignatureVersion", "Change it back with `aws sns set-topic-attributes`", ("1",)),
    "delivery_logs": Watched(
        "keys(@)[?ends_with(@, 'FeedbackRoleArn')]", "Remove it with `aws sns set-topic-attributes`"
    ),
    "kms_key": Watched("KmsMasterKeyId", "It is left unchanged; CloudWatch needs the key to publish alarms"),
}
WATCHED_SUBSCRIPTIONS = {
    "subscriptions": Watched(
        "[?Protocol != 'email'].Endpoint",
        "They receive every alert; to remove one, run `aws sns unsubscribe --subscription-arn ARN`",
    )
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with email addresses sorted; a policy is compared as a document."""
    return {**spec, "emails": sort_canonically(spec.get("emails", []))}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the topic with its attributes, subscriptions and tags, or None."""
    arn = _topic_arn(scope, name)
    response = aws.get("sns", "get_topic_attributes", TopicArn=arn, missing=NOT_FOUND_CODES)
    if response is None:
        return None
    attributes = response["Attributes"]
    all_subscriptions = _list_subscriptions(aws, arn)
    subscriptions = _select_emails(all_subscriptions)
    emails = {
        email: subscription_arn
        for email, subscription_arn in subscriptions.items()
        if subscription_arn not in UNCONFIRMED_ARNS or email in _declared_emails(spec)
    }
    unconfirmed = sorted(email for email, subscription_arn in emails.items() if subscription_arn in UNCONFIRMED_ARNS)
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    live_spec = {
        "policy": json.loads(attributes["Policy"]) if attributes.get("Policy") else None,
        "display_name": attributes.get("DisplayName", ""),
        "kms_key": attributes.get("KmsMasterKeyId") or None,
        "emails": list(emails),
        "tags": tags,
    }
    status = f"waiting for confirmation of {', '.join(unconfirmed)}" if unconfirmed else ""
    return LiveResource(
        normalise(live_spec),
        {"arn": arn, "name": name},
        {"subscriptions": emails},
        status=status,
        unmanaged=(
            *find_changes(WATCHED_ATTRIBUTES, attributes, spec),
            *find_changes(WATCHED_SUBSCRIPTIONS, all_subscriptions),
        )
        if spec
        else (),
        **parse_ownership(tags),
    )


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(
        (aws.get("sns", "list_tags_for_resource", ResourceArn=arn, missing=NOT_FOUND_CODES) or {}).get("Tags")
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the topic with its tags and policy, then subscribe each email address."""
    arn = _topic_arn(scope, name)
    attributes = {member: _to_text(spec[key]) for key, member in ATTRIBUTE_MEMBERS.items() if spec.get(key)}
    yield ApiCall("sns", "create_topic", {"Name": name, "Attributes": attributes, "Tags": to_aws_tags(spec["tags"])})
    for email in spec["emails"]:
        yield _subscribe_call(arn, email)
    return {"arn": arn, "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update each changed attribute with one call, and add and remove email addresses."""
    arn = _topic_arn(scope, name)
    for key, member in ATTRIBUTE_MEMBERS.items():
        if key in changed:
            request = {"TopicArn": arn, "AttributeName": member, "AttributeValue": _to_text(spec[key] or "")}
            yield ApiCall("sns", "set_topic_attributes", request)
    if "tags" in changed:
        yield ApiCall("sns", "tag_resource", {"ResourceArn": arn, "Tags": to_aws_tags(spec["tags"])})
    if "emails" in changed:
        subscriptions = live.private.get("subscriptions", {})
        for email in spec["emails"]:
            if email not in live.spec.get("emails", []):
                yield _subscribe_call(arn, email)
        for email, subscription_arn in sorted(subscriptions.items()):
            if email not in spec["emails"]:
                yield ApiCall("sns", "unsubscribe", {"SubscriptionArn": subscription_arn}, ok_codes=NOT_FOUND_CODES)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the topic with its subscriptions."""
    yield ApiCall("sns", "delete_topic", {"TopicArn": _topic_arn(scope, name)}, ok_codes=NOT_FOUND_CODES)
    return {}


def _topic_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:sns:{scope.region}:{scope.account}:{name}"


def _list_subscriptions(aws: AwsReader, arn: str) -> list[Any]:
    return aws.all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn, missing=NOT_FOUND_CODES)


def _select_emails(subscriptions: list[Any]) -> dict[str, str]:
    return {
        subscription["Endpoint"]: subscription["SubscriptionArn"]
        for subscription in subscriptions
        if subscription.get("Protocol") == "email"
    }


def _declared_emails(spec: Mapping[str, Value]) -> list[Any]:
    return [email for email in spec.get("emails", []) if isinstance(email, str)]


def _subscribe_call(arn: str, email: Value) -> ApiCall:
    request = {"TopicArn": arn, "Protocol": "email", "Endpoint": email, "ReturnSubscriptionArn": True}
    return ApiCall("sns", "subscribe", request, retry_codes=NOT_FOUND_CODES)


def _to_text(value: Value) -> Value:
    return to_json(value) if isinstance(value, Mapping) else value
