"""Convert between a DistributionConfig and a distribution's spec. Pure.

CloudFront replaces the whole configuration on every update, so settings that the spec does not declare are copied from
the live one. Its lists are ``{Quantity, Items}``; an empty list has no ``Items``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.resources._watched import Watched
from orchestrator.values import Value, sort_canonically

SCALAR_MEMBERS = {
    "comment": "Comment",
    "enabled": "Enabled",
    "root_object": "DefaultRootObject",
    "price_class": "PriceClass",
    "http_version": "HttpVersion",
    "ipv6": "IsIPV6Enabled",
    "waf": "WebACLId",
}
POLICY_MEMBERS = {
    "cache_policy": "CachePolicyId",
    "request_policy": "OriginRequestPolicyId",
    "headers_policy": "ResponseHeadersPolicyId",
}
FUNCTION_EVENTS = {"viewer_request": "viewer-request", "viewer_response": "viewer-response"}
"""Events of a behaviour's functions, by field; a spec without ``viewer_response`` leaves that function as it is."""
LEGACY_CACHE_MEMBERS = ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL")
ORIGIN_CONFIG_MEMBERS = ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig")
GEO_RESTRICTION_TYPES = {"allow": "whitelist", "deny": "blacklist", "none": "none"}
CACHED_METHODS = ["GET", "HEAD"]
HTTPS_ORIGIN_DEFAULTS = {
    "HTTPPort": 80,
    "HTTPSPort": 443,
    "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
}

_BEHAVIOURS = "[DefaultCacheBehavior, CacheBehaviors.Items][]"
_CUSTOM = "Origins.Items[].CustomOriginConfig"
_UPDATE = "Change it back with `aws cloudfront update-distribution`"
WATCHED = {
    "waf": Watched("WebACLId", "It is left unchanged. Declare it as `firewall`, or remove it with `firewall: none`"),
    "geo": Watched(
        "Restrictions.GeoRestriction.[[RestrictionType], Items][][] | [?@ && @ != 'none']",
        "It is left unchanged. Declare it as `geo`, or remove it with `geo: {rule: none}`",
    ),
    "logging": Watched(
        "Logging.[Enabled && 'enabled', Bucket, Prefix, IncludeCookies && 'with cookies'] | [?@]",
        "It is left unchanged. Declare it as `logs`, or switch it off with `logs: {bucket: none}`",
    ),
    "edge_functions": Watched(
        f"{_BEHAVIOURS}.LambdaFunctionAssociations.Items[].LambdaFunctionARN", f"They see every request. {_UPDATE}"
    ),
    "viewer_response": Watched(
        f"{_BEHAVIOURS}.FunctionAssociations.Items[?EventType=='viewer-response'][].FunctionARN", _UPDATE
    ),
    "error_pages": Watched("CustomErrorResponses.Items[].ErrorCode", _UPDATE),
    "origin_groups": Watched("OriginGroups.Items[].Id", _UPDATE),
    "origin_headers": Watched("Origins.Items[].CustomHeaders.Items[].HeaderName", _UPDATE),
    "origin_shield": Watched("Origins.Items[].OriginShield | [?Enabled || OriginShieldRegion]", _UPDATE),
    "trusted_key_groups": Watched(f"{_BEHAVIOURS}.TrustedKeyGroups | [?Enabled || Items]", _UPDATE),
    "trusted_signers": Watched(f"{_BEHAVIOURS}.TrustedSigners | [?Enabled || Items]", _UPDATE),
    "field_level_encryption": Watched(f"{_BEHAVIOURS}.FieldLevelEncryptionId | [?@ != '']", _UPDATE),
    "realtime_logs": Watched(f"{_BEHAVIOURS}.RealtimeLogConfigArn", _UPDATE),
    "smooth_streaming": Watched(f"{_BEHAVIOURS} | [?SmoothStreaming].TargetOriginId", _UPDATE),
    "continuous_deployment": Watched("ContinuousDeploymentPolicyId", _UPDATE),
    "staging": Watched("Staging", _UPDATE),
    "anycast": Watched("AnycastIpListId", _UPDATE),
    "grpc": Watched(f"{_BEHAVIOURS} | [?GrpcConfig.Enabled].TargetOriginId", _UPDATE),
    "cached_methods": Watched(
        f"{_BEHAVIOURS}.AllowedMethods.CachedMethods.Items[] | [?@ != 'GET' && @ != 'HEAD']", _UPDATE
    ),
    "dedicated_ip_addresses": Watched(
        "ViewerCertificate.ACMCertificateArn && ViewerCertificate.SSLSupportMethod",
        f"They cost 600 USD a month. {_UPDATE}",
        ("sni-only",),
    ),
    "connection_mode": Watched("ConnectionMode", _UPDATE, ("direct",)),
    "viewer_mtls": Watched("ViewerMtlsConfig", _UPDATE),
    "connection_function": Watched("ConnectionFunctionAssociation.Id", _UPDATE),
    "cache_tags": Watched("CacheTagConfig.HeaderName", _UPDATE),
    "tenants": Watched("TenantConfig.ParameterDefinitions", _UPDATE),
    "vpc_origins": Watched("Origins.Items[].VpcOriginConfig", _UPDATE),
    "origin_access_identities": Watched(
        "Origins.Items[].S3OriginConfig.OriginAccessIdentity | [?@ != '']",
        "The next change of the distribution removes it",
        overwritten=True,
    ),
    "origin_protocol": Watched(
        f"{_CUSTOM}.[[OriginProtocolPolicy], OriginSslProtocols.Items][][] "
        "| [?@ && @ != 'https-only' && @ != 'TLSv1.2']",
        f"CloudFront does not connect to the origin as declared. {_UPDATE}",
    ),
    "origin_ports": Watched(f"{_CUSTOM}.[HTTPPort, HTTPSPort][] | [?@ && @ != `80` && @ != `443`]", _UPDATE),
    "origin_ip_address_type": Watched(f"{_CUSTOM}.IpAddressType | [?@ != 'ipv4']", _UPDATE),
    "origin_mtls": Watched(f"{_CUSTOM}.OriginMtlsConfig.ClientCertificateArn", _UPDATE),
    "origin_read_timeout": Watched(
        "Origins.Items[].[CustomOriginConfig, S3OriginConfig][].OriginReadTimeout | [?@ != `30`]",
        _UPDATE,
    ),
    "origin_keepalive": Watched(f"{_CUSTOM}.OriginKeepaliveTimeout | [?@ != `5`]", _UPDATE),
    "origin_connection_attempts": Watched("Origins.Items[].ConnectionAttempts | [?@ != `3`]", _UPDATE),
    "origin_connection_timeout": Watched("Origins.Items[].ConnectionTimeout | [?@ != `10`]", _UPDATE),
    "origin_response_timeout": Watched("Origins.Items[].ResponseCompletionTimeout | [?@ != `0`]", _UPDATE),
}
"""Settings that manifests do not know, or do not declare; all are in the configuration that is read anyway."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with aliases, methods and countries sorted.

    The order of paths is kept: the first match applies.
    """
    normalised = dict(spec)
    if "aliases" in spec:
        normalised["aliases"] = sort_canonically(list(spec["aliases"]))
    if "geo" in spec:
        normalised["geo"] = {**spec["geo"], "countries": sort_canonically(list(spec["geo"]["countries"]))}
    if "default_behaviour" in spec:
        normalised["default_behaviour"] = _sorted_methods(spec["default_behaviour"])
    if "behaviours" in spec:
        normalised["behaviours"] = {path: _sorted_methods(behaviour) for path, behaviour in spec["behaviours"].items()}
    return normalised


