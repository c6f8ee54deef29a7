"""Run CloudFront Functions: QuickJS executes the published code, in a new context for every request.

The event has the structure in the developer guide, "CloudFront Functions event structure". The ``cloudfront`` module
(key value stores) does not exist: code that imports it fails like code that throws.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from orchestrator.emulator.cdn_edge.control_plane import Distribution
from orchestrator.emulator.http_messages import Request, Response

_TIMEOUT_SECONDS = 1.0
_MAX_MEMORY_BYTES = 16 * 1024 * 1024
_RUN_SCRIPT = """
var __answer, __failure;
Promise.resolve().then(function () { return handler(JSON.parse(__event)); })
  .then(function (result) { __answer = JSON.stringify(result); }, function (error) { __failure = String(error); });
"""
_CONSOLE_STUB = "var console = { log: function () {}, error: function () {} };"
_READ_ONLY_HEADERS = ("host", "connection", "content-length")


class FunctionError(Exception):
    """The code does not parse, throws, times out or returns an unusable value."""


def run_viewer_request(code: bytes, request: Request, distribution: Distribution) -> Request | Response:
    """Run a viewer-request function and return its request or response. Raises FunctionError."""
    result = _run_function(code, _build_event("viewer-request", request, distribution))
    if "statusCode" in result:
        return _to_response(result)
    if not str(result.get("uri", "")).startswith("/"):
        raise FunctionError("the function returned a request whose `uri` is missing or does not start with `/`")
    query = _format_query(result.get("querystring", {}))
    target = quote(unquote(result["uri"]), safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
    read_only_headers = tuple((name, value) for name, value in request.headers if name.lower() in _READ_ONLY_HEADERS)
    return replace(
        request,
        target=target,
        headers=(*read_only_headers, *_to_header_pairs(result.get("headers", {}), _READ_ONLY_HEADERS)),
    )


def run_viewer_response(code: bytes, request: Request, response: Response, distribution: Distribution) -> Response:
    """Run a viewer-response function, which may change status and headers. Raises FunctionError."""
    event_response = {"statusCode": response.status, "headers": _to_event_values(response.headers)}
    event = {**_build_event("viewer-response", request, distribution), "response": event_response}
    result = _run_function(code, event)
    status = int(result.get("statusCode", response.status))
    return Response(status, _to_header_pairs(result.get("headers", {})), response.body, response.length)


def _run_function(code: bytes, event: dict[str, Any]) -> dict[str, Any]:
    import quickjs

    context = quickjs.Context()
    context.set_memory_limit(_MAX_MEMORY_BYTES)
    context.set_time_limit(_TIMEOUT_SECONDS)
    try:
        context.eval(_CONSOLE_STUB)
        context.eval(code.decode())
        context.set("__event", json.dumps(event))
        context.eval(_RUN_SCRIPT)
        while context.execute_pending_job():
            pass
        failure, result_json = context.get("__failure"), context.get("__answer")
    except (quickjs.JSException, UnicodeDecodeError) as error:
        raise FunctionError(str(error)) from error
    if failure is not None or not isinstance(result_json, str):
        raise FunctionError(str(failure or "the function returned nothing"))
    result = json.loads(result_json)
    if not isinstance(result, dict):
        raise FunctionError("the function returned a value that is not an object")
    return result


def _build_event(event_type: str, request: Request, distribution: Distribution) -> dict[str, Any]:
    cookies = [part.strip().partition("=")[::2] for part in request.header("cookie").split(";") if part.strip()]
    query = request.target.partition("?")[2]
    parameters = [part.partition("=")[::2] for part in query.split("&") if part]
    return {
        "version": "1.0",
        "context": {
            "distributionDomainName": distribution.domain,
            "distributionId": distribution.id,
            "eventType": event_type,
            "requestId": uuid.uuid4().hex,
        },
        "viewer": {"ip": "127.0.0.1"},
        "request": {
            "method": request.method,
            "uri": request.path,
            "querystring": _to_event_values(parameters, str),
            "headers": _to_event_values([pair for pair in request.headers if pair[0].lower() != "cookie"]),
            "cookies": _to_event_values(cookies, str),
        },
    }


def _to_event_values(pairs: Any, normalise: Any = str.lower) -> dict[str, Any]:
    """Return ``{name: {value}}``, with multiValue for a name that occurs more than once."""
    values_by_name: dict[str, list[str]] = {}
    for name, value in pairs:
        values_by_name.setdefault(normalise(name), []).append(value)
    return {
        name: {"value": values[-1], **({"multiValue": [{"value": item} for item in values]} if values[1:] else {})}
        for name, values in values_by_name.items()
    }


def _flatten_values(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(name), str(item.get("value", "")))
        for name, entry in values.items()
        for item in entry.get("multiValue", [entry])
    ]


def _to_header_pairs(values: dict[str, Any], excluded: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in _flatten_values(values) if name.lower() not in excluded)


def _format_query(query: Any) -> str:
    """Return a querystring object as text; a function may also return plain text."""
    if isinstance(query, str):
        return query
    return "&".join(f"{name}={value}" if value else name for name, value in _flatten_values(query))


def _to_response(result: dict[str, Any]) -> Response:
    body = result.get("body", "")
    content = body.get("data", "") if isinstance(body, dict) else body
    edge_headers = (("Server", "CloudFront"), ("X-Cache", "FunctionGeneratedResponse from cloudfront"))
    return Response(
        int(result["statusCode"]), (*_to_header_pairs(result.get("headers", {})), *edge_headers), str(content).encode()
    )
