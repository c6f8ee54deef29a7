"""From what the edge holds to what this viewer gets: not modified, a part, compressed, without a body.  Pure."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime

from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params

_SMALLEST, _LARGEST = 1_000, 10_000_000
# After the developer guide, "File types that CloudFront compresses".
_COMPRESSED = re.compile(
    r"text/.*|image/svg\+xml|font/(ttf|otf|opentype|eot)|application/(javascript|json|xml|rss\+xml|xhtml\+xml|wasm|"
    r"atom\+xml|ld\+json|manifest\+json|x-javascript|javascript-binast|x-web-app-manifest\+json|x-font-.*|"
    r"vnd\.ms-fontobject|vnd\.api\+json|opentype|otf|ttf|truetype|font|geo\+json|graphql\+json|x-ndjson)"
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_KEPT_IN_304 = frozenset({"etag", "last-modified", "cache-control", "expires", "vary", "server", "date"})


def delivered(response: Response, request: Request, behaviour: Params, policy: Params) -> Response:
    """The answer for one viewer."""
    if response.status == 200:
        if _is_known(response, request):
            return Response(304, tuple(pair for pair in response.headers if pair[0].lower() in _KEPT_IN_304))
        if request.header("range"):
            response = _part(response, request.header("range"))
        elif _may_compress(response, request, behaviour, policy):
            response = _compressed(response)
    if request.method == "HEAD":
        return replace(response, body=b"", length=len(response.body))
    return response


def header(response: Response, name: str) -> str:
    """A header of a response (name in lower case), or ""."""
    return next((value for other, value in response.headers if other.lower() == name), "")


def _is_known(response: Response, request: Request) -> bool:
    """Whether the viewer has it already; an ETag counts for more than a date."""
    wanted = request.header("if-none-match")
    if wanted:
        mine = header(response, "etag").removeprefix("W/")
        return wanted.strip() == "*" or mine in [each.strip().removeprefix("W/") for each in wanted.split(",")]
    since, modified = request.header("if-modified-since"), header(response, "last-modified")
    if not since or not modified:
        return False
    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _part(response: Response, asked: str) -> Response:
    """One range; several are answered whole."""
    found, size = _RANGE.fullmatch(asked), len(response.body)
    if found is None or asked == "bytes=-":
        return response
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return Response(416, (("Content-Range", f"bytes */{size}"),))
    headers = (*response.headers, ("Content-Range", f"bytes {start}-{end}/{size}"))
    return Response(206, headers, response.body[start : end + 1])


def _may_compress(response: Response, request: Request, behaviour: Params, policy: Params) -> bool:
    allowed = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {}).get("EnableAcceptEncodingGzip", False)
    kind = header(response, "content-type").partition(";")[0].strip().lower()
    accepted = [each.partition(";")[0].strip() for each in request.header("accept-encoding").split(",")]
    return (
        bool(behaviour.get("Compress") and allowed and "gzip" in accepted)
        and not header(response, "content-encoding")
        and _SMALLEST <= len(response.body) <= _LARGEST
        and _COMPRESSED.fullmatch(kind) is not None
    )


def _compressed(response: Response) -> Response:
    """gzip; the ETag becomes a weak one, because the bytes are no longer the origin's."""
    headers = [
        (name, f"W/{value}" if name.lower() == "etag" and not value.startswith("W/") else value)
        for name, value in response.headers
        if name.lower() != "accept-ranges"
    ]
    added = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(response.status, (*headers, *added), gzip.compress(response.body, 6, mtime=0))
