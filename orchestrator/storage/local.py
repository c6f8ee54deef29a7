"""Files in a folder, with the promises of the bucket: whole or not at all, conditions, links that expire."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from orchestrator.problems import Problems
from orchestrator.storage import (
    MINUTES,
    MOST_MINUTES,
    NEW,
    ConflictError,
    Link,
    MissingFileError,
    Stored,
    partial,
    proper,
)
from orchestrator.storage.content import Limits, suffix, validate

OWN = ".storage"
"""The folder for what the storage itself needs; no key begins with it."""


class ExpiredLinkError(Problems):
    """A link whose time is over, or that nobody signed."""


class LocalFileStorage:
    """Files under one folder; processes that share the folder may share the storage.

    What a bucket can and a folder cannot: hold a file under a key and others below the same key.

    ``base`` is the address where ``orchestrator.storage.serving`` or the application answers links.
    """

    def __init__(self, root: Path, *, base: str = "", limits: Limits | None = None, minutes: float = MINUTES) -> None:
        self.root = root
        self.base = base.rstrip("/") or "http://localhost"
        self._limits = limits or Limits()
        self._minutes = minutes

    def __str__(self) -> str:
        return str(self.root)

    def upload(self, content: bytes | Path, name: str, *, content_type: str = "", folder: str = "") -> str:
        """See ``FileStorage.upload``."""
        kind = validate(content, name, content_type, self._limits)
        key = proper(f"{folder.strip('/')}/{uuid.uuid4().hex}{suffix(name, kind)}".lstrip("/"))
        self.put(key, content, content_type=kind, over=NEW)
        return key

    def put(
        self, key: str, content: bytes | Path, *, content_type: str = "", cache: str = "", over: str | None = None
    ) -> Stored:
        """See ``FileStorage.put``; types and caching are told by the name here."""
        path = self._path(key)
        with _told("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone() if over is not None else _freely():
                if over is not None and not self._fits(key, over):
                    raise ConflictError.one(
                        f"{path} was written by somebody else", hint="nothing was written: look at it and try again"
                    )
                with partial(path) as stream:
                    stream.write(content if isinstance(content, bytes) else content.read_bytes())
                    stream.flush()
                    os.fsync(stream.fileno())
            return self._stored(key, path)

    def find(self, key: str) -> Stored | None:
        """See ``FileStorage.find``."""
        path = self._path(key)
        with _told("look at", path):
            return self._stored(key, path) if path.is_file() else None

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See ``FileStorage.list``."""
        folder = self.root / prefix.rpartition("/")[0]
        with _told("list", folder):
            keys = [path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file()]
        for key in sorted(keys):
            hidden = key.startswith(f"{OWN}/") or key.endswith(".part")
            if key.startswith(prefix) and not hidden and (stored := self.find(key)):
                yield stored

    def download(self, key: str) -> bytes:
        """See ``FileStorage.download``."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """See ``FileStorage.read``."""
        path = self._path(key)
        with _told("read", path):
            if not path.is_file():
                raise MissingFileError.one(f"there is no {path}")
            data = path.read_bytes()
        return data, _etag(data)

    def fetch(self, key: str, target: Path) -> int:
        """See ``FileStorage.fetch``."""
        data = self.download(key)
        with _told("write", target), partial(target) as stream:
            return stream.write(data)

    def delete(self, key: str) -> None:
        """See ``FileStorage.delete``."""
        path = self._path(key)
        with _told("delete", path):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # a folder is there for its files: an empty one goes, the first other stays
                for parent in path.relative_to(self.root).parents[:-1]:
                    (self.root / parent).rmdir()

    def link(self, key: str, minutes: float | None = None) -> Link:
        """See ``FileStorage.link``."""
        if self.find(key) is None:
            raise MissingFileError.one(f"there is no {self._path(key)}")
        seconds = min(self._minutes if minutes is None else minutes, MOST_MINUTES) * 60
        expires = time.time() + seconds
        stamp = f"{expires:.3f}"
        url = f"{self.base}/{quote(key)}?expires={stamp}&signature={self._signature(key, stamp)}"
        return Link(key, url, datetime.fromtimestamp(expires, UTC))

    def opened(self, url: str) -> str:
        """The key that a link (or its path and query) leads to.  Raises ExpiredLinkError."""
        address = urlsplit(url)
        key = unquote(address.path.removeprefix(urlsplit(self.base).path)).lstrip("/")
        query = parse_qs(address.query)
        stamp, signature = query.get("expires", [""])[0], query.get("signature", [""])[0]
        if not hmac.compare_digest(signature.encode(), self._signature(key, stamp).encode()):
            raise ExpiredLinkError.one("this link was signed by nobody here")
        if float(stamp) <= time.time():
            raise ExpiredLinkError.one("this link has expired", hint="ask for a fresh one")
        return proper(key)

    def _path(self, key: str) -> Path:
        if proper(key).split("/")[0] == OWN:
            raise Problems.one(f"{key!r} is no key of a file", hint=f"{OWN} is the storage's own")
        return self.root / key

    def _fits(self, key: str, over: str) -> bool:
        here = self.find(key)
        return here is None if over == NEW else here is not None and here.etag == over

    def _stored(self, key: str, path: Path) -> Stored:
        data, status = path.read_bytes(), path.stat()
        return Stored(key, len(data), _etag(data), datetime.fromtimestamp(status.st_mtime, UTC))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer with a condition at a time, over all processes."""
        own = self.root / OWN
        own.mkdir(parents=True, exist_ok=True)
        with (own / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _signature(self, key: str, stamp: str) -> str:
        return hmac.new(self._secret(), f"{key}\n{stamp}".encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """What links are signed with: made once for the folder, readable by its owner alone."""
        path = self.root / OWN / "secret"
        with _told("read", path):
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                made = path.with_name(secrets.token_hex(8))
                with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(secrets.token_bytes(32))
                try:
                    path.hardlink_to(made)  # of two that make one, the first wins
                except FileExistsError:
                    pass
                finally:
                    made.unlink()
            return path.read_bytes()


@contextmanager
def _told(deed: str, path: Path) -> Iterator[None]:
    """Troubles of the file system as a sentence."""
    try:
        yield
    except OSError as error:
        raise Problems.one(f"cannot {deed} {path}: {error.strerror or error}") from None


@contextmanager
def _freely() -> Iterator[None]:
    yield


def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
