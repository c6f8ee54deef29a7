"""Validate a DistributionConfig and fill in CloudFront's defaults. Pure; both backends use it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.cloudfront.entity import check_quantities, remove_empty_items

_EMPTY_ITEMS = {"Quantity": 0}
_CONFIG_DEFAULTS: Params = {
    "Aliases": _EMPTY_ITEMS,
    "DefaultRootObject": "",
    "OriginGroups": _EMPTY_ITEMS,
    "CacheBehaviors": _EMPTY_ITEMS,
    "CustomErrorResponses": _EMPTY_ITEMS,
    "Logging": {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
    "PriceClass": "PriceClass_All",
    "ViewerCertificate": {
        "CloudFrontDefaultCertificate": True,
        "SSLSupportMethod": "vip",
        "MinimumProtocolVersion": "TLSv1",
        "CertificateSource": "cloudfront",
    },
    "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
    "WebACLId": "",
    "HttpVersion": "http2",
    "IsIPV6Enabled": True,
    "ContinuousDeploymentPolicyId": "",
    "Staging": False,
    "ConnectionMode": "direct",
}
_BEHAVIOUR_DEFAULTS: Params = {
    "TrustedSigners": {"Enabled": False, "Quantity": 0},
    "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
    "AllowedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
    "SmoothStreaming": False,
    "Compress": False,
    "LambdaFunctionAssociations": _EMPTY_ITEMS,
    "FunctionAssociations": _EMPTY_ITEMS,
    "FieldLevelEncryptionId": "",
    "GrpcConfig": {"Enabled": False},
}
_DEFAULT_CACHED_METHODS = {"Quantity": 2, "Items": ["HEAD", "GET"]}
_LEGACY_TTL_DEFAULTS = {"MinTTL": 0, "DefaultTTL": 86400, "MaxTTL": 31536000}
_ORIGIN_DEFAULTS: Params = {
    "OriginPath": "",
    "CustomHeaders": _EMPTY_ITEMS,
    "ConnectionAttempts": 3,
    "ConnectionTimeout": 10,
    "OriginShield": {"Enabled": False},
    "OriginAccessControlId": "",
}
_CUSTOM_ORIGIN_DEFAULTS = {
    "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    "OriginReadTimeout": 30,
    "OriginKeepaliveTimeout": 5,
}


def list_behaviours(config: Params) -> list[Params]:
    """Return the default cache behaviour and the others, in order."""
    return [config["DefaultCacheBehavior"], *config.get("CacheBehaviors", {}).get("Items", [])]


def list_origins(config: Params) -> list[Params]:
    """Return the origins."""
    return list(config["Origins"].get("Items", []))


def fill_defaults(distribution_config: Params) -> Params:
    """Return a configuration with everything that CloudFront fills in.

    Raises AwsError: InconsistentQuantities, InvalidArgument, NoSuchOrigin, InvalidOrigin.
    """
    check_quantities(distribution_config)
    config: Params = remove_empty_items(_merge_defaults(distribution_config, _CONFIG_DEFAULTS))
    config["Origins"]["Items"] = [_fill_origin(item) for item in list_origins(config)]
    config["DefaultCacheBehavior"] = _fill_behaviour(config["DefaultCacheBehavior"])
    if config["CacheBehaviors"].get("Items"):
        config["CacheBehaviors"]["Items"] = [_fill_behaviour(item) for item in config["CacheBehaviors"]["Items"]]
    _check_targets(config)
    return config


def _merge_defaults(values: Params, defaults: Params) -> Params:
    return {**deepcopy(defaults), **deepcopy(values)}


def _fill_origin(origin_config: Params) -> Params:
    origin = _merge_defaults(origin_config, _ORIGIN_DEFAULTS)
    origin_types = [name for name in ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig") if name in origin]
    if len(origin_types) != 1:
        raise AwsError(
            "InvalidOrigin", f"Origin {origin['Id']} needs exactly one of S3, custom and VPC origin config.", 400
        )
    if "S3OriginConfig" in origin:
        origin["S3OriginConfig"].setdefault("OriginReadTimeout", 30)
        identity = origin["S3OriginConfig"]["OriginAccessIdentity"]
        if identity and origin["OriginAccessControlId"]:
            message = "An origin cannot have an origin access identity and an origin access control at once."
            raise AwsError("IllegalOriginAccessConfiguration", message, 400)
    if "CustomOriginConfig" in origin:
        origin["CustomOriginConfig"] = _merge_defaults(origin["CustomOriginConfig"], _CUSTOM_ORIGIN_DEFAULTS)
    return origin


def _fill_behaviour(behaviour_config: Params) -> Params:
    behaviour = _merge_defaults(behaviour_config, _BEHAVIOUR_DEFAULTS)
    behaviour["AllowedMethods"].setdefault("CachedMethods", deepcopy(_DEFAULT_CACHED_METHODS))
    if "CachePolicyId" not in behaviour and "ForwardedValues" not in behaviour:
        raise AwsError("InvalidArgument", "The parameter ForwardedValues or CachePolicyId is required.", 400)
    if "ForwardedValues" in behaviour:
        behaviour = _merge_defaults(behaviour, _LEGACY_TTL_DEFAULTS)
    return behaviour


def _check_targets(config: Params) -> None:
    target_ids: set[Any] = {origin["Id"] for origin in list_origins(config)}
    target_ids |= {group["Id"] for group in config["OriginGroups"].get("Items", [])}
    for behaviour in list_behaviours(config):
        if behaviour["TargetOriginId"] not in target_ids:
            message = f"One or more of your origins or origin groups do not exist: {behaviour['TargetOriginId']}."
            raise AwsError("NoSuchOrigin", message, 404)
