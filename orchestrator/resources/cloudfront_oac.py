"""Manage CloudFront origin access controls. API: CloudFront CreateOriginAccessControl, UpdateOriginAccessControl.

Their names are unique in an account. They cannot be tagged, so the description names the owner; if somebody edited it,
the distribution that uses the access control does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.resources import AwsReader
from orchestrator.resources._cloudfront import may_own_part, read_part_ownership, refresh_etag
from orchestrator.resources._existing import confirm_existing
from orchestrator.steps import ApiCall, Steps
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
            ownership = read_part_ownership(aws, scope, live_spec["description"], name, item["Id"])
            return LiveResource(live_spec, {"id": item["Id"]}, {"id": item["Id"]}, **ownership)
    return None


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the names of access controls that may be the environment's; the tagging API does not list them."""
    for item in _list_access_controls(aws):
        if may_own_part(scope, item["Name"], item.get("Description", "")):
            yield item["Name"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the access control."""
    response = yield ApiCall(
        "cloudfront",
        "create_origin_access_control",
        {"OriginAccessControlConfig": _build_config(name, spec)},
        exists_codes=("OriginAccessControlAlreadyExists",),
        read_existing=confirm_existing(
            read,
            scope,
            name,
            spec,
            compared=True,
            to_response=lambda live: {"OriginAccessControl": {"Id": live.outputs["id"]}},
        ),
    )
    return {"id": response["OriginAccessControl"]["Id"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace the access control's current version."""
    access_control_id = live.private["id"]
    current = yield ApiCall("cloudfront", "get_origin_access_control", {"Id": access_control_id})
    request = {
        "Id": access_control_id,
        "IfMatch": current["ETag"],
        "OriginAccessControlConfig": _build_config(name, spec),
    }
    refresh = refresh_etag("get_origin_access_control", Id=access_control_id)
    yield ApiCall("cloudfront", "update_origin_access_control", request, refresh=refresh)
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
        refresh=refresh_etag("get_origin_access_control", Id=access_control_id),
    )
    return {}


def _list_access_controls(aws: AwsReader) -> list[Any]:
    return aws.all("cloudfront", "list_origin_access_controls", "OriginAccessControlList.Items")


def _build_config(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    return {"Name": name, **{member: spec[field] for field, member in CONFIG_MEMBERS.items()}}
