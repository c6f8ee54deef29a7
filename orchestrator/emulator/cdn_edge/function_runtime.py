"""CloudFront Functions at work: QuickJS runs the published code, in a context of its own for every request.

The event has the structure of the developer guide, "CloudFront Functions event structure".  There is no ``cloudfront``
module (key value stores): code that imports it fails, as code that throws does.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from orchestrator.emulator.cdn_edge.control_plane import Distribution
from orchestrator.emulator.http_messages import Request, Response

_SECONDS = 1.0
_MEMORY = 16 * 1024 * 1024
_RUN = """
var __answer, __failure;
Promise.resolve().then(function () { return handler(JSON.parse(__event)); })
  .then(function (it) { __answer = JSON.stringify(it); }, function (it) { __failure = String(it); });
"""
_CONSOLE = "var console = { log: function () {}, error: function () {} };"
_REASONLESS = ("host", "connection", "content-length")


class FunctionError(Exception):
    """The code does not parse, throws, takes too long or answers nothing of use."""


def on_request(code: bytes, request: Request, distribution: Distribution) -> Request | Response:
    """Run a viewer-request function: the request to go on with, or the response it made.  Raises FunctionError."""
    answer = _run(code, _event("viewer-request", request, distribution))
    if "statusCode" in answer:
        return _response(answer)
    if not str(answer.get("uri", "")).startswith("/"):
        raise FunctionError("the request it returned has no uri that begins with /")
    query = _query_text(answer.get("querystring", {}))
    target = quote(unquote(answer["uri"]), safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
    kept = tuple((name, value) for name, value in request.headers if name.lower() in _REASONLESS)
    return replace(request, target=target, headers=(*kept, *_pairs(answer.get("headers", {}), _REASONLESS)))


def on_response(code: bytes, request: Request, response: Response, distribution: Distribution) -> Response:
    """Run a viewer-response function, which may change status and headers.  Raises FunctionError."""
    shown = {"statusCode": response.status, "headers": _values(response.headers)}
    event = {**_event("viewer-response", request, distribution), "response": shown}
    answer = _run(code, event)
    status = int(answer.get("statusCode", response.status))
    return Response(status, _pairs(answer.get("headers", {})), response.body, response.length)


def _run(code: bytes, event: dict[str, Any]) -> dict[str, Any]:
    import quickjs

    context = quickjs.Context()
    context.set_memory_limit(_MEMORY)
    context.set_time_limit(_SECONDS)
    try:
        context.eval(_CONSOLE)
        context.eval(code.decode())
        context.set("__event", json.dumps(event))
        context.eval(_RUN)
        while context.execute_pending_job():
            pass
        failure, answer = context.get("__failure"), context.get("__answer")
    except (quickjs.JSException, UnicodeDecodeError) as error:
        raise FunctionError(str(error)) from error
    if failure is not None or not isinstance(answer, str):
        raise FunctionError(str(failure or "it returned nothing"))
    found = json.loads(answer)
    if not isinstance(found, dict):
        raise FunctionError("it returned no object")
    return found


def _event(kind: str, request: Request, distribution: Distribution) -> dict[str, Any]:
    cookies = [part.strip().partition("=")[::2] for part in request.header("cookie").split(";") if part.strip()]
    query = request.target.partition("?")[2]
    parameters = [part.partition("=")[::2] for part in query.split("&") if part]
    return {
        "version": "1.0",
        "context": {
            "distributionDomainName": distribution.domain,
            "distributionId": distribution.id,
            "eventType": kind,
            "requestId": uuid.uuid4().hex,
        },
        "viewer": {"ip": "127.0.0.1"},
        "request": {
            "method": request.method,
            "uri": request.path,
            "querystring": _values(parameters, str),
            "headers": _values([pair for pair in request.headers if pair[0].lower() != "cookie"]),
            "cookies": _values(cookies, str),
        },
    }


def _values(pairs: Any, case: Any = str.lower) -> dict[str, Any]:
    """``{name: {value}}``, with multiValue where a name stands more than once."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(case(name), []).append(value)
    return {
        name: {"value": values[-1], **({"multiValue": [{"value": each} for each in values]} if values[1:] else {})}
        for name, values in found.items()
    }


def _each(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(name), str(each.get("value", "")))
        for name, entry in values.items()
        for each in entry.get("multiValue", [entry])
    ]


def _pairs(values: dict[str, Any], without: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in _each(values) if name.lower() not in without)


def _query_text(query: Any) -> str:
    """A querystring object as text; code may also leave plain text."""
    if isinstance(query, str):
        return query
    return "&".join(f"{name}={value}" if value else name for name, value in _each(query))


def _response(answer: dict[str, Any]) -> Response:
    body = answer.get("body", "")
    content = body.get("data", "") if isinstance(body, dict) else body
    own = (("Server", "CloudFront"), ("X-Cache", "FunctionGeneratedResponse from cloudfront"))
    return Response(int(answer["statusCode"]), (*_pairs(answer.get("headers", {})), *own), str(content).encode())
