"""Files of a shop, in a bucket or in a folder, behind one small protocol.  API: what ``s3`` and ``local`` name.

``S3FileStorage`` and ``LocalFileStorage`` keep the same promises (``tests/storage`` asks both the same questions);
``FileStorage:Type`` of the application's own settings chooses.  May know: AWS through ``orchestrator.aws``.  May not:
know what the files are for.
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
"""How long a link is good for, unless told otherwise."""
MAX_LINK_TTL_MINUTES = 7 * 24 * 60
"""S3 signs links for a week at most."""
MUST_NOT_EXIST = "*"
"""A condition of ``put``: only where there is nothing yet."""
KEY_PATTERN = re.compile(r"[^/\\\x00-\x1f\x7f]+(/[^/\\\x00-\x1f\x7f]+)*")


class MissingFileError(Problems):
    """There is no file of that key."""


class ConflictError(Problems):
    """Somebody else wrote the file first: nothing was written."""


class StoredFile(Struct, frozen=True):
    """A file that is kept: size in bytes; ``etag`` differs when the content does (its MD5, as S3 has it)."""

    key: str
    size: int
    etag: str
    modified: datetime


class Link(Struct, frozen=True):
    """An address by which anybody may read one file until ``expires`` (UTC)."""

    key: str
    url: str
    expires: datetime

    def __repr__(self) -> str:
        """Without the address: whoever has it may read the file, so it goes into no log."""
        return f"Link({self.key!r}, expires {self.expires.isoformat(timespec='seconds')})"


class FileStorage(Protocol):
    """Where files are kept.  Keys look like paths (``product-photos/12/a.jpg``); all methods may raise Problems."""

    def upload(self, content: bytes | Path, name: str, *, content_type: str = "", folder: str = "") -> str:
        """Keep a file that somebody handed in under a key that nothing else has; that key.

        ``name`` gives the extension and is otherwise not kept.  Type and size are checked by content (``Limits``).
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
        """Write a file under this key: whole, or not at all.

        ``over`` is the etag of what it may take the place of, or NEW; ``cache`` is a Cache-Control header.
        Raises ConflictError when something else is there.
        """

    def find(self, key: str) -> StoredFile | None:
        """What is kept under a key, or None."""

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Every file whose key begins with ``prefix``, by key."""

    def download(self, key: str) -> bytes:
        """The bytes of a file.  Raises MissingFileError."""

    def read(self, key: str) -> tuple[bytes, str]:
        """The bytes and the etag under which they were read.  Raises MissingFileError."""

    def download_file(self, key: str, target: Path) -> int:
        """Write a file to ``target``, which is never there half; its size.  Raises MissingFileError."""

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is deleted already."""

    def create_link(self, key: str, ttl_minutes: float | None = None) -> Link:
        """A link to a file.  Raises MissingFileError: a link to nothing would be found out much later."""


def from_settings(settings: Mapping[str, str], caller: PresigningCaller | None = None) -> FileStorage:
    """The storage that the application's settings describe.

    Read are ``FileStorage:Type`` (``S3`` or ``Local``), ``:BucketName`` and ``:Region``, ``:Path`` and ``:BaseUrl``,
    ``:UrlMinutes``, ``:MaxBytes``; in an environment ``:`` is written ``__``.  ``caller`` stands for AWS's clients.

    Raises Problems: a setting is missing or makes no sense.
    """
    options = {name.replace("__", ":").lower(): value for name, value in settings.items()}
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
                f"FileStorage:Type is {unknown_type or 'not set'}", hint="set it to S3 or Local"
            )


@contextmanager
def atomic_write(target: Path) -> Iterator[BinaryIO]:
    """A stream beside ``target`` that takes its place at the end, and leaves nothing when it does not come so far."""
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
    """``key``, when it is one.  Raises Problems: empty, absolute, with ``..``, backslashes or control characters."""
    if not KEY_PATTERN.fullmatch(key) or {".", ".."} & set(key.split("/")) or len(key.encode()) > 1024:
        raise Problems.from_message(f"{key!r} is no key of a file", hint="a key looks like product-photos/12/front.jpg")
    return key


def _get_required(options: Mapping[str, str], name: str) -> str:
    value = options.get(f"filestorage:{name.lower()}", "")
    if not value:
        kind = options["filestorage:type"]
        raise Problems.from_message(f"FileStorage:{name} is not set", hint=f"FileStorage:Type {kind} needs it")
    return value


def _get_number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(f"filestorage:{name.lower()}", "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0
    if number <= 0:
        raise Problems.from_message(f"FileStorage:{name} is {text!r}", hint="it has to be a number above 0")
    return number
