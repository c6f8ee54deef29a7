"""Call GitHub's REST API for one repository, with retries, rate limits and pagination.

Paths are relative to ``/repos/OWNER/NAME``.  Errors become GitHubProblems; the token never appears in a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

from orchestrator.problems import Problems
from orchestrator.quantities import parse_count
from orchestrator.redaction.redact import sanitise

DEFAULT_API_URL: Final = "https://api.github.com"
MAX_ATTEMPTS: Final = 5
MAX_WAIT_SECONDS: Final = 120.0
"""Longest rate limit to wait for; a longer one is raised as an error."""
PAGE_SIZE: Final = 100

_RATE_LIMIT_CODES: Final = (403, 429)
_TRANSIENT_CODES: Final = (500, 502, 503, 504)

PERMISSIONS_BY_PATH: Final = (
    ("/actions/", "actions: read"),
    ("/events", "issues: read"),
    ("/comments", "`pull-requests: write` (for a pull request) or `issues: write`"),
    ("/statuses", "statuses: write"),
    ("/deployments", "deployments: write"),
    ("/issues", "issues: write"),
    ("/labels", "issues: write"),
    ("/pulls", "pull-requests: write"),
    ("/git/", "contents: write"),
    ("/contents", "contents: write"),
)


class GitHubProblems(Problems):
    """A failed request to GitHub; ``status`` is the HTTP status, or 0 when there was no response."""

    status: int = 0


class GitHub:
    """A client for one repository, ``OWNER/NAME``; each request is sent at most ``max_attempts`` times.

    Without a ``token`` it reads public repositories only.
    """

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
                **({"Authorization": f"Bearer {token}"} if token else {}),
                "User-Agent": "orchestrator",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=30.0,
            transport=transport,
        )

    def get(self, path: str, **query: str | int) -> Any:
        """Return one object.  Raises GitHubProblems."""
        return self._request("GET", path, query=query).json()

    def find(self, path: str, **query: str | int) -> Any | None:
        """Return one object, or None if GitHub answers 404 or 422.  Raises GitHubProblems."""
        try:
            return self.get(path, **query)
        except GitHubProblems as error:
            if error.status in {404, 422}:
                return None
            raise

    def paginate(self, path: str, *, max_items: int = 1000, **query: str | int) -> Iterator[Any]:
        """Yield the items of a list, page by page, at most ``max_items``.  Raises GitHubProblems."""
        for number in range(1, max_items // PAGE_SIZE + 1):
            items = self.get(path, **query, per_page=PAGE_SIZE, page=number)
            yield from items
            if len(items) < PAGE_SIZE:
                return

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create an object.  Not retried when GitHub may already have created it.  Raises GitHubProblems."""
        return _parse_body(self._request("POST", path, body=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change an object; return None if the response is empty.  Raises GitHubProblems."""
        return _parse_body(self._request("PATCH", path, body=body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Set an object; return None if the response is empty.  Raises GitHubProblems."""
        return _parse_body(self._request("PUT", path, body=body))

    def delete(self, path: str) -> None:
        """Delete an object; one that does not exist is ignored.  Raises GitHubProblems."""
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
    """Return the seconds until the next attempt; None if GitHub may already have carried out the request."""
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
    """Return the seconds that GitHub asks to wait; None if the response is not a rate limit."""
    if (retry_after := parse_count(response.headers.get("retry-after", ""))) is not None:
        return float(retry_after)
    if response.headers.get("x-ratelimit-remaining") == "0":
        reset = parse_count(response.headers.get("x-ratelimit-reset", ""))
        return 60.0 if reset is None else max(1.0, reset - time.time())
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
    hint = "check https://www.githubstatus.com, then re-run the job"
    if status in {401, 403, 404}:
        permission = next((required for part, required in PERMISSIONS_BY_PATH if part in path), "contents: read")
        hint = f"add to the job's `permissions:` {permission}"
    if response is not None and status in _RATE_LIMIT_CODES and _rate_limit_delay(response) is not None:
        hint = "re-run the job later: GitHub's rate limit is exceeded"
    problems = GitHubProblems.from_message(
        f"GitHub request failed: {method} {sanitise(path)}: {status_text}{sanitise(message)}", hint=hint
    )
    problems.status = status
    return problems
