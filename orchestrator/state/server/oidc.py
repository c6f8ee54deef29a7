"""Verify GitHub Actions OIDC tokens and exchange each once for a token of this service.

API: the issuer's ``/.well-known/jwks``.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.state.server.access import TokenGrant, consume_jti, create_token
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store

CLOCK_SKEW_SECONDS = 30
MAX_TOKEN_AGE_SECONDS = 600
"""Maximum lifetime of an OIDC token in seconds; GitHub's live for five minutes."""
TOKEN_TTL_SECONDS = 6 * 3600.0
"""Lifetime of the issued token in seconds: the maximum duration of a job."""
PROPOSE_EVENTS = frozenset({"pull_request", "schedule", "push", "workflow_dispatch"})
WRITE_EVENTS = frozenset({"push", "workflow_dispatch", "schedule"})
TEXT_CLAIMS = ("jti", "sub", "ref", "event_name", "environment", "actor")
"""Claims that are text, or absent if they are not required."""
_PULL_REQUEST_REF_PATTERN = re.compile(r"refs/pull/([1-9][0-9]{0,8})/(merge|head)")
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "jti", "sub", "repository_id", "ref", "event_name"]


class JwksUnavailableError(Exception):
    """The public keys of the issuer cannot be fetched."""


FetchJson = Callable[[str], Mapping[str, Any]]


class JwksCache:
    """The issuer's public keys; an unknown key ID triggers a refresh, at most every REFRESH_INTERVAL_SECONDS.

    One thread fetches at a time, and nobody waits for it: whoever needs an unknown key meanwhile has to come again.
    """

    REFRESH_INTERVAL_SECONDS = 30.0
    RETRY_INTERVAL_SECONDS = 10.0
    """Seconds for which a failed fetch is not repeated."""

    def __init__(self, issuer: str, fetch: FetchJson, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{issuer}/.well-known/jwks"
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._next_fetch_at = -math.inf
        self._failure = ""
        self._is_fetching = False
        self._lock = threading.Lock()

    def get(self, kid: str, *, can_fetch: bool = True) -> Any:
        """Return the key with this ID; ``can_fetch``: ask the issuer for a key that is unknown.

        Raises KeyError if there is none, JwksUnavailableError if the issuer does not answer.
        """
        with self._lock:
            if kid in self._keys or not can_fetch:
                return self._keys[kid]
            if self._is_fetching:
                raise JwksUnavailableError("the issuer's keys are being fetched; try again")
            if self._clock() <= self._next_fetch_at:
                if self._failure:
                    raise JwksUnavailableError(self._failure)
                return self._keys[kid]
            self._is_fetching = True
        keys, failure = self._keys, "cannot fetch the issuer's keys"
        try:
            keys, failure = self._fetch_keys()
        finally:
            with self._lock:
                interval = self.RETRY_INTERVAL_SECONDS if failure else self.REFRESH_INTERVAL_SECONDS
                self._keys, self._failure, self._next_fetch_at = keys, failure, self._clock() + interval
                self._is_fetching = False
        if failure:
            raise JwksUnavailableError(failure)
        return keys[kid]

    def _fetch_keys(self) -> tuple[dict[str, Any], str]:
        """Return the keys of the issuer, or the present ones and why the fetch failed."""
        try:
            jwks = self._fetch(self._url)["keys"]
            return {key["kid"]: key for key in jwks if key.get("kty") == "RSA" and "kid" in key}, ""
        except JwksUnavailableError as error:
            return self._keys, str(error)
        except (KeyError, TypeError, AttributeError):
            return self._keys, f"{self._url} did not return a JSON Web Key Set"


def fetch_json(url: str) -> Mapping[str, Any]:
    """Fetch a JSON document from the issuer.

    Raises JwksUnavailableError if it cannot be fetched or parsed.
    """
    import httpx

    try:
        response = httpx.get(url, timeout=5, follow_redirects=False)
        response.raise_for_status()
        document: Mapping[str, Any] = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise JwksUnavailableError(f"cannot fetch the issuer's keys from {url}: {type(error).__name__}") from None
    return document


def exchange_token(store: Store, settings: Settings, keys: JwksCache, token: str) -> str:
    """Exchange an OIDC token for a token of this service.

    Raises Problems that name the rejected claim, but not the expected value.
    """
    claims = verify_token(settings, keys, token)
    if not consume_jti(store, str(claims["jti"]), float(claims["exp"]) + CLOCK_SKEW_SECONDS):
        raise _rejected_token("it was already used")
    name = f"actions {claims.get('actor', '')} {claims['jti']}"[:100]
    return create_token(
        store, name, grant_for_claims(settings, claims), TOKEN_TTL_SECONDS, str(claims.get("actor", "actions"))
    )


def verify_token(settings: Settings, keys: JwksCache, token: str, *, can_fetch: bool = True) -> Mapping[str, Any]:
    """Return the claims of a valid OIDC token; ``can_fetch`` as in ``JwksCache.get``.

    Raises Problems if its signature or a claim is invalid.
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "RS256":
            raise _rejected_token("it is not signed with RS256")
        key = jwt.PyJWK(keys.get(str(header.get("kid", "")), can_fetch=can_fetch), "RS256")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
    except KeyError:
        raise _rejected_token("it is not signed with a key of the issuer") from None
    except jwt.PyJWTError as error:
        raise _rejected_token(str(error)) from None
    if int(claims["exp"]) - int(claims["iat"]) > MAX_TOKEN_AGE_SECONDS:
        raise _rejected_token(f"its lifetime exceeds {MAX_TOKEN_AGE_SECONDS} seconds")
    if not settings.repository_id or str(claims["repository_id"]) != settings.repository_id:
        raise _rejected_token("its repository_id does not match GitHub__RepositoryId")
    if wrong_claims := [name for name in TEXT_CLAIMS if not isinstance(claims.get(name, ""), str)]:
        raise _rejected_token(f"its {wrong_claims[0]} is not text")
    if claims["event_name"] not in PROPOSE_EVENTS:
        raise _rejected_token(f"its event_name {str(claims['event_name'])[:40]!r} does not have permissions")
    return claims


def grant_for_claims(settings: Settings, claims: Mapping[str, Any]) -> TokenGrant:
    """Return the scopes of a workflow: propose from any branch; write from the main branch to its environment."""
    name, person = claims.get("environment", ""), claims.get("actor", "")[:100]
    environment = f"{settings.project or '*'}/{name}" if name else ""
    is_main_branch = claims["ref"] == f"refs/heads/{settings.branch}" and claims["event_name"] in WRITE_EVENTS
    if is_main_branch:
        return TokenGrant(("read", "propose", "write") if name else ("propose",), environment, person)
    pull_request = _PULL_REQUEST_REF_PATTERN.fullmatch(claims["ref"])
    is_pull_request = pull_request is not None and claims["event_name"] == "pull_request"
    number = int(pull_request[1]) if pull_request is not None and is_pull_request else None
    return TokenGrant(("propose",), environment, person, is_unmerged=True, pull_request=number)


def _rejected_token(reason: str) -> Problems:
    return Problems.from_message(
        f"the OIDC token of the workflow was rejected: {reason}", hint="add `id-token: write` to the job's permissions"
    )
