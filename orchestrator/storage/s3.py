"""Files in a bucket.  API: S3 PutObject (AES256, If-Match), GetObject, HeadObject, ListObjectsV2, DeleteObject."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from orchestrator.aws.errors import BROKEN_OFF, AwsError
from orchestrator.aws.reader import Caller
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
from orchestrator.storage.content import Limits, named, suffix, validate

MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
PIECE = 1 << 20


class Signer(Caller, Protocol):
    """What is needed of the clients of AWS."""

    def presign(self, service: str, operation: str, parameters: dict[str, Any], seconds: int) -> str: ...


class S3FileStorage:
    """Files in one bucket, encrypted at rest; one instance serves all threads."""

    def __init__(self, caller: Signer, bucket: str, *, limits: Limits | None = None, minutes: float = MINUTES) -> None:
        self.bucket = bucket
        self._caller = caller
        self._limits = limits or Limits()
        self._minutes = minutes

    def __str__(self) -> str:
        return f"s3://{self.bucket}"

    def upload(self, content: bytes | Path, name: str, *, content_type: str = "", folder: str = "") -> str:
        """See ``FileStorage.upload``."""
        kind = validate(content, name, content_type, self._limits)
        key = proper(f"{folder.strip('/')}/{uuid.uuid4().hex}{suffix(name, kind)}".lstrip("/"))
        self.put(key, content, content_type=kind, over=NEW)
        return key

    def put(
        self, key: str, content: bytes | Path, *, content_type: str = "", cache: str = "", over: str | None = None
    ) -> Stored:
        """See ``FileStorage.put``."""
        size, checksum = _checksum(content)
        given: dict[str, Any] = {"Key": proper(key), "Body": content, "ChecksumSHA256": checksum}
        given |= {"ContentType": content_type or named(key), "ServerSideEncryption": "AES256"}
        given |= {"CacheControl": cache} if cache else {}
        given |= {} if over is None else {"IfNoneMatch": "*"} if over == NEW else {"IfMatch": f'"{over}"'}
        try:
            answer = self._caller.call("s3", "put_object", {"Bucket": self.bucket, **given})
        except AwsError as error:
            if over is not None and error.code in LOST | MISSING:
                raise ConflictError.one(
                    f"{self}/{key} was written by somebody else", hint="nothing was written: look at it and try again"
                ) from None
            raise self._trouble("write", key, error) from None
        return Stored(key, size, str(answer.get("ETag", "")).strip('"'), datetime.now(UTC))

    def find(self, key: str) -> Stored | None:
        """See ``FileStorage.find``."""
        try:
            answer = self._caller.call("s3", "head_object", {"Bucket": self.bucket, "Key": proper(key)})
        except AwsError as error:
            if error.code in MISSING:
                return None
            raise self._trouble("look at", key, error) from None
        return Stored(key, answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"])

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See ``FileStorage.list``."""
        try:
            pages = self._caller.pages("s3", "list_objects_v2", {"Bucket": self.bucket, "Prefix": prefix})
        except AwsError as error:
            raise self._trouble("list", f"{prefix}*", error) from None
        for page in pages:
            for item in page.get("Contents") or ():
                if not item["Key"].endswith("/"):  # what consoles make for an empty folder
                    yield Stored(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def download(self, key: str) -> bytes:
        """See ``FileStorage.download``."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """See ``FileStorage.read``."""
        answer = self._get(key)
        with closing(answer["Body"]) as body:
            return _whole(body.read, answer, f"{self}/{key}"), answer["ETag"].strip('"')

    def fetch(self, key: str, target: Path) -> int:
        """See ``FileStorage.fetch``."""
        answer = self._get(key)
        with closing(answer["Body"]) as body, partial(target) as stream:
            size: int = _whole(lambda: _copy(body, stream), answer, f"{self}/{key}")
            return size

    def delete(self, key: str) -> None:
        """See ``FileStorage.delete``."""
        try:
            self._caller.call("s3", "delete_object", {"Bucket": self.bucket, "Key": proper(key)})
        except AwsError as error:
            if error.code not in MISSING:
                raise self._trouble("delete", key, error) from None

    def link(self, key: str, minutes: float | None = None) -> Link:
        """See ``FileStorage.link``; a link of temporary credentials ends with them, whatever it says."""
        if self.find(key) is None:
            raise self._missing(key)
        seconds = round(min(self._minutes if minutes is None else minutes, MOST_MINUTES) * 60)
        wanted = {"Bucket": self.bucket, "Key": key}
        try:
            url = self._caller.presign("s3", "get_object", wanted, seconds)
        except AwsError as error:
            raise self._trouble("sign a link to", key, error) from None
        return Link(key, url, datetime.now(UTC) + timedelta(seconds=seconds))

    def _get(self, key: str) -> Any:
        try:
            return self._caller.call("s3", "get_object", {"Bucket": self.bucket, "Key": proper(key)})
        except AwsError as error:
            if error.code in MISSING:
                raise self._missing(key) from None
            raise self._trouble("read", key, error) from None

    def _missing(self, key: str) -> MissingFileError:
        return MissingFileError.one(f"there is no {self}/{key}")

    def _trouble(self, deed: str, key: str, error: AwsError) -> Problems:
        hints = {
            "NoSuchBucket": "see what the manifests make: orchestrator plan",
            "NoCredentials": "log in first: aws sso login, or set AWS_PROFILE",
            "Unreachable": "look at the network and at AWS_REGION, then try again",
        }
        hint = "the role in use lacks the permission" if error.is_denied else hints.get(error.code)
        return Problems.one(f"cannot {deed} {self}/{key}: {error}", hint=hint)


def _copy(body: Any, stream: Any) -> int:
    size = 0
    for piece in body.iter_chunks(PIECE):
        size += stream.write(piece)
    return size


def _whole(read: Any, answer: Any, where: str) -> Any:
    """What ``read`` has read, when that is all there is.  Raises Problems: the line broke."""
    try:
        found = read()
    except BROKEN_OFF as error:
        raise Problems.one(f"{where} broke off while it was read: {type(error).__name__}", hint="try again") from None
    size = found if isinstance(found, int) else len(found)
    if size != answer["ContentLength"]:
        raise Problems.one(f"{where} broke off after {size:,} of {answer['ContentLength']:,} bytes", hint="try again")
    return found


def _checksum(content: bytes | Path) -> tuple[int, str]:
    """Size and SHA-256 as S3 wants it."""
    if isinstance(content, bytes):
        return len(content), base64.b64encode(hashlib.sha256(content).digest()).decode()
    with content.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return content.stat().st_size, base64.b64encode(digest).decode()
