"""Who somebody is, and what they may do.

Machines hold tokens, stored hashed.  People come with a session (GitHub) or through a reverse proxy that signs.  On
loopback, with nothing configured, everybody reads and nobody writes without a token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.problems import Problems
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import reading, writing

Scope = Literal["read", "propose", "write", "operate"]
Role = Literal["viewer", "operator"]
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "operate"}),
}
SCOPES = ("read", "propose", "write", "operate")
"""``propose``: plans and drift reports.  ``write``: runs and what comes of them.  ``operate``: decisions of people."""
SESSION = 12 * 3600.0
COOKIE = "orchestrator_session"
PROXY_SKEW = 60.0


class Identity(Struct, frozen=True):
    """Somebody: ``environment`` limits writing to one name ("" to none); ``csrf`` is set for browsers."""

    name: str
    scopes: frozenset[str]
    environment: str = ""
    csrf: str = ""

    def may(self, scope: str, environment: str = "") -> bool:
        """Whether they may do what takes ``scope``, to ``project/environment``."""
        limited = bool(self.environment and environment) and scope in {"write", "propose"}
        return scope in self.scopes and (not limited or environment.partition("/")[2] == self.environment)

    @property
    def role(self) -> str:
        """``operator``, ``viewer`` or "" for one that is no person."""
        return "operator" if "operate" in self.scopes else "viewer" if "read" in self.scopes else ""


NOBODY = Identity("anonymous", frozenset())


class Access:
    """Finds out who asks."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def who(self, method: str, path: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Identity:
        """Who asks, by what they bring; an unknown token is nobody, whatever else they bring."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind:
            return self._by_token(token) if kind.lower() == "bearer" else NOBODY
        if self._settings.proxy_secret and "x-orchestrator-user" in headers:
            return self._by_proxy(method, path, headers)
        if session := cookies.get(COOKIE):
            return self._by_session(session)
        if self._settings.is_open:
            return Identity("anonymous", ROLES["viewer"])
        return NOBODY

    def _by_token(self, token: str) -> Identity:
        with reading(self._store.engine) as connection:
            row = connection.execute(select(t.tokens).where(t.tokens.c.hash == hashed(token))).first()
        if row is None or row.revoked or row.until <= self._store.clock():
            return NOBODY
        grant = msgspec.json.decode(row.scopes, type=Grant)
        return Identity(row.name, frozenset(grant.scopes), grant.environment)

    def _by_session(self, session: str) -> Identity:
        with reading(self._store.engine) as connection:
            row = connection.execute(select(t.sessions).where(t.sessions.c.hash == hashed(session))).first()
        if row is None or row.until <= self._store.clock():
            return NOBODY
        return Identity(row.login, ROLES[row.role], csrf=row.csrf)

    def _by_proxy(self, method: str, path: str, headers: Mapping[str, str]) -> Identity:
        name, role = headers["x-orchestrator-user"], headers.get("x-orchestrator-role", "viewer")
        at = headers.get("x-orchestrator-time", "")
        right = proxy_signature(self._settings.proxy_secret, name, role, at, method, path)
        given = headers.get("x-orchestrator-signature", "")
        fresh = at.isdigit() and abs(self._store.clock() - int(at)) <= PROXY_SKEW
        if not fresh or role not in ROLES or not hmac.compare_digest(right.encode(), given.encode()):
            return NOBODY
        csrf = hmac.new(self._settings.proxy_secret.encode(), f"csrf {name}".encode(), "sha256").hexdigest()
        return Identity(name, ROLES[role], csrf=csrf)


class Grant(Struct, frozen=True):
    """What a token lets its holder do."""

    scopes: tuple[str, ...]
    environment: str = ""


class TokenInfo(Struct, frozen=True):
    """A token as it is listed; ``until`` in Unix seconds."""

    name: str
    scopes: tuple[str, ...]
    environment: str
    until: float
    revoked: bool


def proxy_signature(secret: str, name: str, role: str, at: str, method: str, path: str) -> str:
    """What a reverse proxy puts into ``X-Orchestrator-Signature``: HMAC-SHA-256 over these lines, in hexadecimal."""
    lines = f"{name}\n{role}\n{at}\n{method.upper()}\n{path}"
    return hmac.new(secret.encode(), lines.encode(), "sha256").hexdigest()


def hashed(word: str) -> str:
    """How tokens and sessions are kept: they are long and random, so one round of SHA-256 does."""
    return hashlib.sha256(word.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(store: Store, name: str, grant: Grant, lasts: float, by: str) -> str:
    """Make a token; it is shown this once.  One of this name that opens nothing any more makes way.

    Raises Problems: there is one of this name, or a scope is unknown.
    """
    if unknown := set(grant.scopes) - set(SCOPES):
        raise Problems.one(f"there is no scope {min(unknown)!r}", hint=f"scopes: {', '.join(SCOPES)}")
    word = f"ost_{secrets.token_urlsafe(32)}"
    at = store.clock()
    scopes = msgspec.json.encode(grant).decode()
    try:
        with writing(store.engine) as connection:
            worthless = or_(t.tokens.c.revoked, t.tokens.c.until <= at)
            connection.execute(delete(t.tokens).where(t.tokens.c.name == name, worthless))
            connection.execute(
                insert(t.tokens).values(
                    name=name, hash=hashed(word), scopes=scopes, created=at, until=at + lasts, revoked=False
                )
            )
    except IntegrityError:
        raise Problems.one(f"there is a token {name!r} already", hint=f"orchestrator token revoke {name}") from None
    store.note("token.create", by, name, grant.environment)
    return word


def list_tokens(store: Store) -> tuple[TokenInfo, ...]:
    """All tokens by name, without what would open anything."""
    with reading(store.engine) as connection:
        rows = connection.execute(select(t.tokens).order_by(t.tokens.c.name)).all()
    grants = [msgspec.json.decode(row.scopes, type=Grant) for row in rows]
    return tuple(
        TokenInfo(row.name, grant.scopes, grant.environment, row.until, row.revoked)
        for row, grant in zip(rows, grants, strict=True)
    )


def revoke_token(store: Store, name: str, by: str) -> None:
    """Make a token worthless.

    Raises Problems: there is none of this name.
    """
    with writing(store.engine) as connection:
        found = connection.execute(update(t.tokens).where(t.tokens.c.name == name).values(revoked=True)).rowcount
    if not found:
        raise Problems.one(f"there is no token {name!r}", hint="orchestrator token list")
    store.note("token.revoke", by, name)


def open_session(store: Store, login: str, role: Role) -> str:
    """Let somebody in; the word for their cookie."""
    word = secrets.token_urlsafe(32)
    until = store.clock() + SESSION
    with writing(store.engine) as connection:
        connection.execute(delete(t.sessions).where(t.sessions.c.until < store.clock()))
        known = {"hash": hashed(word), "login": login, "role": role, "csrf": secrets.token_urlsafe(24), "until": until}
        connection.execute(insert(t.sessions).values(**known))
    store.note("sign-in", login, role)
    return word


def close_session(store: Store, session: str) -> None:
    """Let nobody in by this cookie any more."""
    with writing(store.engine) as connection:
        connection.execute(delete(t.sessions).where(t.sessions.c.hash == hashed(session)))


def first_time(store: Store, jti: str, until: float) -> bool:
    """Whether this one-time word was not seen before; from now on it was."""
    now = time.time()
    try:
        with writing(store.engine) as connection:
            connection.execute(delete(t.seen).where(t.seen.c.until < now))
            connection.execute(insert(t.seen).values(jti=hashed(jti), until=until))
    except IntegrityError:
        return False
    return True
