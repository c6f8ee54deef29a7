"""Authenticate requests and manage tokens and sessions.

Machines use tokens, which are stored hashed.  People use a session (GitHub sign-in) or a reverse proxy that signs its
headers.  On loopback without authentication configured, everyone can read and writing needs a token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.problems import Problems
from orchestrator.quantities import parse_count
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection, write_transaction

Scope = Literal["read", "propose", "write", "operate"]
Role = Literal["viewer", "operator"]
SCOPES_BY_ROLE: Mapping[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "operate"}),
}
SCOPES = ("read", "propose", "write", "operate")
"""``propose``: plans and drift reports.  ``write``: runs and their results.  ``operate``: decisions of people."""
SESSION_TTL_SECONDS = 12 * 3600.0
SESSION_COOKIE = "orchestrator_session"
PROXY_CLOCK_SKEW_SECONDS = 60.0
_ENVIRONMENT_LIMIT_PATTERN = re.compile(r"(\*|[a-z0-9][a-z0-9-]{0,60})/[a-z0-9][a-z0-9-]{0,60}")


class Identity(Struct, frozen=True):
    """An authenticated client; ``csrf`` for browsers, further fields as in TokenGrant."""

    name: str
    scopes: frozenset[str]
    environment: str = ""
    csrf: str = ""
    person: str = ""
    is_unmerged: bool = False
    pull_request: int | None = None

    @property
    def actor(self) -> str:
        """Whom records name as their author."""
        return self.person or self.name

    def can(self, scope: str, environment: str = "") -> bool:
        """Return whether the identity has ``scope`` for ``environment``, a key ``project/environment``."""
        is_environment_limited = bool(self.environment and environment) and scope in {"write", "propose"}
        return scope in self.scopes and (
            not is_environment_limited or is_environment_covered(self.environment, environment)
        )

    @property
    def role(self) -> str:
        """Return ``operator``, ``viewer``, or "" if the identity can neither operate nor read."""
        return "operator" if "operate" in self.scopes else "viewer" if "read" in self.scopes else ""


ANONYMOUS = Identity("anonymous", frozenset())


class Authenticator:
    """Authenticates requests by token, session or proxy signature."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def authenticate(self, method: str, path: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Identity:
        """Return the identity of a request; an invalid token is anonymous, even with a valid session."""
        auth_scheme, _, token = headers.get("authorization", "").partition(" ")
        if auth_scheme:
            return self._authenticate_token(token) if auth_scheme.lower() == "bearer" else ANONYMOUS
        if self._settings.proxy_secret and "x-orchestrator-user" in headers:
            return self._authenticate_proxy(method, path, headers)
        if session := cookies.get(SESSION_COOKIE):
            return self._authenticate_session(session)
        if self._settings.is_anonymous_allowed:
            return Identity("anonymous", SCOPES_BY_ROLE["viewer"])
        return ANONYMOUS

    def _authenticate_token(self, token: str) -> Identity:
        with read_connection(self._store.engine) as connection:
            row = connection.execute(select(t.tokens).where(t.tokens.c.hash == hash_credential(token))).first()
        if row is None or row.revoked or row.until <= self._store.clock():
            return ANONYMOUS
        grant = msgspec.json.decode(row.scopes, type=TokenGrant)
        return Identity(
            row.name,
            frozenset(grant.scopes),
            grant.environment,
            person=grant.person,
            is_unmerged=grant.is_unmerged,
            pull_request=grant.pull_request,
        )

    def _authenticate_session(self, session: str) -> Identity:
        with read_connection(self._store.engine) as connection:
            row = connection.execute(select(t.sessions).where(t.sessions.c.hash == hash_credential(session))).first()
        if row is None or row.until <= self._store.clock():
            return ANONYMOUS
        return Identity(row.login, SCOPES_BY_ROLE[row.role], csrf=row.csrf)

    def _authenticate_proxy(self, method: str, path: str, headers: Mapping[str, str]) -> Identity:
        name, role = headers["x-orchestrator-user"], headers.get("x-orchestrator-role", "viewer")
        timestamp = headers.get("x-orchestrator-time", "")
        expected_signature = sign_proxy_request(self._settings.proxy_secret, name, role, timestamp, method, path)
        signature = headers.get("x-orchestrator-signature", "")
        sent_at = parse_count(timestamp)
        is_fresh = sent_at is not None and abs(self._store.clock() - sent_at) <= PROXY_CLOCK_SKEW_SECONDS
        if (
            not is_fresh
            or role not in SCOPES_BY_ROLE
            or not hmac.compare_digest(expected_signature.encode(), signature.encode())
        ):
            return ANONYMOUS
        csrf = hmac.new(self._settings.proxy_secret.encode(), f"csrf {name}".encode(), "sha256").hexdigest()
        return Identity(name, SCOPES_BY_ROLE[role], csrf=csrf)


class TokenGrant(Struct, frozen=True):
    """The scopes of a token, and what they are limited to.

    ``environment`` is ``PROJECT/ENVIRONMENT``, or ``*/ENVIRONMENT`` in every project; "" is no limit.  ``person`` uses
    the token, if that is not its name.  ``is_unmerged``: a job of code that is not on the main branch, of the open
    ``pull_request`` if it has one.
    """

    scopes: tuple[str, ...]
    environment: str = ""
    person: str = ""
    is_unmerged: bool = False
    pull_request: int | None = None


