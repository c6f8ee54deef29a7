"""How a run speaks to the state service: with patience, and so that a repeated request changes nothing.

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
PATIENCE = 20.0
"""Seconds for which a request is tried again while the service does not answer."""
AGAIN = frozenset({429, 500, 502, 503, 504})
AUDIENCE = "orchestrator-state"


class UnreachableError(Exception):
    """The service does not answer; nobody knows whether it has got the last request."""


class RefusedError(Exception):
    """The service says no: its problem details."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail


class Client:
    """One service.  Safe for threads."""

    def __init__(self, url: str, token: str = "", *, oidc: Callable[[], str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._oidc = oidc
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=TIMEOUT, follow_redirects=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], url: str = "") -> Client:
        """The client for ``ORCHESTRATOR_STATE_URL`` and ``ORCHESTRATOR_STATE_TOKEN``, or ``url``.

        Raises Problems: there is no URL, or a token would go in the clear.
        """
        url = environ.get("ORCHESTRATOR_STATE_URL") or url
        if not url:
            raise Problems.one("no state service is configured", hint="set ORCHESTRATOR_STATE_URL")
        parsed = httpx.URL(url)
        if parsed.scheme != "https" and parsed.host not in {"127.0.0.1", "localhost", "::1"}:
            raise Problems.one(f"{url}: a token is sent over HTTPS alone", hint="write https://")
        token = environ.get("ORCHESTRATOR_STATE_TOKEN", "")
        asks = "ACTIONS_ID_TOKEN_REQUEST_URL" in environ and not token
        return cls(url, token, oidc=(lambda: _workflow_token(environ)) if asks else None)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    @classmethod
    def configured(cls, environ: Mapping[str, str]) -> Client | None:
        """The client of the service that the environment names, or None where it names none.  Raises Problems."""
        return cls.of(environ) if environ.get("ORCHESTRATOR_STATE_URL") else None

    def ask(self, method: str, path: str, body: object = None, *, patience: float = PATIENCE) -> bytes:
        """The answer to one request, tried again while there is none.

        Raises UnreachableError, RefusedError.
        """
        data = None if body is None else canonical_json.dump(body)
        until, pause = time.monotonic() + patience, 0.1
        while True:
            trouble: str
            try:
                if self._oidc is not None and not self._token:
                    self._trade()
                headers = {"Content-Type": "application/json"}
                headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
                answer = self._http.request(method, path, content=data, headers=headers)
                if answer.status_code not in AGAIN:
                    return _checked(answer)
                trouble = f"answers {answer.status_code}"
            except httpx.HTTPError as error:
                trouble = f"does not answer ({type(error).__name__})"
            if time.monotonic() + pause > until:
                raise UnreachableError(f"the state service at {self.url} {trouble}") from None
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter
            pause = min(pause * 2, 3.0)

    def call(self, method: str, path: str, body: object = None, *, patience: float = PATIENCE) -> Any:
        """The same as JSON; for whoever wants Problems.

        Raises Problems: unreachable, or refused.
        """
        try:
            data = self.ask(method, path, body, patience=patience)
        except UnreachableError as error:
            raise Problems.one(str(error), hint="see that it runs") from None
        except RefusedError as error:
            raise Problems.one(f"the state service refuses it: {error.detail}") from None
        return msgspec.json.decode(data) if data else None

    def get(self, shape: type[T], method: str, path: str, body: object = None, *, patience: float = PATIENCE) -> T:
        """The same as a record.  Raises UnreachableError, RefusedError."""
        return msgspec.json.decode(self.ask(method, path, body, patience=patience), type=shape)

    def _trade(self) -> None:
        assert self._oidc is not None
        answer = self._http.post("/token", headers={"Authorization": f"Bearer {self._oidc()}"})
        self._token = mask(msgspec.json.decode(_checked(answer), type=dict[str, Any])["token"])


def _checked(answer: httpx.Response) -> bytes:
    if answer.is_success:
        return answer.content
    try:
        told = answer.json()
        kind, detail = str(told["type"]), str(told["detail"])
    except (ValueError, KeyError, TypeError):
        kind, detail = "about:blank", f"it answers {answer.status_code}"
    raise RefusedError(answer.status_code, kind, detail)


def _workflow_token(environ: Mapping[str, str]) -> str:
    """A fresh OIDC token of this workflow's job."""
    headers = {"Authorization": f"Bearer {environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"}
    url = httpx.URL(environ["ACTIONS_ID_TOKEN_REQUEST_URL"]).copy_merge_params({"audience": AUDIENCE})
    answer = httpx.get(url, headers=headers, timeout=TIMEOUT)
    answer.raise_for_status()
    return mask(str(answer.json()["value"]))
