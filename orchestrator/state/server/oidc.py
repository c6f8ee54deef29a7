"""GitHub Actions' OIDC tokens: checked claim by claim, and traded once for a token of ours.

API: the issuer's ``/.well-known/jwks``.
"""

from __future__ import annotations

import math
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
"""Seconds between a token's making and its use, at most; GitHub's live for five minutes."""
TOKEN_TTL_SECONDS = 6 * 3600.0
"""Seconds that our token is good for: as long as a job may take."""
PROPOSE_EVENTS = frozenset({"pull_request", "schedule", "push", "workflow_dispatch"})
WRITE_EVENTS = frozenset({"push", "workflow_dispatch", "schedule"})
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "jti", "sub", "repository_id", "ref", "event_name"]


class JwksUnavailableError(Exception):
    """The issuer does not say what its keys are."""


FetchJson = Callable[[str], Mapping[str, Any]]


class JwksCache:
    """The issuer's public keys, kept; an unknown one makes them be fetched once more, seldom."""

    REFRESH_INTERVAL_SECONDS = 30.0

    def __init__(self, issuer: str, fetch: FetchJson, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{issuer}/.well-known/jwks"
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._fetched_at = -math.inf
        self._lock = threading.Lock()

    def get(self, kid: str) -> Any:
        """The key of this id.

        Raises KeyError, and NoKeysError when the issuer does not answer.
        """
        with self._lock:
            if kid not in self._keys and self._clock() - self._fetched_at > self.REFRESH_INTERVAL_SECONDS:
                jwks = self._fetch(self._url)["keys"]
                self._keys = {key["kid"]: key for key in jwks if key.get("kty") == "RSA" and "kid" in key}
                self._fetched_at = self._clock()
            return self._keys[kid]


def fetch_json(url: str) -> Mapping[str, Any]:
    """A JSON document from the issuer.

    Raises NoKeysError.
    """
    import httpx

    try:
        response = httpx.get(url, timeout=5, follow_redirects=False)
        response.raise_for_status()
        document: Mapping[str, Any] = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise JwksUnavailableError(f"{url} does not answer: {type(error).__name__}") from None
    return document


def exchange_token(store: Store, settings: Settings, keys: JwksCache, token: str) -> str:
    """Our token for GitHub's.

    Raises Problems, in words that help nobody to forge: which claim is not ours.
    """
    claims = verify_token(settings, keys, token)
    if not consume_jti(store, str(claims["jti"]), float(claims["exp"]) + CLOCK_SKEW_SECONDS):
        raise _rejected_token("it was used before")
    name = f"actions {claims.get('actor', '')} {claims['jti']}"[:100]
    return create_token(
        store, name, grant_for_claims(settings, claims), TOKEN_TTL_SECONDS, str(claims.get("actor", "actions"))
    )


def verify_token(settings: Settings, keys: JwksCache, token: str) -> Mapping[str, Any]:
    """The claims of a token that GitHub signed for us.

    Raises Problems.
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "RS256":
            raise _rejected_token("it is not signed with RS256")
        key = jwt.PyJWK(keys.get(str(header.get("kid", ""))), "RS256")
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
        raise _rejected_token("its key is not the issuer's") from None
    except jwt.PyJWTError as error:
        raise _rejected_token(str(error)) from None
    if int(claims["exp"]) - int(claims["iat"]) > MAX_TOKEN_AGE_SECONDS:
        raise _rejected_token("it lives too long")
    if not settings.repository_id or str(claims["repository_id"]) != settings.repository_id:
        raise _rejected_token("its repository_id is another")
    if claims["event_name"] not in PROPOSE_EVENTS:
        raise _rejected_token("its event_name may do nothing here")
    return claims


def grant_for_claims(settings: Settings, claims: Mapping[str, Any]) -> TokenGrant:
    """What a workflow may do: propose from anywhere; write from the main branch to the environment it runs in."""
    environment = str(claims.get("environment", ""))
    is_main_branch = claims["ref"] == f"refs/heads/{settings.branch}" and claims["event_name"] in WRITE_EVENTS
    if is_main_branch and environment:
        return TokenGrant(("read", "propose", "write"), environment)
    return TokenGrant(("propose",), environment)


def _rejected_token(reason: str) -> Problems:
    return Problems.from_message(
        f"the workflow's token is refused: {reason}", hint="see that the job has `id-token: write`"
    )
