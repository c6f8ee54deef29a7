"""A DistributionConfig and what we say of one: from either to the other.  Pure.

CloudFront replaces the whole configuration on every update, so what we do not speak of is carried over from the live
one.  Its lists are ``{Quantity, Items}``, and ``Items`` is missing from an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.values import Value, canonical

PLAIN = {
    "comment": "Comment",
    "enabled": "Enabled",
    "root_object": "DefaultRootObject",
    "price_class": "PriceClass",
    "http_version": "HttpVersion",
    "ipv6": "IsIPV6Enabled",
    "waf": "WebACLId",
}
POLICIES = {
    "cache_policy": "CachePolicyId",
    "request_policy": "OriginRequestPolicyId",
    "headers_policy": "ResponseHeadersPolicyId",
}
LEGACY = ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL")
KINDS = ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig")
GEO = {"allow": "whitelist", "deny": "blacklist", "none": "none"}
CACHED = ["GET", "HEAD"]
HTTPS = {
    "HTTPPort": 80,
    "HTTPSPort": 443,
    "OriginProtocolPolicy": "https-only",
    "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Aliases, methods and countries are sets; the order of paths counts, the first that fits wins."""
    found = dict(spec)
    if "aliases" in spec:
        found["aliases"] = canonical(list(spec["aliases"]))
    if "geo" in spec:
        found["geo"] = {**spec["geo"], "countries": canonical(list(spec["geo"]["countries"]))}
    if "default_behaviour" in spec:
        found["default_behaviour"] = _sorted_methods(spec["default_behaviour"])
    if "behaviours" in spec:
        found["behaviours"] = {path: _sorted_methods(each) for path, each in spec["behaviours"].items()}
    return found


