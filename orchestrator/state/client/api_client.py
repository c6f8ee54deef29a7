"""Send requests to the state service with retries; repeating a request changes nothing.

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
RETRY_CODES = frozenset({429, 500, 502, 503, 504})
OIDC_AUDIENCE = "orchestrator-state"


class UnreachableError(Exception):
    """The service did not answer; it may or may not have received the last request."""


class RefusedError(Exception):
    """The service refused a request; holds its problem details."""

    def __init__(self, status: int, problem_type: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem_type = problem_type
        self.detail = detail


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
        parsed_url = httpx.URL(url)
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
        self, method: str, path: str, body: object = None, *, timeout_seconds: float = RETRY_TIMEOUT_SECONDS
    ) -> bytes:
        """Return the body of the response, retrying for ``timeout_seconds`` while the service does not answer.

        Raises UnreachableError if it never answers, RefusedError if it refuses the request.
        """
        data = None if body is None else canonical_json.dump(body)
        deadline, delay_seconds = time.monotonic() + timeout_seconds, 0.1
        while True:
            failure: str
            try:
                if self._fetch_oidc_token is not None and not self._token:
                    self._exchange_oidc_token()
                headers = {"Content-Type": "application/json"}
                headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
                response = self._http.request(method, path, content=data, headers=headers)
                if response.status_code not in RETRY_CODES:
                    return _content_or_raise(response)
                failure = f"returned status {response.status_code}"
            except httpx.HTTPError as error:
                failure = f"does not answer ({type(error).__name__})"
            if time.monotonic() + delay_seconds > deadline:
                raise UnreachableError(f"the state service at {self.url} {failure}") from None
            time.sleep(delay_seconds * (0.5 + random.random()))  # noqa: S311 - jitter
            delay_seconds = min(delay_seconds * 2, 3.0)

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
        return msgspec.json.decode(data) if data else None

    def request_record(
        self,
        record_type: type[T],
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_seconds: float = RETRY_TIMEOUT_SECONDS,
    ) -> T:
        """Return the response as a record.  Raises UnreachableError, RefusedError."""
        return msgspec.json.decode(self.request(method, path, body, timeout_seconds=timeout_seconds), type=record_type)

    def _exchange_oidc_token(self) -> None:
        assert self._fetch_oidc_token is not None
        response = self._http.post("/token", headers={"Authorization": f"Bearer {self._fetch_oidc_token()}"})
        self._token = mask(msgspec.json.decode(_content_or_raise(response), type=dict[str, Any])["token"])


def _content_or_raise(response: httpx.Response) -> bytes:
    if response.is_success:
        return response.content
    try:
        details = response.json()
        problem_type, detail = str(details["type"]), str(details["detail"])
    except (ValueError, KeyError, TypeError):
        problem_type, detail = "about:blank", f"status {response.status_code} without details"
    raise RefusedError(response.status_code, problem_type, detail)


def _fetch_workflow_token(environ: Mapping[str, str]) -> str:
    """Return a new OIDC token of this workflow job."""
    headers = {"Authorization": f"Bearer {environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"}
    url = httpx.URL(environ["ACTIONS_ID_TOKEN_REQUEST_URL"]).copy_merge_params({"audience": OIDC_AUDIENCE})
    response = httpx.get(url, headers=headers, timeout=TIMEOUT)
    response.raise_for_status()
    return mask(str(response.json()["value"]))
