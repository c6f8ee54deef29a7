"""The door to GitHub's REST API: retries, rate limits, pages, and refusals as sentences.

API: ``GitHub.get``, ``pages``, ``post``, ``patch``, ``delete``.  Paths begin below ``/repos/OWNER/NAME``.  The token
travels in a header and is in no message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

from orchestrator.problems import Problems
from orchestrator.redaction.redact import sanitise

DEFAULT_API_URL: Final = "https://api.github.com"
MAX_ATTEMPTS: Final = 5
MAX_WAIT_SECONDS: Final = 120.0
"""Seconds; a rate limit that lasts longer is told instead of waited for."""
PAGE_SIZE: Final = 100

_RATE_LIMIT_CODES: Final = (403, 429)
_TRANSIENT_CODES: Final = (500, 502, 503, 504)

PERMISSIONS_BY_PATH: Final = (
    ("/comments", "pull-requests: write (for a pull request) or issues: write"),
    ("/statuses", "statuses: write"),
    ("/deployments", "deployments: write"),
    ("/issues", "issues: write"),
    ("/labels", "issues: write"),
    ("/pulls", "pull-requests: write"),
    ("/git/", "contents: write"),
    ("/contents", "contents: write"),
)


class GitHubProblems(Problems):
    """GitHub refused or did not answer; ``status`` is its HTTP status, 0 without an answer."""

    status: int = 0


class GitHub:
    """One repository, ``OWNER/NAME``, as a token may see it.  ``sleep`` takes seconds, ``attempts`` are tries."""

    def __init__(
        self,
        repository: str,
        token: str,
        *,
        api_url: str = DEFAULT_API_URL,
        max_attempts: int = MAX_ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.repository = repository
        self._attempts = max_attempts
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=api_url.rstrip("/"),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "User-Agent": "orchestrator",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=30.0,
            transport=transport,
        )

    def get(self, path: str, **query: str | int) -> Any:
        """One object.  Raises GitHubProblems."""
        return self._request("GET", path, query=query).json()

    def find(self, path: str, **query: str | int) -> Any | None:
        """One object, or None where GitHub says that there is none.  Raises GitHubProblems."""
        try:
            return self.get(path, **query)
        except GitHubProblems as error:
            if error.status in {404, 422}:
                return None
            raise

    def paginate(self, path: str, *, max_items: int = 1000, **query: str | int) -> Iterator[Any]:
        """The items of a list, page by page, at most ``most``.  Raises GitHubProblems."""
        for number in range(1, max_items // PAGE_SIZE + 1):
            items = self.get(path, **query, per_page=PAGE_SIZE, page=number)
            yield from items
            if len(items) < PAGE_SIZE:
                return

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make something.  Not repeated where it may have been made already.  Raises GitHubProblems."""
        return _parse_body(self._request("POST", path, body=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something; None where GitHub has nothing to say of it.  Raises GitHubProblems."""
        return _parse_body(self._request("PATCH", path, body=body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Set something; None where GitHub has nothing to say of it.  Raises GitHubProblems."""
        return _parse_body(self._request("PUT", path, body=body))

    def delete(self, path: str) -> None:
        """Remove something.  What is gone already is no failure.  Raises GitHubProblems."""
        try:
            self._request("DELETE", path)
        except GitHubProblems as error:
            if error.status != 404:
                raise

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        url = f"/repos/{self.repository}{path}"
        for attempt in range(1, self._attempts + 1):
            response: httpx.Response | None = None
            try:
                response = self._client.request(method, url, params=query or None, json=body)
            except httpx.TransportError as error:
                delay, message = _retry_delay_after_error(method, error, attempt), type(error).__name__
            else:
                if response.is_success:
                    return response
                delay, message = _retry_delay_after_response(method, response, attempt), _error_message(response)
            if delay is None or attempt == self._attempts:
                raise _build_problems(method, path, response, message)
            self._sleep(delay)
        raise AssertionError("unreachable")


def _parse_body(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def _retry_delay_after_error(method: str, error: httpx.TransportError, attempt: int) -> float | None:
    """Seconds until the next try; None where what was asked may have been done already."""
    was_not_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return _backoff_delay(attempt) if was_not_sent or method != "POST" else None


def _retry_delay_after_response(method: str, response: httpx.Response, attempt: int) -> float | None:
    if response.status_code in _RATE_LIMIT_CODES:
        delay = _rate_limit_delay(response)
        return delay if delay is None or delay <= MAX_WAIT_SECONDS else None
    if response.status_code in _TRANSIENT_CODES:
        return _backoff_delay(attempt) if method != "POST" else None
    return None


def _rate_limit_delay(response: httpx.Response) -> float | None:
    """Seconds that GitHub asks us to wait; None where the refusal is no rate limit."""
    if (retry_after := response.headers.get("retry-after", "")).isdigit():
        return float(retry_after)
    if response.headers.get("x-ratelimit-remaining") == "0":
        reset = response.headers.get("x-ratelimit-reset", "")
        return max(1.0, float(reset) - time.time()) if reset.isdigit() else 60.0
    if response.status_code == 429 or "secondary rate limit" in response.text.lower():
        return 60.0
    return None


def _backoff_delay(attempt: int) -> float:
    return float(min(0.5 * 2**attempt, 15))


def _error_message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    return str(body.get("message", response.reason_phrase)) if isinstance(body, dict) else response.reason_phrase


def _build_problems(method: str, path: str, response: httpx.Response | None, message: str) -> GitHubProblems:
    status = response.status_code if response is not None else 0
    status_text = f"{status} " if status else ""
    hint = "see https://www.githubstatus.com, and run the job again"
    if status in {401, 403, 404}:
        permission = next((required for part, required in PERMISSIONS_BY_PATH if part in path), "contents: read")
        hint = f"give the job `permissions:` {permission}"
    if response is not None and status in _RATE_LIMIT_CODES and _rate_limit_delay(response) is not None:
        hint = "GitHub's rate limit is used up; run the job again later"
    problems = GitHubProblems.from_message(
        f"GitHub refused {method} {sanitise(path)}: {status_text}{sanitise(message)}", hint=hint
    )
    problems.status = status
    return problems