class TokenInfo(Struct, frozen=True):
    """A token without its secret; ``until`` in Unix seconds."""

    name: str
    scopes: tuple[str, ...]
    environment: str
    until: float
    revoked: bool


def is_environment_covered(limit: str, environment: str) -> bool:
    """Return whether ``limit`` (``PROJECT/ENVIRONMENT`` or ``*/ENVIRONMENT``) covers an environment key."""
    limit_project, _, limit_name = limit.partition("/")
    project, _, name = environment.partition("/")
    return limit_name == name and limit_project in {"*", project}


def check_environment_limit(limit: str) -> None:
    """Raise Problems if ``limit`` is neither "" nor ``PROJECT/ENVIRONMENT`` nor ``*/ENVIRONMENT``."""
    if limit and not _ENVIRONMENT_LIMIT_PATTERN.fullmatch(limit):
        name = limit.rpartition("/")[2] or "prod"
        raise Problems.from_message(
            f"invalid environment {limit!r}: use PROJECT/ENVIRONMENT",
            hint=f"for example --only shop/{name}; `*/{name}` is the environment {name} of every project",
        )


def sign_proxy_request(secret: str, name: str, role: str, timestamp: str, method: str, path: str) -> str:
    """Return the value of ``X-Orchestrator-Signature``: HMAC-SHA-256 over these lines, in hexadecimal."""
    payload = f"{name}\n{role}\n{timestamp}\n{method.upper()}\n{path}"
    return hmac.new(secret.encode(), payload.encode(), "sha256").hexdigest()


def hash_credential(credential: str) -> str:
    """Return the hash of a token or session; they are long and random, so one round of SHA-256 is enough."""
    return hashlib.sha256(credential.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(store: Store, name: str, grant: TokenGrant, ttl_seconds: float, actor: str) -> str:
    """Create a token and return it; only its hash is stored.  Replaces a revoked or expired token of this name.

    Raises Problems if a valid token of this name exists or a scope is unknown.
    """
    if unknown_scopes := set(grant.scopes) - set(SCOPES):
        raise Problems.from_message(f"unknown scope {min(unknown_scopes)!r}", hint=f"use one of: {', '.join(SCOPES)}")
    raw_token = f"ost_{secrets.token_urlsafe(32)}"
    now = store.clock()
    scopes = msgspec.json.encode(grant).decode()
    try:
        with write_transaction(store.engine) as connection:
            is_unusable = or_(t.tokens.c.revoked, t.tokens.c.until <= now)
            connection.execute(delete(t.tokens).where(t.tokens.c.name == name, is_unusable))
            connection.execute(
                insert(t.tokens).values(
                    name=name,
                    hash=hash_credential(raw_token),
                    scopes=scopes,
                    created=now,
                    until=now + ttl_seconds,
                    revoked=False,
                )
            )
    except IntegrityError:
        raise Problems.from_message(
            f"a token named {name!r} already exists", hint=f"run `orchestrator token revoke {name}` or use another name"
        ) from None
    store.record_action("token.create", actor, name, grant.environment)
    return raw_token


def list_tokens(store: Store) -> tuple[TokenInfo, ...]:
    """Return all tokens by name, without their secrets."""
    with read_connection(store.engine) as connection:
        rows = connection.execute(select(t.tokens).order_by(t.tokens.c.name)).all()
    grants = [msgspec.json.decode(row.scopes, type=TokenGrant) for row in rows]
    return tuple(
        TokenInfo(row.name, grant.scopes, grant.environment, row.until, row.revoked)
        for row, grant in zip(rows, grants, strict=True)
    )


def revoke_token(store: Store, name: str, actor: str) -> None:
    """Revoke a token.

    Raises Problems if there is no token of this name.
    """
    with write_transaction(store.engine) as connection:
        row_count = connection.execute(update(t.tokens).where(t.tokens.c.name == name).values(revoked=True)).rowcount
    if not row_count:
        raise Problems.from_message(f"no token named {name!r}", hint="run `orchestrator token list` to see all tokens")
    store.record_action("token.revoke", actor, name)


def create_session(store: Store, login: str, role: Role) -> str:
    """Create a session for a person and return the value of its cookie."""
    session = secrets.token_urlsafe(32)
    until = store.clock() + SESSION_TTL_SECONDS
    with write_transaction(store.engine) as connection:
        connection.execute(delete(t.sessions).where(t.sessions.c.until < store.clock()))
        columns = {
            "hash": hash_credential(session),
            "login": login,
            "role": role,
            "csrf": secrets.token_urlsafe(24),
            "until": until,
        }
        connection.execute(insert(t.sessions).values(**columns))
    store.record_action("sign-in", login, role)
    return session


def delete_session(store: Store, session: str) -> None:
    """Delete the session of this cookie value."""
    with write_transaction(store.engine) as connection:
        connection.execute(delete(t.sessions).where(t.sessions.c.hash == hash_credential(session)))


def consume_jti(store: Store, jti: str, until: float) -> bool:
    """Mark a one-time token ID as used until ``until`` (Unix seconds); return False if it was used before."""
    now = store.clock()
    try:
        with write_transaction(store.engine) as connection:
            connection.execute(delete(t.used_tokens).where(t.used_tokens.c.until < now))
            connection.execute(insert(t.used_tokens).values(jti=hash_credential(jti), until=until))
    except IntegrityError:
        return False
    return True
