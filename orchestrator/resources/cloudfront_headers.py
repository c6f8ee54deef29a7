"""Response headers policies of our own.  API: CloudFront CreateResponseHeadersPolicy, UpdateResponseHeadersPolicy.

Their names are unique in an account, they bear no tags: the comment says whose one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import read_phrase
from orchestrator.resources import Aws
from orchestrator.steps import Call, Compute, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

GONE = ("NoSuchResponseHeadersPolicy",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Headers of one's own and headers to remove have no order."""
    found = dict(spec)
    for members in {"custom", "remove"} & found.keys():
        found[members] = canonical(list(found[members]))
    return found


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing serves all of them, and holds the whole policy."""
    for key, config in _listed(aws):
        if config["Name"] == name:
            return Live(normalise(_parse(config)), {"id": key}, {"id": key}, **read_phrase(config.get("Comment", "")))
    return None


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API knows none of them."""
    for _, config in _listed(aws):
        if read_phrase(config.get("Comment", ""))["owner"] == scope.owner:
            yield config["Name"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A name that is taken is ours of a moment ago: then the listing tells its id."""
    body = {"ResponseHeadersPolicyConfig": _config(name, spec)}
    made = yield Call("cloudfront", "create_response_headers_policy", body, ok=("ResponseHeadersPolicyAlreadyExists",))
    listed = yield Call("cloudfront", "list_response_headers_policies", {"Type": "custom"})
    key = yield Compute("its id", _identify, (made, listed, name))
    return {"id": key}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The version that is there at that moment."""
    key = live.private["id"]
    now = yield Call("cloudfront", "get_response_headers_policy", {"Id": key})
    body = {"Id": key, "IfMatch": now["ETag"], "ResponseHeadersPolicyConfig": _config(name, spec)}
    yield Call("cloudfront", "update_response_headers_policy", body)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Refused while a distribution uses it, and a moment longer."""
    key = live.private["id"]
    now = yield Call("cloudfront", "get_response_headers_policy", {"Id": key}, ok=GONE)
    body = {"Id": key, "IfMatch": now.get("ETag", "gone")}
    yield Call("cloudfront", "delete_response_headers_policy", body, ok=GONE, retry=("ResponseHeadersPolicyInUse",))
    return {}


def _listed(aws: Aws) -> Iterator[tuple[str, Any]]:
    member = "ResponseHeadersPolicyList.Items"
    for item in aws.all("cloudfront", "list_response_headers_policies", member, Type="custom"):
        yield item["ResponseHeadersPolicy"]["Id"], item["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]


def _config(name: str, spec: Mapping[str, Value]) -> dict[str, Any]:
    """Every header replaces the origin's own."""
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
    custom = [{"Header": each["name"], "Value": each["value"], "Override": True} for each in spec["custom"]]
    remove = [{"Header": each} for each in spec["remove"]]
    return {
        "Name": name,
        "Comment": spec["comment"],
        "SecurityHeadersConfig": security,
        "CustomHeadersConfig": _list(custom),
        "RemoveHeadersConfig": _list(remove),
    }


def _parse(config: Mapping[str, Any]) -> dict[str, Any]:
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
        "custom": [{"name": each["Header"], "value": each["Value"]} for each in custom],
        "remove": [each["Header"] for each in remove],
    }


def _list(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), **({"Items": items} if items else {})}


def _identify(made: Mapping[str, Any], listed: Mapping[str, Any], name: str) -> str:
    """The id from the creation's own answer, or else from the listing."""
    if made:
        return str(made["ResponseHeadersPolicy"]["Id"])
    for item in listed.get("ResponseHeadersPolicyList", {}).get("Items", ()):
        if item["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]["Name"] == name:
            return str(item["ResponseHeadersPolicy"]["Id"])
    return "not-listed-yet"
