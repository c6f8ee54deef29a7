"""Keep the sessions that STS has given: which access key is of which role, and until when."""

from __future__ import annotations

import re
import secrets
import string
import threading
import time
from dataclasses import dataclass
from urllib.parse import unquote

from orchestrator.emulator.http_messages import Request

_KEY_PATTERN = re.compile(r"Credential=([^/,\s]+)/\d{8}/")
_KEY_CHARACTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Session:
    """A role's session; times are seconds of the monotonic clock."""

    access_key_id: str
    role_arn: str
    name: str
    started_at: float
    expires_at: float

    @property
    def role_name(self) -> str:
        """Return the name of the role, without its path."""
        return self.role_arn.rpartition("/")[2]

    @property
    def arn(self) -> str:
        """Return the ARN of the session, which has no path."""
        account = self.role_arn.split(":")[4]
        return f"arn:aws:sts::{account}:assumed-role/{self.role_name}/{self.name}"

    @property
    def is_expired(self) -> bool:
        """Return whether its token has expired."""
        return time.monotonic() >= self.expires_at


class SessionTable:
    """The sessions of one emulator, by access key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def start(self, role_arn: str, name: str, duration_seconds: float) -> Session:
        """Start a session and return it."""
        key = "ASIA" + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(16))
        now = time.monotonic()
        session = Session(key, role_arn, name, now, now + duration_seconds)
        with self._lock:
            self._sessions[key] = session
        return session

    def find(self, request: Request) -> Session | None:
        """Return the session whose key signed a request, or None: then an administrator's key did, or nobody."""
        signed = _KEY_PATTERN.search(request.header("authorization"))
        key = signed.group(1) if signed else unquote(request.query.get("X-Amz-Credential", "")).partition("/")[0]
        with self._lock:
            return self._sessions.get(key)

    def clear(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._sessions.clear()
