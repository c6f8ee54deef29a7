"""Check the size, rate and host of every request; add response headers, log and count."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from anyio import fail_after
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.quantities import parse_count
from orchestrator.state.server.client_address import find_client_address, parse_trusted_proxies
from orchestrator.state.server.problem_details import problem_response
from orchestrator.state.server.rate_limits import RequestLimits
from orchestrator.state.server.service_metrics import COUNTED_METHODS, ServiceMetrics
from orchestrator.state.server.settings import Settings

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_BODY_BYTES_BY_PATH = {"/models/upload": 65 * 1024 * 1024}
"""Paths with a larger limit: a trained model."""
MAX_BODY_SECONDS = 60.0
"""Seconds within which a request's body has to be there, whatever its size."""
"""Methods that metrics and logs name; a client can invent any number of others."""
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOOPBACK_HOST_PATTERN = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")
_RUN_PATH_PATTERN = re.compile(r"/runs/([A-Za-z0-9._-]{1,64})")


class BodyError(HTTPException):
    """A body is refused; an HTTPException because FastAPI reports any other error as a malformed body."""


class RequestMiddleware:
    """ASGI middleware of the service; plain ASGI because it handles every event of a stream."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: ServiceMetrics,
        log: Any,
        limits: RequestLimits,
        settings: Settings,
    ) -> None:
        self._app = app
        self._limits = limits
        self._trusted_proxies = parse_trusted_proxies(settings.trusted_proxies)
        self._metrics = metrics
        self._log = log
        self._requires_loopback_host = settings.is_anonymous_allowed  # against DNS rebinding
        self._headers = dict(SECURITY_HEADERS)
        if settings.is_secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        requested_id = headers.get("x-request-id", "")
        request_id = requested_id if _REQUEST_ID_PATTERN.fullmatch(requested_id) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = [500]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                added_headers = {**self._headers, "X-Request-Id": request_id}
                present_names = {name.lower() for name, _ in message["headers"]}
                missing_headers = [
                    (header.lower().encode(), header_value.encode())
                    for header, header_value in added_headers.items()
                    if header.lower().encode() not in present_names
                ]
                message["headers"] = [*message["headers"], *missing_headers]
            await send(message)

        address = self._apply_forwarded_headers(scope, headers)
        try:
            is_within_limits = await self._limits.try_acquire(scope, headers, address)
            rejection = self._reject(scope, headers) if is_within_limits else _busy_response(request_id)
            if rejection is not None:
                await rejection(scope, receive, send_with_headers)
            else:
                await self._app(scope, _limit_body(receive, _max_body_bytes(scope)), send_with_headers)
        except BodyError as error:
            await problem_response(error.status_code, error.detail, request=request_id)(
                scope, receive, send_with_headers
            )
        finally:
            self._log_request(scope, request_id, status[0], time.perf_counter() - started)

    def _apply_forwarded_headers(self, scope: Scope, headers: dict[str, str]) -> str:
        """Return the address of the client; takes the scheme of the request from a trusted proxy."""
        peer = str((scope.get("client") or ("", 0))[0])
        address = find_client_address(peer, headers.get("x-forwarded-for", ""), self._trusted_proxies)
        scheme = headers.get("x-forwarded-proto", "")
        if address != peer and scheme in {"http", "https"}:
            scope["scheme"] = scheme
        return address

    def _reject(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        path, request_id = scope["path"], scope["state"]["request_id"]
        length = parse_count(headers.get("content-length", "0"))
        if length is None or length > _max_body_bytes(scope):
            return problem_response(413, _body_too_large(_max_body_bytes(scope)), request=request_id)
        if self._requires_loopback_host and not _LOOPBACK_HOST_PATTERN.fullmatch(headers.get("host", "")):
            return problem_response(421, "this service only accepts requests to localhost", request=request_id)
        if "\x00" in path or "%00" in scope.get("query_string", b"").decode("latin-1"):
            return problem_response(400, "the URL contains a NUL character", request=request_id)
        return None

    def _log_request(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "none"
        method = scope["method"] if scope["method"] in COUNTED_METHODS else "other"
        self._metrics.count_request(method, route, status, seconds)
        run = _RUN_PATH_PATTERN.search(scope["path"])
        if self._log is not None and route not in {"/healthz", "/readyz", "/metrics"}:
            log_fields = {"method": method, "route": route, "status": status, "request": request_id}
            self._log.info("request", **log_fields, run=run[1] if run else "", seconds=round(seconds, 4))


def _busy_response(request_id: str) -> Response:
    detail = "too many requests from this client; wait a moment"
    return problem_response(429, detail, request=request_id, headers={"Retry-After": "1"})


def _body_too_large(max_bytes: int) -> str:
    return f"the request body exceeds the limit of {max_bytes:,} bytes"


def _max_body_bytes(scope: Scope) -> int:
    return MAX_BODY_BYTES_BY_PATH.get(scope["path"], MAX_BODY_BYTES)


def _limit_body(receive: Receive, max_bytes: int) -> Receive:
    """Return ``receive`` with bounds: a body of at most ``max_bytes`` that is there within MAX_BODY_SECONDS."""
    deadline = time.monotonic() + MAX_BODY_SECONDS
    total, is_complete = 0, False

    async def receive_limited() -> Message:
        nonlocal total, is_complete
        timeout_seconds = None if is_complete else max(0.0, deadline - time.monotonic())
        try:
            with fail_after(timeout_seconds):
                message = await receive()
        except TimeoutError:
            raise BodyError(408, f"the request body did not arrive within {MAX_BODY_SECONDS:.0f}s") from None
        is_complete = not message.get("more_body", False)
        total += len(message.get("body", b""))
        if total > max_bytes:
            raise BodyError(413, _body_too_large(max_bytes))
        return message

    return receive_limited
