"""Turn a cached response into the response for one viewer: 304, range, compression, no body. Pure."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime

from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params

_MIN_COMPRESS_BYTES, _MAX_COMPRESS_BYTES = 1_000, 10_000_000
# From the developer guide, "File types that CloudFront compresses".
_COMPRESSIBLE_TYPE_PATTERN = re.compile(
    r"text/.*|image/svg\+xml|font/(ttf|otf|opentype|eot)|application/(javascript|json|xml|rss\+xml|xhtml\+xml|wasm|"
    r"atom\+xml|ld\+json|manifest\+json|x-javascript|javascript-binast|x-web-app-manifest\+json|x-font-.*|"
    r"vnd\.ms-fontobject|vnd\.api\+json|opentype|otf|ttf|truetype|font|geo\+json|graphql\+json|x-ndjson)"
)
_RANGE_PATTERN = re.compile(r"bytes=(\d*)-(\d*)")
_NOT_MODIFIED_HEADERS = frozenset({"etag", "last-modified", "cache-control", "expires", "vary", "server", "date"})


def deliver(response: Response, request: Request, behaviour: Params, policy: Params) -> Response:
    """Return the response for one viewer."""
    if response.status == 200:
        if _is_not_modified(response, request):
            return Response(304, tuple(pair for pair in response.headers if pair[0].lower() in _NOT_MODIFIED_HEADERS))
        if request.header("range"):
            response = _slice_range(response, request.header("range"))
        elif _should_compress(response, request, behaviour, policy):
            response = _compress(response)
    if request.method == "HEAD":
        return replace(response, body=b"", length=len(response.body))
    return response


def get_header(response: Response, name: str) -> str:
    """Return a header of a response (name in lower case), or ""."""
    return next((value for header_name, value in response.headers if header_name.lower() == name), "")


def _is_not_modified(response: Response, request: Request) -> bool:
    """Return whether the viewer already has this version; an ETag takes precedence over a date."""
    if_none_match = request.header("if-none-match")
    if if_none_match:
        etag = get_header(response, "etag").removeprefix("W/")
        return if_none_match.strip() == "*" or etag in [
            candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")
        ]
    since, last_modified = request.header("if-modified-since"), get_header(response, "last-modified")
    if not since or not last_modified:
        return False
    try:
        return parsedate_to_datetime(last_modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _slice_range(response: Response, range_header: str) -> Response:
    """Return one byte range; answer a request for several ranges with the whole body."""
    range_match, size = _RANGE_PATTERN.fullmatch(range_header), len(response.body)
    if range_match is None or range_header == "bytes=-":
        return response
    first, last = range_match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last), size - 1) if first and last else size - 1
    if start > stop:
        return Response(416, (("Content-Range", f"bytes */{size}"),))
    headers = (*response.headers, ("Content-Range", f"bytes {start}-{stop}/{size}"))
    return Response(206, headers, response.body[start : stop + 1])


def _should_compress(response: Response, request: Request, behaviour: Params, policy: Params) -> bool:
    is_enabled = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {}).get("EnableAcceptEncodingGzip", False)
    content_type = get_header(response, "content-type").partition(";")[0].strip().lower()
    accepted_encodings = [
        encoding.partition(";")[0].strip() for encoding in request.header("accept-encoding").split(",")
    ]
    return (
        bool(behaviour.get("Compress") and is_enabled and "gzip" in accepted_encodings)
        and not get_header(response, "content-encoding")
        and _MIN_COMPRESS_BYTES <= len(response.body) <= _MAX_COMPRESS_BYTES
        and _COMPRESSIBLE_TYPE_PATTERN.fullmatch(content_type) is not None
    )


def _compress(response: Response) -> Response:
    """Return the response with gzip and a weak ETag, because the bytes are no longer the origin's."""
    headers = [
        (name, f"W/{value}" if name.lower() == "etag" and not value.startswith("W/") else value)
        for name, value in response.headers
        if name.lower() != "accept-ranges"
    ]
    encoding_headers = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(response.status, (*headers, *encoding_headers), gzip.compress(response.body, 6, mtime=0))