def parse_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a live configuration as a full spec."""
    scalars = {field: config.get(member, "") for field, member in SCALAR_MEMBERS.items()}
    behaviours = _list_items(config.get("CacheBehaviors"))
    geo = config.get("Restrictions", {}).get("GeoRestriction", {"RestrictionType": "none"})
    logging = config.get("Logging", {})
    return {
        **scalars,
        "aliases": _list_items(config.get("Aliases")),
        "certificate": _parse_certificate(config.get("ViewerCertificate", {})),
        "origins": {origin["Id"]: _parse_origin(origin) for origin in _list_items(config["Origins"])},
        "default_behaviour": _parse_behaviour(config["DefaultCacheBehavior"]),
        "behaviours": {behaviour["PathPattern"]: _parse_behaviour(behaviour) for behaviour in behaviours},
        "order": [behaviour["PathPattern"] for behaviour in behaviours],
        "geo": {
            "rule": next(field for field, member in GEO_RESTRICTION_TYPES.items() if member == geo["RestrictionType"]),
            "countries": _list_items(geo),
        },
        "logging": {
            "bucket": logging.get("Bucket", ""),
            "prefix": logging.get("Prefix", ""),
            "cookies": logging.get("IncludeCookies", False),
        },
    }


def merge_config(spec: Mapping[str, Value], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with everything that ``spec`` declares; ``base`` is ``{}`` for a new distribution."""
    config = {**base, **{member: spec[field] for field, member in SCALAR_MEMBERS.items() if field in spec}}
    live_origins = {origin["Id"]: origin for origin in _list_items(base.get("Origins"))}
    grouped_ids = _list_grouped_origins(base)
    origins = [_build_origin(key, origin, live_origins.get(key, {})) for key, origin in spec["origins"].items()]
    origins += [origin for key, origin in live_origins.items() if key in grouped_ids and key not in spec["origins"]]
    behaviours_by_path = {
        live_behaviour["PathPattern"]: live_behaviour for live_behaviour in _list_items(base.get("CacheBehaviors"))
    }
    behaviours = [
        {**_build_behaviour(spec["behaviours"][path], behaviours_by_path.get(path, {})), "PathPattern": path}
        for path in spec["order"]
    ]
    config |= {
        "Aliases": to_quantity_list(spec["aliases"]),
        "ViewerCertificate": _build_certificate(spec["certificate"]),
        "Origins": to_quantity_list(origins),
        "DefaultCacheBehavior": _build_behaviour(spec["default_behaviour"], base.get("DefaultCacheBehavior", {})),
        "CacheBehaviors": to_quantity_list(behaviours),
    }
    return config | _build_options(spec)


