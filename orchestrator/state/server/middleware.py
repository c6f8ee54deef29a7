"""Before every request: its id, size and frequency; after it: the headers of the answer, the log, the counts."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.state.server.problem_details import problem

LARGEST = 8 * 1024 * 1024
LARGER = {"/models/upload": 65 * 1024 * 1024}
"""Where a body may be larger: a trained model."""
A_SECOND, AT_ONCE = 200.0, 400.0
"""Requests one client may make a second, and at once after a pause."""
SIGN_IN_A_SECOND, SIGN_IN_AT_ONCE = 0.2, 20.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOME = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")
_RUN = re.compile(r"/runs/([A-Za-z0-9._-]{1,64})")


class Measures:
    """What Prometheus is told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests", ["method", "route", "status"], registry=self.registry)
        buckets = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
        self.seconds = Histogram("http_seconds", "Time to answer", ["route"], registry=self.registry, buckets=buckets)
        self.events = Counter("state_events", "Events of runs that were kept", registry=self.registry)


class Bucket:
    """How much each client may still ask for; the oldest are forgotten."""

    MOST = 10_000

    def __init__(self, a_second: float, at_once: float) -> None:
        self._rate, self._size = a_second, at_once
        self._left: dict[str, tuple[float, float]] = {}

    def admits(self, client: str, at: float) -> bool:
        """Whether one more is not too many."""
        left, before = self._left.pop(client, (self._size, at))
        left = min(self._size, left + (at - before) * self._rate)
        if len(self._left) >= self.MOST:
            self._left.pop(next(iter(self._left)))
        self._left[client] = (left - 1 if left >= 1 else left, at)
        return left >= 1


class TooLargeError(HTTPException):
    """A body without end.  An HTTPException, for FastAPI takes any other for a body that cannot be parsed."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"a body may have {most} bytes")


class Guard:
    """The middleware; ASGI without frills, for it stands before every event of a stream."""

    def __init__(self, app: ASGIApp, *, measures: Measures, log: Any, secure: bool, at_home: bool = False) -> None:
        """``at_home``: only names of this machine lead here; a foreign page's name that was bent to it does not."""
        self._app = app
        self._measures = measures
        self._log = log
        self._at_home = at_home
        self._headers = dict(HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"
        self._all = Bucket(A_SECOND, AT_ONCE)
        self._signing = Bucket(SIGN_IN_A_SECOND, SIGN_IN_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = [500]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                mine = {**self._headers, "X-Request-Id": request_id}
                there = {name.lower() for name, _ in message["headers"]}
                extra = [(n.lower().encode(), v.encode()) for n, v in mine.items() if n.lower().encode() not in there]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        refusal = self._refusal(scope, headers)
        try:
            if refusal is not None:
                await refusal(scope, receive, answer)
            else:
                await self._app(scope, _counted(receive, _most(scope)), answer)
        except TooLargeError as error:
            await problem(413, error.detail, request=request_id)(scope, receive, answer)
        finally:
            self._note(scope, request_id, status[0], time.perf_counter() - began)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        client = (scope.get("client") or ("", 0))[0]
        at, path, given = time.monotonic(), scope["path"], scope["state"]["request_id"]
        signing = path.startswith("/auth/") or path == "/api/v1/token"
        if not self._all.admits(client, at) or (signing and not self._signing.admits(client, at)):
            return problem(429, "too many requests; wait a moment", request=given, headers={"Retry-After": "1"})
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _most(scope):
            return problem(413, f"a body may have {_most(scope)} bytes", request=given)
        if self._at_home and not _HOME.fullmatch(headers.get("host", "")):
            return problem(421, "this service answers to names of its own machine alone", request=given)
        if "\x00" in path or "%00" in scope.get("query_string", b"").decode("latin-1"):
            return problem(400, "a NUL has no place in an address", request=given)
        return None

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "none"
        self._measures.requests.labels(scope["method"], route, str(status)).inc()
        self._measures.seconds.labels(route).observe(seconds)
        run = _RUN.search(scope["path"])
        if self._log is not None and route not in {"/healthz", "/readyz", "/metrics"}:
            known = {"method": scope["method"], "route": route, "status": status, "request": request_id}
            self._log.info("request", **known, run=run[1] if run else "", seconds=round(seconds, 4))


def _most(scope: Scope) -> int:
    return LARGER.get(scope["path"], LARGEST)


def _counted(receive: Receive, most: int) -> Receive:
    total = [0]

    async def counted() -> Message:
        message = await receive()
        total[0] += len(message.get("body", b""))
        if total[0] > most:
            raise TooLargeError(most)
        return message

    return counted
