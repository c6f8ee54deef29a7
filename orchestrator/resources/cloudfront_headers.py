"""Manage custom response headers policies. API: CloudFront CreateResponseHeadersPolicy, UpdateResponseHeadersPolicy.

Their names are unique in an account. They cannot be tagged, so the comment names the owner; if somebody edited it, the
distribution that uses the policy does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.resources import AwsReader
from orchestrator.resources._cloudfront import may_own_part, read_part_ownership, refresh_etag
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

NOT_FOUND_CODES = ("NoSuchResponseHeadersPolicy",)


_UPDATE = "Change it back with `aws cloudfront update-response-headers-policy`"
WATCHED = {
    "cors": Watched("CorsConfig", _UPDATE),
    "xss_protection": Watched("SecurityHeadersConfig.XSSProtection", _UPDATE),
    "server_timing": Watched("ServerTimingHeadersConfig.[Enabled, SamplingRate] | [?@ && @ != `0`]", _UPDATE),
    "content_type_options": Watched(
        "!SecurityHeadersConfig.ContentTypeOptions && 'absent'", f"Browsers guess content types. {_UPDATE}"
    ),
    "origin_headers_win": Watched(
        "[SecurityHeadersConfig.*.Override, CustomHeadersConfig.Items[].Override][] | [?@ == `false`]",
        f"Headers from the origin override it. {_UPDATE}",
    ),
}
"""Settings that manifests do not know; the listing returns them."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with custom headers and headers to remove sorted."""
    normalised = dict(spec)
    for field in {"custom", "remove"} & normalised.keys():
        normalised[field] = sort_canonically(list(normalised[field]))
    return normalised


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the policy from the listing, which contains whole policies, or None."""
    for policy_id, config in _list_policies(aws):
        if config["Name"] == name:
            ownership = read_part_ownership(aws, scope, config.get("Comment", ""), name, policy_id)
            unmanaged = find_changes(WATCHED, config) if spec else ()
            outputs = {"id": policy_id}
            return LiveResource(normalise(_parse_config(config)), outputs, outputs, unmanaged=unmanaged, **ownership)
    return None


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the names of policies that may be the environment's; the tagging API does not list them."""
    for _, config in _list_policies(aws):
        if may_own_part(scope, config["Name"], config.get("Comment", "")):
            yield config["Name"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the policy."""
    response = yield ApiCall(
        "cloudfront",
        "create_response_headers_policy",
        {"ResponseHeadersPolicyConfig": _build_config(name, spec)},
        exists_codes=("ResponseHeadersPolicyAlreadyExists",),
        read_existing=confirm_existing(
            read,
            scope,
            name,
            spec,
            compared=True,
            to_response=lambda live: {"ResponseHeadersPolicy": {"Id": live.outputs["id"]}},
        ),
    )
    return {"id": response["ResponseHeadersPolicy"]["Id"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace the policy's current version."""
    policy_id = live.private["id"]
    current = yield ApiCall("cloudfront", "get_response_headers_policy", {"Id": policy_id})
    request = {"Id": policy_id, "IfMatch": current["ETag"], "ResponseHeadersPolicyConfig": _build_config(name, spec)}
    refresh = refresh_etag("get_response_headers_policy", Id=policy_id)
    yield ApiCall("cloudfront", "update_response_headers_policy", request, refresh=refresh)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the policy. CloudFront refuses while a distribution uses it, and shortly afterwards."""
    policy_id = live.private["id"]
    current = yield ApiCall("cloudfront", "get_response_headers_policy", {"Id": policy_id}, ok_codes=NOT_FOUND_CODES)
    request = {"Id": policy_id, "IfMatch": current.get("ETag", "gone")}
    yield ApiCall(
        "cloudfront",
        "delete_response_headers_policy",
        request,
        ok_codes=NOT_FOUND_CODES,
        retry_codes=("ResponseHeadersPolicyInUse",),
        refresh=refresh_etag("get_response_headers_policy", Id=policy_id),
    )
    return {}


def _list_policies(aws: AwsReader) -> Iterator[tuple[str, Any]]:
    member = "ResponseHeadersPolicyList.Items"
    for item in aws.all("cloudfront", "list_response_headers_policies", member, Type="custom"):
        yield item["ResponseHeadersPolicy"]["Id"], item["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]


def _build_config(name: str, spec: Mapping[str, Value]) -> dict[str, Any]:
    """Return the policy in the API's format; every header overrides the origin's own."""
    security: dict[str, Any] = {"ContentTypeOptions": {"Override": True}}
    if hsts := spec["hsts"]:
        security["StrictTransportSecurity"] = {
            "Override": True,
            "AccessControlMaxAgeSec": hsts["max_age"],
            "IncludeSubdomains": hsts["subdomains"],
            "Preload": hsts["preload"],
        }
    if spec["csp"]:
        security["ContentSecurityPolicy"] = {"Override": True, "ContentSecurityPolicy": spec["csp"]}
    if spec["frame"]:
        security["FrameOptions"] = {"Override": True, "FrameOption": spec["frame"]}
    if spec["referrer"]:
        security["ReferrerPolicy"] = {"Override": True, "ReferrerPolicy": spec["referrer"]}
    custom = [{"Header": header["name"], "Value": header["value"], "Override": True} for header in spec["custom"]]
    remove = [{"Header": header} for header in spec["remove"]]
    return {
        "Name": name,
        "Comment": spec["comment"],
        "SecurityHeadersConfig": security,
        "CustomHeadersConfig": _to_quantity_list(custom),
        "RemoveHeadersConfig": _to_quantity_list(remove),
    }


def _parse_config(config: Mapping[str, Any]) -> dict[str, Any]:
    security = config.get("SecurityHeadersConfig", {})
    hsts = security.get("StrictTransportSecurity")
    custom = config.get("CustomHeadersConfig", {}).get("Items", ())
    remove = config.get("RemoveHeadersConfig", {}).get("Items", ())
    return {
        "comment": config.get("Comment", ""),
        "hsts": hsts
        and {
            "max_age": hsts["AccessControlMaxAgeSec"],
            "subdomains": hsts.get("IncludeSubdomains", False),
            "preload": hsts.get("Preload", False),
        },
        "csp": security.get("ContentSecurityPolicy", {}).get("ContentSecurityPolicy"),
        "frame": security.get("FrameOptions", {}).get("FrameOption"),
        "referrer": security.get("ReferrerPolicy", {}).get("ReferrerPolicy"),
        "custom": [{"name": header["Header"], "value": header["Value"]} for header in custom],
        "remove": [header["Header"] for header in remove],
    }


def _to_quantity_list(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), **({"Items": items} if items else {})}
