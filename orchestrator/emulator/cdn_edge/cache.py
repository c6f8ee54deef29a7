"""The edge's cache: how long an answer is kept, under which key, and what an invalidation drops.

After the developer guide, "Manage how long content stays in the cache", and "Invalidation paths".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from orchestrator.emulator.cdn_edge.bucket_policy import like
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params

ERROR_SECONDS = 10.0
# An origin's other errors are kept only when it says for how long.
_KEPT_ERRORS = frozenset({404, 410, 414, 500, 501, 502, 503, 504})
_AGE = re.compile(r"(s-maxage|max-age)\s*=\s*\"?(\d+)")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """An origin's answer; ``stored`` and ``until`` are times of the monotonic clock."""

    response: Response
    stored: float
    until: float

    @property
    def fresh(self) -> bool:
        """Whether it may be served without asking the origin."""
        return time.monotonic() < self.until

    @property
    def age(self) -> int:
        """Whole seconds since it was stored."""
        return int(time.monotonic() - self.stored)


class Cache:
    """Everything one emulator's edge keeps: by distribution, path and what the cache policy adds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Key, Entry] = {}

    def find(self, key: Key) -> Entry | None:
        """What is kept, fresh or not."""
        with self._lock:
            return self._entries.get(key)

    def keep(self, key: Key, response: Response, seconds: float) -> None:
        """Keep an answer, or forget the one there was when this one may not be kept."""
        now = time.monotonic()
        with self._lock:
            self._entries.pop(key, None)
            if seconds > 0:
                self._entries[key] = Entry(response, now, now + seconds)

    def drop(self, distribution: str, paths: Iterable[str]) -> None:
        """Drop what invalidation paths name; a path without a query names every query of it."""
        wanted = list(paths)
        with self._lock:
            for key in [each for each in self._entries if each[0] == distribution]:
                path, query = key[1], key[2]
                texts = (path, f"{path}?{query}") if query else (path,)
                if any(like(pattern, text) for pattern in wanted for text in texts):
                    del self._entries[key]


def key_of(distribution: str, request: Request, policy: Params) -> Key:
    """The cache key: the distribution, the path, the query, and the headers and cookies its cache policy names."""
    parts = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {})
    query = selected_query(request, parts.get("QueryStringsConfig", {}))
    config = parts.get("HeadersConfig", {})
    names = config.get("Headers", {}).get("Items", []) if config.get("HeaderBehavior") == "whitelist" else []
    headers = [f"{name.lower()}: {request.header(name.lower())}" for name in sorted(names)]
    cookies = request.header("cookie") if parts.get("CookiesConfig", {}).get("CookieBehavior", "none") != "none" else ""
    return (distribution, request.path, query, *headers, cookies)


def selected_query(request: Request, config: Params) -> str:
    """The part of the query that a policy's QueryStringsConfig selects."""
    behaviour = config.get("QueryStringBehavior", "none")
    names = config.get("QueryStrings", {}).get("Items", [])
    parts = [part for part in request.target.partition("?")[2].split("&") if part]
    if behaviour == "none":
        return ""
    if behaviour == "whitelist":
        parts = [part for part in parts if part.partition("=")[0] in names]
    if behaviour == "allExcept":
        parts = [part for part in parts if part.partition("=")[0] not in names]
    return "&".join(parts)


def seconds_to_keep(response: Response, policy: Params) -> float:
    """How long a success is kept: the origin's word between the policy's MinTTL and MaxTTL, or its DefaultTTL."""
    least, most = float(policy.get("MinTTL", 0)), float(policy.get("MaxTTL", 31536000))
    control = _header(response, "cache-control").lower()
    if any(word in control for word in ("no-store", "no-cache", "private")):
        return least
    told = _told(response)
    if told is None:
        return max(least, min(float(policy.get("DefaultTTL", 86400)), most))
    return max(least, min(told, most))


def error_seconds(response: Response, custom: Params | None) -> float:
    """How long an error is kept; ``custom`` is the distribution's custom error response for its status."""
    least = float((custom or {}).get("ErrorCachingMinTTL", ERROR_SECONDS))
    told = _told(response)
    if told is not None:
        return max(least, told)
    return least if custom is not None or response.status in _KEPT_ERRORS else 0.0


def _told(response: Response) -> float | None:
    """What the origin says: s-maxage before max-age before Expires."""
    ages = dict(_AGE.findall(_header(response, "cache-control").lower()))
    if ages:
        return float(ages.get("s-maxage", ages.get("max-age")) or 0)
    expires = _header(response, "expires")
    if not expires:
        return None
    try:
        return max(0.0, parsedate_to_datetime(expires).timestamp() - time.time())
    except ValueError:
        return 0.0


def _header(response: Response, name: str) -> str:
    return next((value for header, value in response.headers if header.lower() == name), "")
