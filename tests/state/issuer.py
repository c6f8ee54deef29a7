"""A GitHub that signs OIDC tokens for jobs, and a forger who cannot quite."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

NAME = "https://token.actions.githubusercontent.com"
REPOSITORY_ID = "4711"
SETTINGS: dict[str, Any] = {"repository_id": REPOSITORY_ID}


class Issuer:
    """Its keys by id; ``asked`` counts how often somebody fetched them."""

    def __init__(self) -> None:
        self.keys: dict[str, RSAPrivateKey] = {}
        self.asked = 0
        self.is_away = False
        self._numbers = count(1)
        self.add("first")

    def add(self, kid: str) -> None:
        """A further key, as when keys are rotated."""
        self.keys[kid] = generate_private_key(65537, 2048)

    def fetch(self, url: str) -> Mapping[str, Any]:
        """What stands at the address of the keys."""
        from orchestrator.state.server.oidc import NoKeysError

        assert url == f"{NAME}/.well-known/jwks"
        self.asked += 1
        if self.is_away:
            raise NoKeysError("the issuer does not answer")
        return {"keys": [self.public(kid) for kid in self.keys]}

    def public(self, kid: str) -> dict[str, Any]:
        """One key as it is published."""
        known = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[kid].public_key()))
        return {**known, "kid": kid, "alg": "RS256", "use": "sig"}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a deploy job's token says; ``None`` leaves a claim out."""
        now = int(time.time())
        usual = {
            "iss": NAME,
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
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(self, kid: str = "first", **changed: Any) -> str:
        """A token as GitHub signs it."""
        return jwt.encode(self.claims(**changed), self.keys[kid], "RS256", {"kid": kid})
