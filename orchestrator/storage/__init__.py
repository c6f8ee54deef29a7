"""Store files in a bucket or in a folder through one protocol.  API: see the modules ``s3`` and ``local``.

``S3FileStorage`` and ``LocalFileStorage`` behave the same (``tests/storage`` runs the same tests on both); the
application's setting ``FileStorage:Type`` selects one.  May know: AWS through ``orchestrator.aws``.  May not: know what
the files are for.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.storage.content_types import UploadLimits

if TYPE_CHECKING:
    from orchestrator.storage.s3 import PresigningCaller

DEFAULT_LINK_TTL_MINUTES = 60
"""Default lifetime of a link."""
MAX_LINK_TTL_MINUTES = 7 * 24 * 60
"""S3 presigns links for at most one week."""
MUST_NOT_EXIST = "*"
"""A value of ``expected_etag`` in ``put``: write only if the key does not exist."""
KEY_PATTERN = re.compile(r"[^/\\\x00-\x1f\x7f]+(/[^/\\\x00-\x1f\x7f]+)*")


class MissingFileError(Problems):
    """The file does not exist."""


class ConflictError(Problems):
    """Another writer changed the file first; nothing was written."""


class StoredFile(Struct, frozen=True):
    """A stored file: size in bytes; ``etag`` identifies the content (its MD5, as in S3)."""

    key: str
    size: int
    etag: str
    modified: datetime


class Link(Struct, frozen=True):
    """A URL with which anyone can read one file until ``expires`` (UTC)."""

    key: str
    url: str
    expires: datetime

    def __repr__(self) -> str:
        """Return a text without the URL, which grants access and must not be logged."""
        return f"Link({self.key!r}, expires {self.expires.isoformat(timespec='seconds')})"


class FileStorage(Protocol):
    """A file store.  Keys look like paths (``product-photos/12/a.jpg``); all methods may raise Problems."""

    def upload(self, content: bytes | Path, name: str, *, content_type: str = "", folder: str = "") -> str:
        """Store an uploaded file under a new unique key and return the key.

        Only the extension of ``name`` is kept.  Type and size are checked by content (``UploadLimits``).
        """

    def put(
        self,
        key: str,
        content: bytes | Path,
        *,
        content_type: str = "",
        cache_control: str = "",
        expected_etag: str | None = None,
    ) -> StoredFile:
        """Write a file under this key atomically.

        ``expected_etag`` is the etag of the file that it may replace, or MUST_NOT_EXIST; ``cache_control`` is a
        Cache-Control header.  Raises ConflictError if the key has other content.
        """

    def find(self, key: str) -> StoredFile | None:
        """Return the file under a key, or None."""

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Yield every file whose key begins with ``prefix``, sorted by key."""

    def download(self, key: str) -> bytes:
        """Return the bytes of a file.  Raises MissingFileError if it does not exist."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Return the bytes and the etag of a file.  Raises MissingFileError if it does not exist."""

    def download_file(self, key: str, target: Path) -> int:
        """Write a file to ``target`` atomically and return its size.  Raises MissingFileError if it does not exist."""

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""

    def create_link(self, key: str, ttl_minutes: float | None = None) -> Link:
        """Return a link to a file.  Raises MissingFileError, because a broken link would be noticed much later."""


SETTING_ALIASES = {
    "aws:s3:bucketname": "filestorage:bucketname",
    "aws:s3:presignedurlexpirationminutes": "filestorage:urlminutes",
    "aws:s3:region": "filestorage:region",
    "aws:region": "filestorage:region",
}
"""Settings of the shop's application, by what they are called here; the first that is set counts."""


def from_settings(settings: Mapping[str, str], caller: PresigningCaller | None = None) -> FileStorage:
    """Return the storage that the application's settings describe.

    Reads ``FileStorage:Type`` (``S3``, or ``Local``, which is the default), ``:BucketName`` and ``:Region``, ``:Path``
    and ``:BaseUrl``, ``:UrlMinutes``, ``:MaxBytes``, or the names that the shop's application uses for the same
    (``SETTING_ALIASES``); environment variables use ``__`` for ``:``.  ``caller`` replaces the AWS clients.

    Raises Problems if a setting is missing or invalid.
    """
    options = {name.replace("__", ":").lower(): value for name, value in settings.items()}
    for alias, name in SETTING_ALIASES.items():
        options[name] = options.get(name) or options.get(alias, "")
    options["filestorage:type"] = options.get("filestorage:type") or "Local"
    limits = UploadLimits(max_bytes=int(_get_number(options, "MaxBytes", UploadLimits().max_bytes)))
    link_ttl_minutes = _get_number(options, "UrlMinutes", DEFAULT_LINK_TTL_MINUTES)
    match options.get("filestorage:type", "").lower():
        case "s3":
            from orchestrator.aws import Clients
            from orchestrator.storage.s3 import S3FileStorage

            region = options.get("filestorage:region") or "eu-west-1"
            return S3FileStorage(
                caller or Clients(region),
                _get_required(options, "BucketName"),
                limits=limits,
                link_ttl_minutes=link_ttl_minutes,
            )
        case "local":
            from orchestrator.storage.local import LocalFileStorage

            base_url = options.get("filestorage:baseurl", "")
            return LocalFileStorage(
                Path(_get_required(options, "Path")),
                base_url=base_url,
                limits=limits,
                link_ttl_minutes=link_ttl_minutes,
            )
        case unknown_type:
            raise Problems.from_message(
                f"FileStorage:Type is {unknown_type!r}", hint="set it to S3 or Local, or omit it for Local"
            )


@contextmanager
def atomic_write(target: Path) -> Iterator[BinaryIO]:
    """Yield a stream to a temporary file that replaces ``target`` at the end, or is removed on an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[-80:]}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def validate_key(key: str) -> str:
    """Return ``key``.  Raises Problems if it is empty, absolute, or has ``..``, backslashes or control characters."""
    if not KEY_PATTERN.fullmatch(key) or {".", ".."} & set(key.split("/")) or len(key.encode()) > 1024:
        raise Problems.from_message(
            f"invalid file key {key!r}", hint="use a relative path such as product-photos/12/front.jpg"
        )
    return key


def _get_required(options: Mapping[str, str], name: str) -> str:
    value = options.get(f"filestorage:{name.lower()}", "")
    if not value:
        kind = options["filestorage:type"]
        raise Problems.from_message(
            f"FileStorage:{name} is not set", hint=f"set it: FileStorage:Type {kind} requires it"
        )
    return value


def _get_number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(f"filestorage:{name.lower()}", "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0
    if number <= 0:
        raise Problems.from_message(f"FileStorage:{name} is {text!r}", hint="set it to a number greater than 0")
    return number
