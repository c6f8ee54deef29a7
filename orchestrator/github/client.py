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
from orchestrator.redaction.redact import safe

API: Final = "https://api.github.com"
ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 120.0
"""Seconds; a rate limit that lasts longer is told instead of waited for."""
PAGE: Final = 100

_RATE: Final = (403, 429)
_PASSING: Final = (500, 502, 503, 504)

PERMISSIONS: Final = (
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
        api: str = API,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.repository = repository
        self._attempts = attempts
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=api.rstrip("/"),
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
        return self._ask("GET", path, query=query).json()

    def find(self, path: str, **query: str | int) -> Any | None:
        """One object, or None where GitHub says that there is none.  Raises GitHubProblems."""
        try:
            return self.get(path, **query)
        except GitHubProblems as error:
            if error.status in {404, 422}:
                return None
            raise

    def pages(self, path: str, *, most: int = 1000, **query: str | int) -> Iterator[Any]:
        """The items of a list, page by page, at most ``most``.  Raises GitHubProblems."""
        for number in range(1, most // PAGE + 1):
            found = self.get(path, **query, per_page=PAGE, page=number)
            yield from found
            if len(found) < PAGE:
                return

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make something.  Not repeated where it may have been made already.  Raises GitHubProblems."""
        return _content(self._ask("POST", path, body=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something; None where GitHub has nothing to say of it.  Raises GitHubProblems."""
        return _content(self._ask("PATCH", path, body=body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Set something; None where GitHub has nothing to say of it.  Raises GitHubProblems."""
        return _content(self._ask("PUT", path, body=body))

    def delete(self, path: str) -> None:
        """Remove something.  What is gone already is no failure.  Raises GitHubProblems."""
        try:
            self._ask("DELETE", path)
        except GitHubProblems as error:
            if error.status != 404:
                raise

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        url = f"/repos/{self.repository}{path}"
        for attempt in range(1, self._attempts + 1):
            answer: httpx.Response | None = None
            try:
                answer = self._http.request(method, url, params=query or None, json=body)
            except httpx.TransportError as error:
                pause, said = _after_silence(method, error, attempt), type(error).__name__
            else:
                if answer.is_success:
                    return answer
                pause, said = _after(method, answer, attempt), _said(answer)
            if pause is None or attempt == self._attempts:
                raise _refusal(method, path, answer, said)
            self._sleep(pause)
        raise AssertionError("unreachable")


def _content(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


def _after_silence(method: str, error: httpx.TransportError, attempt: int) -> float | None:
    """Seconds until the next try; None where what was asked may have been done already."""
    never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return _pause(attempt) if never_arrived or method != "POST" else None


def _after(method: str, answer: httpx.Response, attempt: int) -> float | None:
    if answer.status_code in _RATE:
        wait = _rate_limit(answer)
        return wait if wait is None or wait <= LONGEST_WAIT else None
    if answer.status_code in _PASSING:
        return _pause(attempt) if method != "POST" else None
    return None


def _rate_limit(answer: httpx.Response) -> float | None:
    """Seconds that GitHub asks us to wait; None where the refusal is no rate limit."""
    if (after := answer.headers.get("retry-after", "")).isdigit():
        return float(after)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, float(reset) - time.time()) if reset.isdigit() else 60.0
    if answer.status_code == 429 or "secondary rate limit" in answer.text.lower():
        return 60.0
    return None


def _pause(attempt: int) -> float:
    return float(min(0.5 * 2**attempt, 15))


def _said(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(found.get("message", answer.reason_phrase)) if isinstance(found, dict) else answer.reason_phrase


def _refusal(method: str, path: str, answer: httpx.Response | None, said: str) -> GitHubProblems:
    status = answer.status_code if answer is not None else 0
    code = f"{status} " if status else ""
    hint = "see https://www.githubstatus.com, and run the job again"
    if status in {401, 403, 404}:
        needs = next((need for part, need in PERMISSIONS if part in path), "contents: read")
        hint = f"give the job `permissions:` {needs}"
    if answer is not None and status in _RATE and _rate_limit(answer) is not None:
        hint = "GitHub's rate limit is used up; run the job again later"
    problems = GitHubProblems.one(f"GitHub refused {method} {safe(path)}: {code}{safe(said)}", hint=hint)
    problems.status = status
    return problems
