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
from orchestrator.state.server.access import Grant, create_token, first_time
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store

SKEW = 30
LONGEST = 600
"""Seconds between a token's making and its use, at most; GitHub's live for five minutes."""
LASTS = 6 * 3600.0
"""Seconds that our token is good for: as long as a job may take."""
PROPOSING = frozenset({"pull_request", "schedule", "push", "workflow_dispatch"})
WRITING = frozenset({"push", "workflow_dispatch", "schedule"})
REQUIRED = ["iss", "aud", "exp", "iat", "jti", "sub", "repository_id", "ref", "event_name"]


class NoKeysError(Exception):
    """The issuer does not say what its keys are."""


Fetch = Callable[[str], Mapping[str, Any]]


class Keys:
    """The issuer's public keys, kept; an unknown one makes them be fetched once more, seldom."""

    PATIENCE = 30.0

    def __init__(self, issuer: str, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{issuer}/.well-known/jwks"
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._at = -math.inf
        self._lock = threading.Lock()

    def find(self, kid: str) -> Any:
        """The key of this id.

        Raises KeyError, and NoKeysError when the issuer does not answer.
        """
        with self._lock:
            if kid not in self._keys and self._clock() - self._at > self.PATIENCE:
                found = self._fetch(self._url)["keys"]
                self._keys = {key["kid"]: key for key in found if key.get("kty") == "RSA" and "kid" in key}
                self._at = self._clock()
            return self._keys[kid]


def fetch(url: str) -> Mapping[str, Any]:
    """A JSON document from the issuer.

    Raises NoKeysError.
    """
    import httpx

    try:
        answer = httpx.get(url, timeout=5, follow_redirects=False)
        answer.raise_for_status()
        document: Mapping[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NoKeysError(f"{url} does not answer: {type(error).__name__}") from None
    return document


def trade(store: Store, settings: Settings, keys: Keys, token: str) -> str:
    """Our token for GitHub's.

    Raises Problems, in words that help nobody to forge: which claim is not ours.
    """
    claims = check(settings, keys, token)
    if not first_time(store, str(claims["jti"]), float(claims["exp"]) + SKEW):
        raise _refused("it was used before")
    name = f"actions {claims.get('actor', '')} {claims['jti']}"[:100]
    return create_token(store, name, grant(settings, claims), LASTS, str(claims.get("actor", "actions")))


def check(settings: Settings, keys: Keys, token: str) -> Mapping[str, Any]:
    """The claims of a token that GitHub signed for us.

    Raises Problems.
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "RS256":
            raise _refused("it is not signed with RS256")
        key = jwt.PyJWK(keys.find(str(header.get("kid", ""))), "RS256")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=SKEW,
            options={"require": REQUIRED},
        )
    except KeyError:
        raise _refused("its key is not the issuer's") from None
    except jwt.PyJWTError as error:
        raise _refused(str(error)) from None
    if int(claims["exp"]) - int(claims["iat"]) > LONGEST:
        raise _refused("it lives too long")
    if not settings.repository_id or str(claims["repository_id"]) != settings.repository_id:
        raise _refused("its repository_id is another")
    if claims["event_name"] not in PROPOSING:
        raise _refused("its event_name may do nothing here")
    return claims


def grant(settings: Settings, claims: Mapping[str, Any]) -> Grant:
    """What a workflow may do: propose from anywhere; write from the main branch to the environment it runs in."""
    environment = str(claims.get("environment", ""))
    main = claims["ref"] == f"refs/heads/{settings.branch}" and claims["event_name"] in WRITING
    if main and environment:
        return Grant(("read", "propose", "write"), environment)
    return Grant(("propose",), environment)


def _refused(why: str) -> Problems:
    return Problems.one(f"the workflow's token is refused: {why}", hint="see that the job has `id-token: write`")
