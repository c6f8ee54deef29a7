"""Send requests to the state service with retries; repeating a request changes nothing.

What an answer means: *refused* (the service decided, so repeating does not help), *busy* (429: come back later) or
*unreachable* (no answer, an error of the server, or an answer that is not from a state service).

API: the service's ``/api/v1``; GitHub Actions' token endpoint, from ``ACTIONS_ID_TOKEN_REQUEST_URL``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.redaction.github_masks import mask

T = TypeVar("T")
TIMEOUT = httpx.Timeout(10, connect=3)
RETRY_TIMEOUT_SECONDS = 20.0
"""Seconds for which a request is retried while the service does not answer."""
BUSY_CODE = 429
MAX_RETRY_DELAY_SECONDS = 3.0
UNEXPECTED_RESPONSE = "sent an unexpected response; check its URL"
OIDC_AUDIENCE = "orchestrator-state"


class UnreachableError(Exception):
    """The service did not answer; it may or may not have received the last request."""


class _RetryableError(Exception):
    """A request failed for a reason that may pass; ``retry_after_seconds`` is what a busy service asks to wait."""

    def __init__(self, message: str, *, is_busy: bool = False, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.is_busy = is_busy
        self.retry_after_seconds = retry_after_seconds


class RefusedError(Exception):
    """The service refused a request; holds its problem details."""

    def __init__(self, status: int, problem_type: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem_type = problem_type
        self.detail = detail

    @property
    def is_denial(self) -> bool:
        """Whether the service decided that this run may not write: it lacks the permission, or another run writes.

        Anything else (an unknown or expired token, a request that the service does not understand) only means that the
        service cannot record the run.
        """
        return self.status in {403, 409}


class StateClient:
    """A client of one state service.  Thread-safe."""

    def __init__(self, url: str, token: str = "", *, fetch_oidc_token: Callable[[], str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._fetch_oidc_token = fetch_oidc_token
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=TIMEOUT, follow_redirects=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], url: str = "") -> StateClient:
        """Return a client for ``ORCHESTRATOR_STATE_URL``, else ``url``, with ``ORCHESTRATOR_STATE_TOKEN``.

        Raises Problems if there is no URL, or if it would send a token unencrypted.
        """
        url = environ.get("ORCHESTRATOR_STATE_URL") or url
        if not url:
            raise Problems.from_message("no state service is configured", hint="set ORCHESTRATOR_STATE_URL")
        try:
            parsed_url = httpx.URL(url)
        except httpx.InvalidURL:
            raise Problems.from_message(
                f"the state service URL {url[:200]!r} is not a valid URL",
                hint="set ORCHESTRATOR_STATE_URL to an https:// URL",
            ) from None
        if parsed_url.scheme != "https" and parsed_url.host not in {"127.0.0.1", "localhost", "::1"}:
            raise Problems.from_message(
                f"the state service URL {url} is not HTTPS, so the token would be sent unencrypted",
                hint="use an https:// URL",
            )
        token = environ.get("ORCHESTRATOR_STATE_TOKEN", "")
        uses_oidc = "ACTIONS_ID_TOKEN_REQUEST_URL" in environ and not token
        return cls(url, token, fetch_oidc_token=(lambda: _fetch_workflow_token(environ)) if uses_oidc else None)

    def __enter__(self) -> StateClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @classmethod
    def from_environ_if_set(cls, environ: Mapping[str, str]) -> StateClient | None:
        """Return a client if ``ORCHESTRATOR_STATE_URL`` is set, else None.  Raises Problems if the URL is not HTTPS."""
        return cls.from_environ(environ) if environ.get("ORCHESTRATOR_STATE_URL") else None

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_seconds: float = RETRY_TIMEOUT_SECONDS,
        busy_timeout_seconds: float = 0.0,
    ) -> bytes:
        """Return the body of the response, retrying for ``timeout_seconds`` while the service does not answer.

        ``busy_timeout_seconds``: retry for this long, if that is longer, while the service is only busy.

        Raises UnreachableError if it never answers, RefusedError if it refuses the request.
        """
        data = None if body is None else canonical_json.dump(body)
        started, delay_seconds = time.monotonic(), 0.1
        while True:
            try:
                return self._send(method, path, data)
            except httpx.HTTPError as error:
                failure = _RetryableError(f"does not respond ({type(error).__name__})")
            except _RetryableError as error:
                failure = error
            max_seconds = max(timeout_seconds, busy_timeout_seconds) if failure.is_busy else timeout_seconds
            wait_seconds = max(delay_seconds, failure.retry_after_seconds)
            if time.monotonic() + wait_seconds > started + max_seconds:
                raise UnreachableError(f"the state service at {self.url} {failure}") from None
            time.sleep(wait_seconds * (0.5 + random.random()))  # noqa: S311 - jitter
            delay_seconds = min(delay_seconds * 2, MAX_RETRY_DELAY_SECONDS)

    def request_json(
        self, method: str, path: str, body: object = None, *, timeout_seconds: float = RETRY_TIMEOUT_SECONDS
    ) -> Any:
        """Return the response as decoded JSON, None if it is empty.

        Raises Problems if the service is unreachable or refuses the request.
        """
        try:
            data = self.request(method, path, body, timeout_seconds=timeout_seconds)
        except UnreachableError as error:
            raise Problems.from_message(
                str(error), hint="check that the state service is running and reachable"
            ) from None
        except RefusedError as error:
            raise Problems.from_message(f"the state service refused the request: {error.detail}") from None
        try:
            return msgspec.json.decode(data) if data else None
        except canonical_json.DECODE_ERRORS:
            raise Problems.from_message(f"the state service at {self.url} {UNEXPECTED_RESPONSE}") from None

    def request_record(
        self,
        record_type: type[T],
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_seconds: float = RETRY_TIMEOUT_SECONDS,
        busy_timeout_seconds: float = 0.0,
    ) -> T:
        """Return the response as a record.  Raises UnreachableError, RefusedError."""
        data = self.request(
            method, path, body, timeout_seconds=timeout_seconds, busy_timeout_seconds=busy_timeout_seconds
        )
        try:
            return msgspec.json.decode(data, type=record_type)
        except canonical_json.DECODE_ERRORS:
            raise UnreachableError(f"the state service at {self.url} {UNEXPECTED_RESPONSE}") from None

    def _send(self, method: str, path: str, data: bytes | None) -> bytes:
        """Send a request once.  Raises _RetryableError, RefusedError, httpx.HTTPError."""
        if self._fetch_oidc_token is not None and not self._token:
            self._exchange_oidc_token(self._fetch_oidc_token)
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return _content_or_raise(self._http.request(method, path, content=data, headers=headers))

    def _exchange_oidc_token(self, fetch_oidc_token: Callable[[], str]) -> None:
        response = self._http.post("/token", headers={"Authorization": f"Bearer {fetch_oidc_token()}"})
        try:
            self._token = mask(msgspec.json.decode(_content_or_raise(response), type=dict[str, Any])["token"])
        except (*canonical_json.DECODE_ERRORS, KeyError, TypeError):
            raise _RetryableError(UNEXPECTED_RESPONSE) from None


def _content_or_raise(response: httpx.Response) -> bytes:
    """Return the body of a response.

    Raises RefusedError if the service refused the request, _RetryableError if the answer is anything else.
    """
    if response.is_success:
        return response.content
    status = response.status_code
    if status == BUSY_CODE:
        retry_after = response.headers.get("retry-after", "")
        seconds = min(float(retry_after), MAX_RETRY_DELAY_SECONDS) if retry_after.isdecimal() else 0.0
        raise _RetryableError("is busy (status 429)", is_busy=True, retry_after_seconds=seconds)
    if status >= 500:
        raise _RetryableError(f"returned status {status}")
    try:
        details = response.json()
        problem_type, detail = str(details["type"]), str(details["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _RetryableError(f"sent an unexpected response (status {status}); check its URL") from None
    raise RefusedError(status, problem_type, detail)


def _fetch_workflow_token(environ: Mapping[str, str]) -> str:
    """Return a new OIDC token of this workflow job.  Raises _RetryableError."""
    headers = {"Authorization": f"Bearer {environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"}
    url = httpx.URL(environ["ACTIONS_ID_TOKEN_REQUEST_URL"]).copy_merge_params({"audience": OIDC_AUDIENCE})
    try:
        response = httpx.get(url, headers=headers, timeout=TIMEOUT)
        response.raise_for_status()
        return mask(str(response.json()["value"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _RetryableError(f"cannot be used: GitHub did not issue an OIDC token ({type(error).__name__})") from None
