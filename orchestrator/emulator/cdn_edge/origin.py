"""Fetch from origins: objects in the backend's S3, if the bucket policy allows CloudFront, and local servers."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from orchestrator.emulator.cdn_edge.bucket_policy import AccessRequest, allows_access
from orchestrator.emulator.cdn_edge.control_plane import ControlPlane, Distribution
from orchestrator.emulator.cdn_edge.custom_errors import (
    CONNECTION_FAILED_REASON,
    cloudfront_error_response,
    s3_error_response,
)
from orchestrator.emulator.cdn_edge.response_headers import build_bucket_cors_headers
from orchestrator.emulator.client_protocol import serialise_request
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import EmulatorState

Dispatch = Callable[[Request], Response | None]

_S3_HOST_PATTERN = re.compile(r"(.+)\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com")
_INTERNAL_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
_OBJECT_HEADERS = frozenset(
    {
        "content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "etag",
        "expires", "last-modified", "x-amz-version-id", "x-amz-server-side-encryption",
    }
)  # fmt: skip
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})
_HOP_HEADERS = ("content-length", "connection", "transfer-encoding", "date", "keep-alive")


@dataclass(frozen=True)
class OriginClient:
    """The origins of one emulator; ``dispatch`` asks the emulator itself for hosts that it created."""

    state: EmulatorState
    control_plane: ControlPlane
    dispatch: Dispatch

    def get_response(self, origin: Params, request: Request, distribution: Distribution) -> Response:
        """Return an origin's response to a viewer's request."""
        request = replace(request, target=origin.get("OriginPath", "") + request.target)
        if "S3OriginConfig" in origin:
            return self._fetch_object(origin, request, distribution)
        return self._fetch_server(origin, request)

    def _fetch_object(self, origin: Params, request: Request, distribution: Distribution) -> Response:
        bucket_match = _S3_HOST_PATTERN.fullmatch(origin["DomainName"])
        bucket, key = bucket_match.group(1) if bucket_match else "", unquote(request.path).removeprefix("/")
        policy = self.control_plane.get_bucket_policy(bucket)
        if request.method == "OPTIONS":
            cors_headers = build_bucket_cors_headers(self.control_plane.get_bucket_cors(bucket), request)
            return (
                Response(200, cors_headers)
                if cors_headers
                else s3_error_response(403, "AccessForbidden", "CORSResponse: not allowed")
            )
        if request.method not in ("GET", "HEAD"):
            return s3_error_response(403, "AccessDenied", "Access Denied")
        source = distribution.arn if self.control_plane.is_signed(origin) else ""

        def can_read(action: str, resource: str) -> bool:
            arn = f"arn:aws:s3:::{resource}"
            return allows_access(policy, AccessRequest(f"s3:{action}", arn, source, self.state.account))

        if not can_read("GetObject", f"{bucket}/{key}"):
            return s3_error_response(403, "AccessDenied", "Access Denied")
        response = self._get_object(bucket, key)
        if response.status >= 300:
            # Without ListBucket, S3 does not reveal which keys are missing.
            if not can_read("ListBucket", bucket):
                return s3_error_response(403, "AccessDenied", "Access Denied")
            return s3_error_response(404, "NoSuchKey", "The specified key does not exist.", key)
        return replace(
            response,
            headers=(
                *response.headers,
                *build_bucket_cors_headers(self.control_plane.get_bucket_cors(bucket), request),
            ),
        )

    def _get_object(self, bucket: str, key: str) -> Response:
        if not bucket or not key:
            return Response(404)
        target = Target("s3", self.state.region, "GetObject")
        object_request = serialise_request(target, {"Bucket": bucket, "Key": key}, _INTERNAL_ACCESS_KEY_ID)
        response = self.state.backend.forward(object_request, target)
        object_headers = [
            (name, value)
            for name, value in response.headers
            if name.lower() in _OBJECT_HEADERS or name.lower().startswith("x-amz-meta-")
        ]
        return Response(
            response.status, (*object_headers, ("Accept-Ranges", "bytes"), ("Server", "AmazonS3")), response.body
        )

    def _fetch_server(self, origin: Params, request: Request) -> Response:
        host, config = origin["DomainName"], origin["CustomOriginConfig"]
        viewer_headers = [(name, value) for name, value in request.headers if name.lower() != "host"]
        custom_headers = [
            (item["HeaderName"], item["HeaderValue"]) for item in origin["CustomHeaders"].get("Items", [])
        ]
        origin_request = replace(request, headers=(("Host", host), *viewer_headers, *custom_headers))
        try:
            response = (
                _send_http(host, config["HTTPPort"], origin_request)
                if host in _LOOPBACK_HOSTS
                else self.dispatch(origin_request)
            )
        except (OSError, http.client.HTTPException):
            response = None
        return response or cloudfront_error_response(502, CONNECTION_FAILED_REASON)


def _send_http(host: str, port: int, request: Request) -> Response:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        headers = {name: value for name, value in request.headers if name.lower() not in _HOP_HEADERS}
        connection.request(request.method, request.target, request.body or None, headers)
        http_response = connection.getresponse()
        response_headers = tuple(
            (name, value) for name, value in http_response.getheaders() if name.lower() not in _HOP_HEADERS
        )
        return Response(http_response.status, response_headers, http_response.read())
    finally:
        connection.close()
