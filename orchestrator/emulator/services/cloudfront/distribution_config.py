"""A DistributionConfig as CloudFront stores it: defaults filled in, what it refuses.  Pure; both backends use it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.cloudfront.entity import check_quantities, without_empty_items

_NONE = {"Quantity": 0}
_TOP: Params = {
    "Aliases": _NONE,
    "DefaultRootObject": "",
    "OriginGroups": _NONE,
    "CacheBehaviors": _NONE,
    "CustomErrorResponses": _NONE,
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
_BEHAVIOUR: Params = {
    "TrustedSigners": {"Enabled": False, "Quantity": 0},
    "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
    "AllowedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
    "SmoothStreaming": False,
    "Compress": False,
    "LambdaFunctionAssociations": _NONE,
    "FunctionAssociations": _NONE,
    "FieldLevelEncryptionId": "",
    "GrpcConfig": {"Enabled": False},
}
_CACHED = {"Quantity": 2, "Items": ["HEAD", "GET"]}
_LEGACY_TTL = {"MinTTL": 0, "DefaultTTL": 86400, "MaxTTL": 31536000}
_ORIGIN: Params = {
    "OriginPath": "",
    "CustomHeaders": _NONE,
    "ConnectionAttempts": 3,
    "ConnectionTimeout": 10,
    "OriginShield": {"Enabled": False},
    "OriginAccessControlId": "",
}
_CUSTOM = {
    "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    "OriginReadTimeout": 30,
    "OriginKeepaliveTimeout": 5,
}


def behaviours(config: Params) -> list[Params]:
    """The default cache behaviour and the others, in order."""
    return [config["DefaultCacheBehavior"], *config.get("CacheBehaviors", {}).get("Items", [])]


def origins(config: Params) -> list[Params]:
    """The origins."""
    return list(config["Origins"].get("Items", []))


def completed(given: Params) -> Params:
    """A configuration with everything CloudFront fills in.

    Raises AwsError: InconsistentQuantities, InvalidArgument, NoSuchOrigin, InvalidOrigin.
    """
    check_quantities(given)
    config: Params = without_empty_items(_filled(given, _TOP))
    config["Origins"]["Items"] = [_origin(each) for each in origins(config)]
    config["DefaultCacheBehavior"] = _behaviour(config["DefaultCacheBehavior"])
    if config["CacheBehaviors"].get("Items"):
        config["CacheBehaviors"]["Items"] = [_behaviour(each) for each in config["CacheBehaviors"]["Items"]]
    _check_targets(config)
    return config


def _filled(given: Params, defaults: Params) -> Params:
    return {**deepcopy(defaults), **deepcopy(given)}


def _origin(given: Params) -> Params:
    origin = _filled(given, _ORIGIN)
    kinds = [name for name in ("S3OriginConfig", "CustomOriginConfig", "VpcOriginConfig") if name in origin]
    if len(kinds) != 1:
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
        origin["CustomOriginConfig"] = _filled(origin["CustomOriginConfig"], _CUSTOM)
    return origin


def _behaviour(given: Params) -> Params:
    behaviour = _filled(given, _BEHAVIOUR)
    behaviour["AllowedMethods"].setdefault("CachedMethods", deepcopy(_CACHED))
    if "CachePolicyId" not in behaviour and "ForwardedValues" not in behaviour:
        raise AwsError("InvalidArgument", "The parameter ForwardedValues or CachePolicyId is required.", 400)
    if "ForwardedValues" in behaviour:
        behaviour = _filled(behaviour, _LEGACY_TTL)
    return behaviour


def _check_targets(config: Params) -> None:
    known: set[Any] = {origin["Id"] for origin in origins(config)}
    known |= {group["Id"] for group in config["OriginGroups"].get("Items", [])}
    for behaviour in behaviours(config):
        if behaviour["TargetOriginId"] not in known:
            message = f"One or more of your origins or origin groups do not exist: {behaviour['TargetOriginId']}."
            raise AwsError("NoSuchOrigin", message, 404)
