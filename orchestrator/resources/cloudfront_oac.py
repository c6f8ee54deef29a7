"""CloudFront's origin access controls.  API: CloudFront CreateOriginAccessControl, UpdateOriginAccessControl.

Their names are unique in an account, they bear no tags: the description says whose one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import read_phrase
from orchestrator.resources import Aws
from orchestrator.steps import Call, Compute, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

GONE = ("NoSuchOriginAccessControl",)
MEMBERS = {
    "description": "Description",
    "origin_type": "OriginAccessControlOriginType",
    "signing_behavior": "SigningBehavior",
    "signing_protocol": "SigningProtocol",
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """AWS gives it back as it was told."""
    return spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing serves all of them."""
    for item in _listed(aws):
        if item["Name"] == name:
            found = {ours: item.get(theirs, "") for ours, theirs in MEMBERS.items()}
            return Live(found, {"id": item["Id"]}, {"id": item["Id"]}, **read_phrase(found["description"]))
    return None


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API knows none of them."""
    for item in _listed(aws):
        if read_phrase(item.get("Description", ""))["owner"] == scope.owner:
            yield item["Name"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A name that is taken is ours of a moment ago: then the listing tells its id."""
    body = {"OriginAccessControlConfig": _config(name, spec)}
    made = yield Call("cloudfront", "create_origin_access_control", body, ok=("OriginAccessControlAlreadyExists",))
    listed = yield Call("cloudfront", "list_origin_access_controls", {})
    key = yield Compute("its id", _identify, (made, listed, name))
    return {"id": key}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The version that is there at that moment."""
    key = live.private["id"]
    now = yield Call("cloudfront", "get_origin_access_control", {"Id": key})
    body = {"Id": key, "IfMatch": now["ETag"], "OriginAccessControlConfig": _config(name, spec)}
    yield Call("cloudfront", "update_origin_access_control", body)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Refused while a distribution uses it, and a moment longer."""
    key = live.private["id"]
    now = yield Call("cloudfront", "get_origin_access_control", {"Id": key}, ok=GONE)
    body = {"Id": key, "IfMatch": now.get("ETag", "gone")}
    yield Call("cloudfront", "delete_origin_access_control", body, ok=GONE, retry=("OriginAccessControlInUse",))
    return {}


def _listed(aws: Aws) -> list[Any]:
    return aws.all("cloudfront", "list_origin_access_controls", "OriginAccessControlList.Items")


def _config(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    return {"Name": name, **{theirs: spec[ours] for ours, theirs in MEMBERS.items()}}


def _identify(made: Mapping[str, Any], listed: Mapping[str, Any], name: str) -> str:
    """The id from the creation's own answer, or else from the listing."""
    if made:
        return str(made["OriginAccessControl"]["Id"])
    items = listed.get("OriginAccessControlList", {}).get("Items", ())
    return next((str(item["Id"]) for item in items if item["Name"] == name), "not-listed-yet")
