"""Store files in a folder, with the guarantees of a bucket: atomic and conditional writes, links that expire."""

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
    DEFAULT_LINK_TTL_MINUTES,
    MAX_LINK_TTL_MINUTES,
    MUST_NOT_EXIST,
    ConflictError,
    Link,
    MissingFileError,
    StoredFile,
    atomic_write,
    validate_key,
)
from orchestrator.storage.content_types import UploadLimits, choose_suffix, validate

INTERNAL_FOLDER = ".storage"
"""The folder for the storage's own files; no key begins with it."""


class InvalidLinkError(Problems):
    """A link that has expired or has no valid signature."""


class LocalFileStorage:
    """Files under one folder, which several processes may share.

    Unlike a bucket, a folder cannot hold a file under a key and other files below the same key.

    ``base_url`` is the URL at which ``orchestrator.storage.link_server`` or the application serves links.
    """

    def __init__(
        self,
        root: Path,
        *,
        base_url: str = "",
        limits: UploadLimits | None = None,
        link_ttl_minutes: float = DEFAULT_LINK_TTL_MINUTES,
    ) -> None:
        self.root = root
        self.base_url = base_url.rstrip("/") or "http://localhost"
        self._limits = limits or UploadLimits()
        self._link_ttl_minutes = link_ttl_minutes

    def __str__(self) -> str:
        return str(self.root)

    def upload(self, content: bytes | Path, name: str, *, content_type: str = "", folder: str = "") -> str:
        """See ``FileStorage.upload``."""
        detected_type = validate(content, name, content_type, self._limits)
        key = validate_key(f"{folder.strip('/')}/{uuid.uuid4().hex}{choose_suffix(name, detected_type)}".lstrip("/"))
        self.put(key, content, content_type=detected_type, expected_etag=MUST_NOT_EXIST)
        return key

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        content_type: str = "",
        cache_control: str = "",
        expected_etag: str | None = None,
    ) -> StoredFile:
        """See ``FileStorage.put``; ignores ``content_type`` and ``cache_control``."""
        path = self._path(key)
        with _translate_os_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock_exclusively() if expected_etag is not None else _no_lock():
                if expected_etag is not None and not self._matches_etag(key, expected_etag):
                    raise ConflictError.from_message(
                        f"{path} was changed by another writer", hint="read it again and retry; nothing was written"
                    )
                with atomic_write(path) as stream:
                    stream.write(content if isinstance(content, bytes) else content.read_bytes())
                    stream.flush()
                    os.fsync(stream.fileno())
            return self._describe_file(key, path)

    def find(self, key: str) -> StoredFile | None:
        """See ``FileStorage.find``."""
        path = self._path(key)
        with _translate_os_errors("read", path):
            return self._describe_file(key, path) if path.is_file() else None

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See ``FileStorage.list``."""
        folder = self.root / prefix.rpartition("/")[0]
        with _translate_os_errors("list", folder):
            keys = [path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file()]
        for key in sorted(keys):
            is_internal = key.startswith(f"{INTERNAL_FOLDER}/") or key.endswith(".part")
            if key.startswith(prefix) and not is_internal and (stored := self.find(key)):
                yield stored

    def download(self, key: str) -> bytes:
        """See ``FileStorage.download``."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """See ``FileStorage.read``."""
        path = self._path(key)
        with _translate_os_errors("read", path):
            if not path.is_file():
                raise MissingFileError.from_message(f"{path} does not exist")
            data = path.read_bytes()
        return data, _compute_etag(data)

    def download_file(self, key: str, target: Path) -> int:
        """See ``FileStorage.download_file``."""
        data = self.download(key)
        with _translate_os_errors("write", target), atomic_write(target) as stream:
            return stream.write(data)

    def delete(self, key: str) -> None:
        """See ``FileStorage.delete``."""
        path = self._path(key)
        with _translate_os_errors("delete", path):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # remove empty folders up to the first that is not empty
                for parent in path.relative_to(self.root).parents[:-1]:
                    (self.root / parent).rmdir()

    def create_link(self, key: str, ttl_minutes: float | None = None) -> Link:
        """See ``FileStorage.create_link``."""
        if self.find(key) is None:
            raise MissingFileError.from_message(f"{self._path(key)} does not exist")
        seconds = min(self._link_ttl_minutes if ttl_minutes is None else ttl_minutes, MAX_LINK_TTL_MINUTES) * 60
        expires = time.time() + seconds
        expires_text = f"{expires:.3f}"
        url = f"{self.base_url}/{quote(key)}?expires={expires_text}&signature={self._sign(key, expires_text)}"
        return Link(key, url, datetime.fromtimestamp(expires, UTC))

    def verify_link(self, url: str) -> str:
        """Return the key of a link (or of its path and query).  Raises InvalidLinkError if it is invalid or expired."""
        address = urlsplit(url)
        key = unquote(address.path.removeprefix(urlsplit(self.base_url).path)).lstrip("/")
        query = parse_qs(address.query)
        expires_text, signature = query.get("expires", [""])[0], query.get("signature", [""])[0]
        if not hmac.compare_digest(signature.encode(), self._sign(key, expires_text).encode()):
            raise InvalidLinkError.from_message("invalid link signature")
        if float(expires_text) <= time.time():
            raise InvalidLinkError.from_message("the link has expired", hint="request a new link")
        return validate_key(key)

    def _path(self, key: str) -> Path:
        if validate_key(key).split("/")[0] == INTERNAL_FOLDER:
            raise Problems.from_message(
                f"invalid file key {key!r}", hint=f"use another folder: {INTERNAL_FOLDER} is reserved"
            )
        return self.root / key

    def _matches_etag(self, key: str, expected_etag: str) -> bool:
        existing = self.find(key)
        return (
            existing is None
            if expected_etag == MUST_NOT_EXIST
            else existing is not None and existing.etag == expected_etag
        )

    def _describe_file(self, key: str, path: Path) -> StoredFile:
        data, status = path.read_bytes(), path.stat()
        return StoredFile(key, len(data), _compute_etag(data), datetime.fromtimestamp(status.st_mtime, UTC))

    @contextmanager
    def _lock_exclusively(self) -> Iterator[None]:
        """Allow one conditional write at a time, across all processes."""
        folder = self.root / INTERNAL_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sign(self, key: str, expires_text: str) -> str:
        return hmac.new(self._read_signing_key(), f"{key}\n{expires_text}".encode(), hashlib.sha256).hexdigest()

    def _read_signing_key(self) -> bytes:
        """Return the key that signs links; created once per folder, readable only by its owner."""
        path = self.root / INTERNAL_FOLDER / "secret"
        with _translate_os_errors("read", path):
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(secrets.token_hex(8))
                with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(secrets.token_bytes(32))
                try:
                    path.hardlink_to(temporary)  # if two processes create one, the first wins
                except FileExistsError:
                    pass
                finally:
                    temporary.unlink()
            return path.read_bytes()


@contextmanager
def _translate_os_errors(action: str, path: Path) -> Iterator[None]:
    """Raise Problems in place of OSError."""
    try:
        yield
    except OSError as error:
        raise Problems.from_message(f"cannot {action} {path}: {error.strerror or error}") from None


@contextmanager
def _no_lock() -> Iterator[None]:
    yield


def _compute_etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
