"""Topics that carry alarms to people.  API: SNS CreateTopic, Subscribe, Unsubscribe, SetTopicAttributes, DeleteTopic.

An address counts as subscribed from the moment it was asked: only its owner can confirm.  An address that was asked,
never answered and is wanted no more cannot be removed; SNS forgets it by itself, so it is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_tags
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical, to_json
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:sns:[^:]+:\d+:(?P<name>[^:]+)")

GONE = ("NotFound", "NotFoundException")
UNCONFIRMED = ("PendingConfirmation", "Deleted")
ATTRIBUTES = {"policy": "Policy", "display_name": "DisplayName", "kms_key": "KmsMasterKeyId"}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Addresses have no order, and a policy is compared as a document."""
    return {**spec, "emails": canonical(spec.get("emails", []))}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """Attributes, subscriptions, tags: three reads."""
    arn = _arn(scope, name)
    answer = aws.get("sns", "get_topic_attributes", TopicArn=arn, missing=GONE)
    if answer is None:
        return None
    attributes = answer["Attributes"]
    asked = _subscriptions(aws, arn)
    emails = {email: where for email, where in asked.items() if where not in UNCONFIRMED or email in _wanted(spec)}
    waiting = sorted(email for email, where in emails.items() if where in UNCONFIRMED)
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    found = {
        "policy": json.loads(attributes["Policy"]) if attributes.get("Policy") else None,
        "display_name": attributes.get("DisplayName", ""),
        "kms_key": attributes.get("KmsMasterKeyId") or None,
        "emails": list(emails),
        "tags": tags,
    }
    status = f"waiting for confirmation of {', '.join(waiting)}" if waiting else ""
    return Live(normalise(found), {"arn": arn, "name": name}, {"subscriptions": emails}, status=status, **marks(tags))


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping((aws.get("sns", "list_tags_for_resource", ResourceArn=arn, missing=GONE) or {}).get("Tags"))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The topic with its marks and policy, then a mail to each address."""
    arn = _arn(scope, name)
    attributes = {member: _text(spec[key]) for key, member in ATTRIBUTES.items() if spec.get(key)}
    yield Call("sns", "create_topic", {"Name": name, "Attributes": attributes, "Tags": pairs(spec["tags"])})
    for email in spec["emails"]:
        yield _subscribe(arn, email)
    return {"arn": arn, "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One call an attribute, an address more, an address less."""
    arn = _arn(scope, name)
    for key, member in ATTRIBUTES.items():
        if key in changed:
            body = {"TopicArn": arn, "AttributeName": member, "AttributeValue": _text(spec[key] or "")}
            yield Call("sns", "set_topic_attributes", body)
    if "tags" in changed:
        yield Call("sns", "tag_resource", {"ResourceArn": arn, "Tags": pairs(spec["tags"])})
    if "emails" in changed:
        subscriptions = live.private.get("subscriptions", {})
        for email in spec["emails"]:
            if email not in live.spec.get("emails", []):
                yield _subscribe(arn, email)
        for email, where in sorted(subscriptions.items()):
            if email not in spec["emails"]:
                yield Call("sns", "unsubscribe", {"SubscriptionArn": where}, ok=GONE)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Its subscriptions go with it."""
    yield Call("sns", "delete_topic", {"TopicArn": _arn(scope, name)}, ok=GONE)
    return {}


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:sns:{scope.region}:{scope.account}:{name}"


def _subscriptions(aws: Aws, arn: str) -> dict[str, str]:
    found = aws.all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn, missing=GONE)
    return {one["Endpoint"]: one["SubscriptionArn"] for one in found if one.get("Protocol") == "email"}


def _wanted(spec: Mapping[str, Value]) -> list[Any]:
    return [email for email in spec.get("emails", []) if isinstance(email, str)]


def _subscribe(arn: str, email: Value) -> Call:
    body = {"TopicArn": arn, "Protocol": "email", "Endpoint": email, "ReturnSubscriptionArn": True}
    return Call("sns", "subscribe", body, retry=GONE)


def _text(value: Value) -> Value:
    return to_json(value) if isinstance(value, Mapping) else value
