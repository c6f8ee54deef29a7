"""Convert a CloudFront configuration from the API's shape to CloudFormation's.  Pure.

Source: the resource provider schema of AWS::CloudFront::Distribution, which takes lists instead of
``{Quantity, Items}``, and spells some members differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED_MEMBERS = {
    "IsIPV6Enabled": "IPV6Enabled",
    "ACMCertificateArn": "AcmCertificateArn",
    "IAMCertificateId": "IamCertificateId",
    "SSLSupportMethod": "SslSupportMethod",
    "OriginSslProtocols": "OriginSSLProtocols",
    "CustomHeaders": "OriginCustomHeaders",
}
SIGNER_MEMBERS = ("TrustedSigners", "TrustedKeyGroups")
DROPPED_MEMBERS = {"CallerReference", "Certificate", "CertificateSource"}
"""Members of the API that CloudFormation does not know."""


def convert_distribution(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a DistributionConfig of the API as CloudFormation's property of that name."""
    properties: dict[str, Any] = _convert(config)
    geo = (config.get("Restrictions") or {}).get("GeoRestriction") or {"RestrictionType": "none"}
    properties["Restrictions"] = {
        "GeoRestriction": {"RestrictionType": geo["RestrictionType"], "Locations": list(geo.get("Items") or ())}
    }
    if not (config.get("Logging") or {}).get("Bucket"):
        properties.pop("Logging", None)
    return {name: value for name, value in properties.items() if value not in ("", None, [])}


def convert_headers(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a ``cloudfront_headers`` resource as CloudFormation's ResponseHeadersPolicyConfig."""
    security: dict[str, Any] = {"ContentTypeOptions": {"Override": True}}
    if hsts := spec.get("hsts"):
        security["StrictTransportSecurity"] = {
            "AccessControlMaxAgeSec": hsts["max_age"],
            "IncludeSubdomains": hsts["subdomains"],
            "Preload": hsts["preload"],
            "Override": True,
        }
    if policy := spec.get("csp"):
        security["ContentSecurityPolicy"] = {"ContentSecurityPolicy": policy, "Override": True}
    if frame := spec.get("frame"):
        security["FrameOptions"] = {"FrameOption": frame, "Override": True}
    if referrer := spec.get("referrer"):
        security["ReferrerPolicy"] = {"ReferrerPolicy": referrer, "Override": True}
    config: dict[str, Any] = {"Name": name, "Comment": spec.get("comment", ""), "SecurityHeadersConfig": security}
    if custom := spec.get("custom"):
        items = [{"Header": item["name"], "Value": item["value"], "Override": True} for item in custom]
        config["CustomHeadersConfig"] = {"Items": items}
    if removed := spec.get("remove"):
        config["RemoveHeadersConfig"] = {"Items": [{"Header": header} for header in removed]}
    return config


def _convert(value: Any) -> Any:
    match value:
        case {"Quantity": _}:
            return [_convert(item) for item in value.get("Items") or ()]
        case Mapping():
            converted = {
                RENAMED_MEMBERS.get(name, name): _convert(item)
                for name, item in value.items()
                if name not in {*DROPPED_MEMBERS, *SIGNER_MEMBERS}
            }
            for signers in SIGNER_MEMBERS:
                if items := (value.get(signers) or {}).get("Items"):
                    converted[signers] = list(items)
            methods = value.get("AllowedMethods")
            if isinstance(methods, Mapping) and "CachedMethods" in methods:
                converted["CachedMethods"] = list(methods["CachedMethods"].get("Items") or ())
            return converted
        case list():
            return [_convert(item) for item in value]
    return value
