"""Manage CloudFront origin access controls. API: CloudFront CreateOriginAccessControl, UpdateOriginAccessControl.

Their names are unique in an account. They cannot be tagged, so the description names the owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import parse_ownership_comment
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Compute, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

NOT_FOUND_CODES = ("NoSuchOriginAccessControl",)
CONFIG_MEMBERS = {
    "description": "Description",
    "origin_type": "OriginAccessControlOriginType",
    "signing_behavior": "SigningBehavior",
    "signing_protocol": "SigningProtocol",
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec unchanged: AWS returns it as it was written."""
    return spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the access control from the listing, or None."""
    for item in _list_access_controls(aws):
        if item["Name"] == name:
            live_spec = {field: item.get(member, "") for field, member in CONFIG_MEMBERS.items()}
            return LiveResource(
                live_spec, {"id": item["Id"]}, {"id": item["Id"]}, **parse_ownership_comment(live_spec["description"])
            )
    return None


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the names of the environment's access controls by description; the tagging API does not list them."""
    for item in _list_access_controls(aws):
        if parse_ownership_comment(item.get("Description", ""))["owner"] == scope.owner:
            yield item["Name"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the access control. If the name is taken, an earlier attempt created it: the listing then has its id."""
    request = {"OriginAccessControlConfig": _build_config(name, spec)}
    create_response = yield ApiCall(
        "cloudfront", "create_origin_access_control", request, ok_codes=("OriginAccessControlAlreadyExists",)
    )
    access_controls = yield ApiCall("cloudfront", "list_origin_access_controls", {})
    access_control_id = yield Compute(
        "origin access control ID", _find_access_control_id, (create_response, access_controls, name)
    )
    return {"id": access_control_id}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace the access control's current version."""
    access_control_id = live.private["id"]
    current = yield ApiCall("cloudfront", "get_origin_access_control", {"Id": access_control_id})
    request = {
        "Id": access_control_id,
        "IfMatch": current["ETag"],
        "OriginAccessControlConfig": _build_config(name, spec),
    }
    yield ApiCall("cloudfront", "update_origin_access_control", request)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the access control. CloudFront refuses while a distribution uses it, and shortly afterwards."""
    access_control_id = live.private["id"]
    current = yield ApiCall(
        "cloudfront", "get_origin_access_control", {"Id": access_control_id}, ok_codes=NOT_FOUND_CODES
    )
    request = {"Id": access_control_id, "IfMatch": current.get("ETag", "gone")}
    yield ApiCall(
        "cloudfront",
        "delete_origin_access_control",
        request,
        ok_codes=NOT_FOUND_CODES,
        retry_codes=("OriginAccessControlInUse",),
    )
    return {}


def _list_access_controls(aws: AwsReader) -> list[Any]:
    return aws.all("cloudfront", "list_origin_access_controls", "OriginAccessControlList.Items")


def _build_config(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    return {"Name": name, **{member: spec[field] for field, member in CONFIG_MEMBERS.items()}}


def _find_access_control_id(create_response: Mapping[str, Any], access_controls: Mapping[str, Any], name: str) -> str:
    """Return the id from the creation's response, or else from the listing."""
    if create_response:
        return str(create_response["OriginAccessControl"]["Id"])
    items = access_controls.get("OriginAccessControlList", {}).get("Items", ())
    return next((str(item["Id"]) for item in items if item["Name"] == name), "not-listed-yet")
