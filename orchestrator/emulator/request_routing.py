"""Identify the AWS service that an HTTP request is for, from its headers. Knows no operation."""

from __future__ import annotations

import re
from urllib.parse import unquote

from orchestrator.emulator.http_messages import Request

EDGE_SERVICE = "cloudfront-edge"  # a viewer's request to a distribution
REGISTRY_SERVICE = "ecr-registry"  # a container engine's push or pull

_AWS_DOMAINS = (".amazonaws.com", ".awsapprunner.com", ".on.aws")
_SERVICE_HOST_PATTERN = re.compile(r".+\.awsapprunner\.com|.+\.ecs\.[a-z0-9-]+\.on\.aws")
_CREDENTIAL_SCOPE_PATTERN = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_PRESIGNED_SCOPE_PATTERN = re.compile(r"[?&]X-Amz-Credential=([^&]+)")
_SERVICE_BY_SIGNING_NAME = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "elasticloadbalancing": "elbv2",
    "email": "sesv2",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
}
_UNSIGNED_TARGET_SERVICES = {
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSCognitoIdentityService": "cognito-identity",
}


def identify_service(request: Request, default_region: str) -> tuple[str, str]:
    """Return (service, region) by credential scope, presigned query or host, in this order; S3 if none matches.

    ``service`` is botocore's name, or EDGE_SERVICE or REGISTRY_SERVICE for a request that is not an AWS API call.
    """
    scope = _CREDENTIAL_SCOPE_PATTERN.search(request.header("authorization"))
    if scope is None:
        presigned_scope = _PRESIGNED_SCOPE_PATTERN.search(request.target)
        scope = (
            re.search(r"/\d{8}/([^/]+)/([^/]+)/aws4_request", unquote(presigned_scope.group(1)))
            if presigned_scope
            else None
        )
    if scope is not None:
        region, name = scope.groups()
        return _service_for_signing_name(name, request), region
    return _service_of_unsigned_request(request), default_region


def _service_for_signing_name(name: str, request: Request) -> str:
    if name == "s3" and request.path.startswith("/v20180820/"):
        return "s3control"
    return _SERVICE_BY_SIGNING_NAME.get(name, name)


def match_service_host(request: Request) -> str | None:
    """Return the host of the App Runner or ECS service that a request is for, without ``.localhost``, or None."""
    host = request.header("host").partition(":")[0].lower().removesuffix(".localhost")
    return (
        host
        if _SERVICE_HOST_PATTERN.fullmatch(host)
        and not _CREDENTIAL_SCOPE_PATTERN.search(request.header("authorization"))
        else None
    )


def could_be_alias(request: Request) -> bool:
    """Return whether an unsigned request names a host that is neither this machine nor AWS."""
    host = request.header("host").partition(":")[0]
    has_domain = host.rpartition(".")[2].isalpha() and host != "localhost"
    return has_domain and not host.endswith(_AWS_DOMAINS) and not request.header("authorization")


def _service_of_unsigned_request(request: Request) -> str:
    host = request.header("host").partition(":")[0]
    if host.endswith((".cloudfront.net", ".localhost")):
        return EDGE_SERVICE
    if request.path == "/v2" or request.path.startswith("/v2/"):
        return REGISTRY_SERVICE
    if host.endswith(".amazonaws.com"):
        return _service_of_host(host)
    target = request.header("x-amz-target").partition(".")[0]
    if target in _UNSIGNED_TARGET_SERVICES:
        return _UNSIGNED_TARGET_SERVICES[target]
    if b"Action=AssumeRoleWith" in request.body:
        return "sts"
    return "s3"


def _service_of_host(host: str) -> str:
    labels = host.removesuffix(".amazonaws.com").split(".")
    name = next((label for label in labels if label in _SERVICE_BY_SIGNING_NAME or label.startswith("s3")), labels[0])
    return "s3" if name.startswith("s3") else _SERVICE_BY_SIGNING_NAME.get(name, name)
