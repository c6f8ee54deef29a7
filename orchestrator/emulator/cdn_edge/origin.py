"""Origins: objects of the backend's S3 as far as bucket policies let CloudFront, and servers on this machine."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from orchestrator.emulator.cdn_edge.bucket_policy import Access, allows
from orchestrator.emulator.cdn_edge.control_plane import Configuration, Distribution
from orchestrator.emulator.cdn_edge.error_pages import CONNECTION, cloudfront_error, s3_error
from orchestrator.emulator.cdn_edge.response_headers import bucket_cors
from orchestrator.emulator.client_protocol import outgoing
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import World

Fetch = Callable[[Request], Response | None]

_BUCKET = re.compile(r"(.+)\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com")
_INTERNAL_KEY = "AKIAIOSFODNN7EXAMPLE"
_OF_OBJECTS = frozenset(
    {
        "content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "etag",
        "expires", "last-modified", "x-amz-version-id", "x-amz-server-side-encryption",
    }
)  # fmt: skip
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_OWN = ("content-length", "connection", "transfer-encoding", "date", "keep-alive")


@dataclass(frozen=True)
class Origins:
    """Every origin of one emulator; ``fetch`` asks the emulator itself for hosts that it gave out."""

    world: World
    configuration: Configuration
    fetch: Fetch

    def ask(self, origin: Params, request: Request, distribution: Distribution) -> Response:
        """An origin's answer to a viewer's request."""
        request = replace(request, target=origin.get("OriginPath", "") + request.target)
        if "S3OriginConfig" in origin:
            return self._object(origin, request, distribution)
        return self._server(origin, request)

    def _object(self, origin: Params, request: Request, distribution: Distribution) -> Response:
        named = _BUCKET.fullmatch(origin["DomainName"])
        bucket, key = named.group(1) if named else "", unquote(request.path).removeprefix("/")
        policy = self.configuration.bucket_policy(bucket)
        if request.method == "OPTIONS":
            allowed = bucket_cors(self.configuration.bucket_cors(bucket), request)
            return Response(200, allowed) if allowed else s3_error(403, "AccessForbidden", "CORSResponse: not allowed")
        if request.method not in ("GET", "HEAD"):
            return s3_error(403, "AccessDenied", "Access Denied")
        source = distribution.arn if self.configuration.is_signed(origin) else ""

        def may(action: str, resource: str) -> bool:
            arn = f"arn:aws:s3:::{resource}"
            return allows(policy, Access(f"s3:{action}", arn, source, self.world.account))

        if not may("GetObject", f"{bucket}/{key}"):
            return s3_error(403, "AccessDenied", "Access Denied")
        found = self._stored(bucket, key)
        if found.status >= 300:
            # Who may not list a bucket is not told what is missing from it.
            if not may("ListBucket", bucket):
                return s3_error(403, "AccessDenied", "Access Denied")
            return s3_error(404, "NoSuchKey", "The specified key does not exist.", key)
        return replace(found, headers=(*found.headers, *bucket_cors(self.configuration.bucket_cors(bucket), request)))

    def _stored(self, bucket: str, key: str) -> Response:
        if not bucket or not key:
            return Response(404)
        target = Target("s3", self.world.region, "GetObject")
        asked = outgoing(target, {"Bucket": bucket, "Key": key}, _INTERNAL_KEY)
        found = self.world.backend.forward(asked, target)
        kept = [
            (name, value)
            for name, value in found.headers
            if name.lower() in _OF_OBJECTS or name.lower().startswith("x-amz-meta-")
        ]
        return Response(found.status, (*kept, ("Accept-Ranges", "bytes"), ("Server", "AmazonS3")), found.body)

    def _server(self, origin: Params, request: Request) -> Response:
        host, config = origin["DomainName"], origin["CustomOriginConfig"]
        kept = [(name, value) for name, value in request.headers if name.lower() != "host"]
        custom = [(each["HeaderName"], each["HeaderValue"]) for each in origin["CustomHeaders"].get("Items", [])]
        wire = replace(request, headers=(("Host", host), *kept, *custom))
        try:
            found = _over_http(host, config["HTTPPort"], wire) if host in _LOOPBACK else self.fetch(wire)
        except (OSError, http.client.HTTPException):
            found = None
        return found or cloudfront_error(502, CONNECTION)


def _over_http(host: str, port: int, request: Request) -> Response:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        headers = {name: value for name, value in request.headers if name.lower() not in _OWN}
        connection.request(request.method, request.target, request.body or None, headers)
        answer = connection.getresponse()
        kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _OWN)
        return Response(answer.status, kept, answer.read())
    finally:
        connection.close()
