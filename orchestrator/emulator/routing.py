"""From an HTTP request to the AWS service it is meant for.  Reads headers only; knows no operation."""

from __future__ import annotations

import re
from urllib.parse import unquote

from orchestrator.emulator.http_messages import Request

EDGE = "cloudfront-edge"  # a viewer asking a distribution for a page
REGISTRY = "ecr-registry"  # a container engine pushing or pulling

_AWS = (".amazonaws.com", ".awsapprunner.com", ".on.aws")
_SERVED = re.compile(r".+\.awsapprunner\.com|.+\.ecs\.[a-z0-9-]+\.on\.aws")
_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_QUERY_SCOPE = re.compile(r"[?&]X-Amz-Credential=([^&]+)")
_SERVICES = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "elasticloadbalancing": "elbv2",
    "email": "sesv2",
    "states": "stepfunctions",
}
_UNSIGNED_TARGETS = {
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSCognitoIdentityService": "cognito-identity",
}


def route(request: Request, default_region: str) -> tuple[str, str]:
    """The (service, region) of a request: by credential scope, by presigned query, by host, and S3 if all fail.

    ``service`` is botocore's name, or EDGE or REGISTRY for what is no AWS API call.
    """
    scope = _SCOPE.search(request.header("authorization"))
    if scope is None:
        query = _QUERY_SCOPE.search(request.target)
        scope = re.search(r"/\d{8}/([^/]+)/([^/]+)/aws4_request", unquote(query.group(1))) if query else None
    if scope is not None:
        region, name = scope.groups()
        return _service(name, request), region
    return _unsigned(request), default_region


def _service(name: str, request: Request) -> str:
    if name == "s3" and request.path.startswith("/v20180820/"):
        return "s3control"
    return _SERVICES.get(name, name)


def service_host(request: Request) -> str | None:
    """The host of a service of App Runner or ECS that a request is for, as AWS or a browser on this machine has it."""
    host = request.header("host").partition(":")[0].lower().removesuffix(".localhost")
    return host if _SERVED.fullmatch(host) and not _SCOPE.search(request.header("authorization")) else None


def may_be_alias(request: Request) -> bool:
    """Whether an unsigned request names a host that is neither this machine nor AWS's."""
    host = request.header("host").partition(":")[0]
    named = host.rpartition(".")[2].isalpha() and host != "localhost"
    return named and not host.endswith(_AWS) and not request.header("authorization")


def _unsigned(request: Request) -> str:
    host = request.header("host").partition(":")[0]
    if host.endswith((".cloudfront.net", ".localhost")):
        return EDGE
    if request.path == "/v2" or request.path.startswith("/v2/"):
        return REGISTRY
    if host.endswith(".amazonaws.com"):
        return _service_of_host(host)
    target = request.header("x-amz-target").partition(".")[0]
    if target in _UNSIGNED_TARGETS:
        return _UNSIGNED_TARGETS[target]
    if b"Action=AssumeRoleWith" in request.body:
        return "sts"
    return "s3"


def _service_of_host(host: str) -> str:
    labels = host.removesuffix(".amazonaws.com").split(".")
    name = next((label for label in labels if label in _SERVICES or label.startswith("s3")), labels[0])
    return "s3" if name.startswith("s3") else _SERVICES.get(name, name)