def to_quantity_list(items: list[Any]) -> dict[str, Any]:
    """Return a list in CloudFront's format."""
    return {"Quantity": len(items), **({"Items": list(items)} if items else {})}


def _list_items(value: Mapping[str, Any] | None) -> list[Any]:
    return list((value or {}).get("Items") or ())


def _sorted_methods(behaviour: Mapping[str, Value]) -> dict[str, Value]:
    return {**behaviour, "methods": sort_canonically(list(behaviour["methods"]))}


def _build_options(spec: Mapping[str, Value]) -> dict[str, Any]:
    """Return the parts that are sent only if the manifest declares them."""
    options: dict[str, Any] = {}
    if "geo" in spec:
        rule = {
            "RestrictionType": GEO_RESTRICTION_TYPES[spec["geo"]["rule"]],
            **to_quantity_list(spec["geo"]["countries"]),
        }
        options["Restrictions"] = {"GeoRestriction": rule}
    if "logging" in spec:
        target = spec["logging"]
        logging_config = {"Bucket": target["bucket"], "Prefix": target["prefix"], "IncludeCookies": target["cookies"]}
        options["Logging"] = {"Enabled": bool(target["bucket"]), **logging_config}
    return options


def _list_grouped_origins(base: Mapping[str, Any]) -> set[str]:
    """Return the origins that are part of an origin group. Groups are not managed here, so these are kept."""
    groups = _list_items(base.get("OriginGroups"))
    return {member["OriginId"] for group in groups for member in _list_items(group.get("Members"))}


def _build_origin(origin_id: str, origin: Mapping[str, Value], live_origin: Mapping[str, Any]) -> dict[str, Any]:
    preserved = {name: value for name, value in live_origin.items() if name not in ORIGIN_CONFIG_MEMBERS}
    merged = {**preserved, "Id": origin_id, "DomainName": origin["domain"], "OriginPath": origin["path"]}
    if origin["access_control"] is None:
        custom = {
            **HTTPS_ORIGIN_DEFAULTS,
            **live_origin.get("CustomOriginConfig", {}),
            "OriginProtocolPolicy": "https-only",
        }
        return {**merged, "OriginAccessControlId": "", "CustomOriginConfig": custom}
    bucket = {**live_origin.get("S3OriginConfig", {}), "OriginAccessIdentity": ""}
    return {**merged, "OriginAccessControlId": origin["access_control"], "S3OriginConfig": bucket}


def _parse_origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return an origin as a spec. Without access control it is a web server, or a publicly readable bucket."""
    access_control = origin.get("OriginAccessControlId") or None
    if access_control is None and "CustomOriginConfig" not in origin:
        access_control = ""
    return {"domain": origin["DomainName"], "path": origin.get("OriginPath", ""), "access_control": access_control}


def _build_behaviour(behaviour: Mapping[str, Value], live_behaviour: Mapping[str, Any]) -> dict[str, Any]:
    preserved = {
        name: value
        for name, value in live_behaviour.items()
        if name not in (*LEGACY_CACHE_MEMBERS, *POLICY_MEMBERS.values())
    }
    managed_events = {event: behaviour[field] for field, event in FUNCTION_EVENTS.items() if field in behaviour}
    functions = [
        association
        for association in _list_items(live_behaviour.get("FunctionAssociations"))
        if association["EventType"] not in managed_events
    ]
    functions += [{"FunctionARN": arn, "EventType": event} for event, arn in managed_events.items() if arn is not None]
    return {
        **preserved,
        "TargetOriginId": behaviour["origin"],
        "ViewerProtocolPolicy": behaviour["viewer_protocol"],
        "Compress": behaviour["compress"],
        "AllowedMethods": {**to_quantity_list(behaviour["methods"]), "CachedMethods": to_quantity_list(CACHED_METHODS)},
        "FunctionAssociations": to_quantity_list(functions),
        **{member: behaviour[field] for field, member in POLICY_MEMBERS.items() if behaviour[field] is not None},
    }


def _parse_behaviour(behaviour: Mapping[str, Any]) -> dict[str, Any]:
    functions = {
        association["EventType"]: association["FunctionARN"]
        for association in _list_items(behaviour.get("FunctionAssociations"))
    }
    return {
        "origin": behaviour["TargetOriginId"],
        "viewer_protocol": behaviour["ViewerProtocolPolicy"],
        "compress": behaviour.get("Compress", False),
        "methods": _list_items(behaviour.get("AllowedMethods")) or CACHED_METHODS,
        **{field: functions.get(event) for field, event in FUNCTION_EVENTS.items()},
        **{field: behaviour.get(member) or None for field, member in POLICY_MEMBERS.items()},
    }


def _build_certificate(certificate: Mapping[str, Value] | None) -> dict[str, Any]:
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