def parse(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a live configuration says about everything a spec can speak of."""
    found = {ours: config.get(theirs, "") for ours, theirs in PLAIN.items()}
    behaviours = _items(config.get("CacheBehaviors"))
    geo = config.get("Restrictions", {}).get("GeoRestriction", {"RestrictionType": "none"})
    logging = config.get("Logging", {})
    return {
        **found,
        "aliases": _items(config.get("Aliases")),
        "certificate": _parse_certificate(config.get("ViewerCertificate", {})),
        "origins": {origin["Id"]: _parse_origin(origin) for origin in _items(config["Origins"])},
        "default_behaviour": _parse_behaviour(config["DefaultCacheBehavior"]),
        "behaviours": {each["PathPattern"]: _parse_behaviour(each) for each in behaviours},
        "order": [each["PathPattern"] for each in behaviours],
        "geo": {
            "rule": next(ours for ours, theirs in GEO.items() if theirs == geo["RestrictionType"]),
            "countries": _items(geo),
        },
        "logging": {
            "bucket": logging.get("Bucket", ""),
            "prefix": logging.get("Prefix", ""),
            "cookies": logging.get("IncludeCookies", False),
        },
    }


def compose(spec: Mapping[str, Value], base: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with everything that ``spec`` speaks of put in; ``{}`` is the base of a new distribution."""
    config = {**base, **{theirs: spec[ours] for ours, theirs in PLAIN.items() if ours in spec}}
    old = {origin["Id"]: origin for origin in _items(base.get("Origins"))}
    grouped = _grouped_origins(base)
    origins = [_origin(key, origin, old.get(key, {})) for key, origin in spec["origins"].items()]
    origins += [origin for key, origin in old.items() if key in grouped and key not in spec["origins"]]
    paths = {each["PathPattern"]: each for each in _items(base.get("CacheBehaviors"))}
    behaviours = [
        {**_behaviour(spec["behaviours"][path], paths.get(path, {})), "PathPattern": path} for path in spec["order"]
    ]
    config |= {
        "Aliases": listed(spec["aliases"]),
        "ViewerCertificate": _certificate(spec["certificate"]),
        "Origins": listed(origins),
        "DefaultCacheBehavior": _behaviour(spec["default_behaviour"], base.get("DefaultCacheBehavior", {})),
        "CacheBehaviors": listed(behaviours),
    }
    return config | _options(spec)


def listed(items: list[Any]) -> dict[str, Any]:
    """A list as CloudFront wants it."""
    return {"Quantity": len(items), **({"Items": list(items)} if items else {})}


def _items(value: Mapping[str, Any] | None) -> list[Any]:
    return list((value or {}).get("Items") or ())


def _sorted_methods(behaviour: Mapping[str, Value]) -> dict[str, Value]:
    return {**behaviour, "methods": canonical(list(behaviour["methods"]))}


def _options(spec: Mapping[str, Value]) -> dict[str, Any]:
    """The parts that are sent only when the manifest speaks of them."""
    found: dict[str, Any] = {}
    if "geo" in spec:
        rule = {"RestrictionType": GEO[spec["geo"]["rule"]], **listed(spec["geo"]["countries"])}
        found["Restrictions"] = {"GeoRestriction": rule}
    if "logging" in spec:
        target = spec["logging"]
        names = {"Bucket": target["bucket"], "Prefix": target["prefix"], "IncludeCookies": target["cookies"]}
        found["Logging"] = {"Enabled": True, **names}
    return found


def _grouped_origins(base: Mapping[str, Any]) -> set[str]:
    """Origins that somebody has put in a group: not ours to drop."""
    groups = _items(base.get("OriginGroups"))
    return {member["OriginId"] for group in groups for member in _items(group.get("Members"))}


def _origin(key: str, origin: Mapping[str, Value], old: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in old.items() if name not in KINDS}
    found = {**kept, "Id": key, "DomainName": origin["domain"], "OriginPath": origin["path"]}
    if origin["access_control"] is None:
        custom = {**HTTPS, **old.get("CustomOriginConfig", {}), "OriginProtocolPolicy": "https-only"}
        return {**found, "OriginAccessControlId": "", "CustomOriginConfig": custom}
    bucket = {**old.get("S3OriginConfig", {}), "OriginAccessIdentity": ""}
    return {**found, "OriginAccessControlId": origin["access_control"], "S3OriginConfig": bucket}


def _parse_origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    """An origin without access control is a web server, or a bucket that somebody left open."""
    control = origin.get("OriginAccessControlId") or None
    if control is None and "CustomOriginConfig" not in origin:
        control = ""
    return {"domain": origin["DomainName"], "path": origin.get("OriginPath", ""), "access_control": control}


def _behaviour(behaviour: Mapping[str, Value], old: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in old.items() if name not in (*LEGACY, *POLICIES.values())}
    functions = [each for each in _items(old.get("FunctionAssociations")) if each["EventType"] != "viewer-request"]
    if behaviour["viewer_request"] is not None:
        functions.append({"FunctionARN": behaviour["viewer_request"], "EventType": "viewer-request"})
    return {
        **kept,
        "TargetOriginId": behaviour["origin"],
        "ViewerProtocolPolicy": behaviour["viewer_protocol"],
        "Compress": behaviour["compress"],
        "AllowedMethods": {**listed(behaviour["methods"]), "CachedMethods": listed(CACHED)},
        "FunctionAssociations": listed(functions),
        **{theirs: behaviour[ours] for ours, theirs in POLICIES.items() if behaviour[ours] is not None},
    }


def _parse_behaviour(behaviour: Mapping[str, Any]) -> dict[str, Any]:
    functions = {each["EventType"]: each["FunctionARN"] for each in _items(behaviour.get("FunctionAssociations"))}
    return {
        "origin": behaviour["TargetOriginId"],
        "viewer_protocol": behaviour["ViewerProtocolPolicy"],
        "compress": behaviour.get("Compress", False),
        "methods": _items(behaviour.get("AllowedMethods")) or CACHED,
        "viewer_request": functions.get("viewer-request"),
        **{ours: behaviour.get(theirs) or None for ours, theirs in POLICIES.items()},
    }


def _certificate(certificate: Mapping[str, Value] | None) -> dict[str, Any]:
    if certificate is None:
        return {"CloudFrontDefaultCertificate": True}
    return {
        "ACMCertificateArn": certificate["arn"],
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": certificate["minimum_tls"],
    }


def _parse_certificate(certificate: Mapping[str, Any]) -> dict[str, Any] | None:
    arn = certificate.get("ACMCertificateArn") or certificate.get("IAMCertificateId")
    return {"arn": arn, "minimum_tls": certificate.get("MinimumProtocolVersion")} if arn else None
