"""Cache responses at the edge: time to live, cache key, invalidation.

Follows the developer guide, "Manage how long content stays in the cache", and "Invalidation paths".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from orchestrator.emulator.cdn_edge.bucket_policy import matches_wildcard
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params

DEFAULT_ERROR_TTL_SECONDS = 10.0
# Other errors are cached only if the origin sets a TTL.
_CACHEABLE_ERROR_CODES = frozenset({404, 410, 414, 500, 501, 502, 503, 504})
_MAX_AGE_PATTERN = re.compile(r"(s-maxage|max-age)\s*=\s*\"?(\d+)")

CacheKey = tuple[str, ...]


@dataclass(frozen=True)
class CacheEntry:
    """An origin's response; ``stored_at`` and ``expires_at`` are times of the monotonic clock."""

    response: Response
    stored_at: float
    expires_at: float

    @property
    def is_fresh(self) -> bool:
        """Return whether the response may be served without asking the origin."""
        return time.monotonic() < self.expires_at

    @property
    def age_seconds(self) -> int:
        """Return the whole seconds since the response was stored."""
        return int(time.monotonic() - self.stored_at)


class Cache:
    """The edge cache of one emulator, by distribution, path and the parts that the cache policy adds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[CacheKey, CacheEntry] = {}

    def get(self, key: CacheKey) -> CacheEntry | None:
        """Return the entry for a key, fresh or stale, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: CacheKey, response: Response, ttl_seconds: float) -> None:
        """Store a response; delete the entry instead if the TTL is 0."""
        now = time.monotonic()
        with self._lock:
            self._entries.pop(key, None)
            if ttl_seconds > 0:
                self._entries[key] = CacheEntry(response, now, now + ttl_seconds)

    def invalidate(self, distribution: str, paths: Iterable[str]) -> None:
        """Drop the entries that invalidation paths match; a path without a query matches every query."""
        patterns = list(paths)
        with self._lock:
            for key in [entry_key for entry_key in self._entries if entry_key[0] == distribution]:
                path, query = key[1], key[2]
                targets = (path, f"{path}?{query}") if query else (path,)
                if any(matches_wildcard(pattern, target) for pattern in patterns for target in targets):
                    del self._entries[key]


def build_key(distribution: str, request: Request, policy: Params) -> CacheKey:
    """Return the cache key: distribution, path, query, and the headers and cookies in the cache policy."""
    parts = policy.get("ParametersInCacheKeyAndForwardedToOrigin", {})
    query = select_query(request, parts.get("QueryStringsConfig", {}))
    config = parts.get("HeadersConfig", {})
    names = config.get("Headers", {}).get("Items", []) if config.get("HeaderBehavior") == "whitelist" else []
    headers = [f"{name.lower()}: {request.header(name.lower())}" for name in sorted(names)]
    cookies = request.header("cookie") if parts.get("CookiesConfig", {}).get("CookieBehavior", "none") != "none" else ""
    return (distribution, request.path, query, *headers, cookies)


def select_query(request: Request, config: Params) -> str:
    """Return the part of the query that a policy's QueryStringsConfig selects."""
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


def compute_ttl(response: Response, policy: Params) -> float:
    """Return a success's TTL in seconds: the origin's value within MinTTL and MaxTTL, or the DefaultTTL."""
    min_ttl, max_ttl = float(policy.get("MinTTL", 0)), float(policy.get("MaxTTL", 31536000))
    cache_control = _get_header(response, "cache-control").lower()
    if any(directive in cache_control for directive in ("no-store", "no-cache", "private")):
        return min_ttl
    origin_ttl = _origin_ttl(response)
    if origin_ttl is None:
        return max(min_ttl, min(float(policy.get("DefaultTTL", 86400)), max_ttl))
    return max(min_ttl, min(origin_ttl, max_ttl))


def compute_error_ttl(response: Response, custom_error: Params | None) -> float:
    """Return an error's TTL in seconds; ``custom_error`` is the distribution's CustomErrorResponse for it."""
    min_ttl = float((custom_error or {}).get("ErrorCachingMinTTL", DEFAULT_ERROR_TTL_SECONDS))
    origin_ttl = _origin_ttl(response)
    if origin_ttl is not None:
        return max(min_ttl, origin_ttl)
    return min_ttl if custom_error is not None or response.status in _CACHEABLE_ERROR_CODES else 0.0


def _origin_ttl(response: Response) -> float | None:
    """Return the TTL that the origin sets: s-maxage, then max-age, then Expires; None without any."""
    ages = dict(_MAX_AGE_PATTERN.findall(_get_header(response, "cache-control").lower()))
    if ages:
        return float(ages.get("s-maxage", ages.get("max-age")) or 0)
    expires = _get_header(response, "expires")
    if not expires:
        return None
    try:
        return max(0.0, parsedate_to_datetime(expires).timestamp() - time.time())
    except ValueError:
        return 0.0


def _get_header(response: Response, name: str) -> str:
    return next((value for header, value in response.headers if header.lower() == name), "")
