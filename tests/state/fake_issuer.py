"""A GitHub that signs OIDC tokens for jobs, and a forger who cannot quite."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

ISSUER_URL = "https://token.actions.githubusercontent.com"
REPOSITORY_ID = "4711"
SETTINGS: dict[str, Any] = {"repository_id": REPOSITORY_ID}


class FakeIssuer:
    """Its keys by id; ``asked`` counts how often somebody fetched them."""

    def __init__(self) -> None:
        self.keys: dict[str, RSAPrivateKey] = {}
        self.fetch_count = 0
        self.is_unavailable = False
        self._numbers = count(1)
        self.add_key("first")

    def add_key(self, kid: str) -> None:
        """A further key, as when keys are rotated."""
        self.keys[kid] = generate_private_key(65537, 2048)

    def fetch_keys(self, url: str) -> Mapping[str, Any]:
        """What stands at the address of the keys."""
        from orchestrator.state.server.oidc import JwksUnavailableError

        assert url == f"{ISSUER_URL}/.well-known/jwks"
        self.fetch_count += 1
        if self.is_unavailable:
            raise JwksUnavailableError("the issuer does not answer")
        return {"keys": [self.public_key(kid) for kid in self.keys]}

    def public_key(self, kid: str) -> dict[str, Any]:
        """One key as it is published."""
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[kid].public_key()))
        return {**jwk, "kid": kid, "alg": "RS256", "use": "sig"}

    def make_claims(self, **changed: Any) -> dict[str, Any]:
        """What a deploy job's token says; ``None`` leaves a claim out."""
        now = int(time.time())
        defaults = {
            "iss": ISSUER_URL,
            "aud": "orchestrator-state",
            "sub": "repo:shop/shop:environment:prod",
            "repository": "shop/shop",
            "repository_id": REPOSITORY_ID,
            "environment": "prod",
            "ref": "refs/heads/main",
            "event_name": "push",
            "actor": "ana",
            "jti": f"job-{next(self._numbers)}-{id(self)}",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in {**defaults, **changed}.items() if value is not None}

    def sign_token(self, kid: str = "first", **changed: Any) -> str:
        """A token as GitHub signs it."""
        return jwt.encode(self.make_claims(**changed), self.keys[kid], "RS256", {"kid": kid})
