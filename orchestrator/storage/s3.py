"""Store files in a bucket.

API: S3 PutObject (AES256, If-Match), GetObject, HeadObject, ListObjectsV2, DeleteObject.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from orchestrator.aws.errors import BODY_READ_ERRORS, AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.aws.s3_object import NO_OBJECT_CODES, read_object
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
from orchestrator.storage.content_types import UploadLimits, choose_suffix, type_from_name, validate

CONFLICT_CODES = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
CHUNK_BYTES = 1 << 20


class PresigningCaller(AwsCaller, Protocol):
    """The part of the AWS clients that the storage needs."""

    def presign(self, service: str, operation: str, parameters: dict[str, Any], seconds: int) -> str: ...


class S3FileStorage:
    """Files in one bucket, encrypted at rest; one instance serves all threads."""

    def __init__(
        self,
        caller: PresigningCaller,
        bucket: str,
        *,
        limits: UploadLimits | None = None,
        link_ttl_minutes: float = DEFAULT_LINK_TTL_MINUTES,
    ) -> None:
        self.bucket = bucket
        self._caller = caller
        self._limits = limits or UploadLimits()
        self._link_ttl_minutes = link_ttl_minutes

    def __str__(self) -> str:
        return f"s3://{self.bucket}"

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
        """See ``FileStorage.put``."""
        size, checksum = _compute_checksum(content)
        parameters: dict[str, Any] = {"Key": validate_key(key), "Body": content, "ChecksumSHA256": checksum}
        parameters |= {"ContentType": content_type or type_from_name(key), "ServerSideEncryption": "AES256"}
        parameters |= {"CacheControl": cache_control} if cache_control else {}
        parameters |= (
            {}
            if expected_etag is None
            else {"IfNoneMatch": "*"}
            if expected_etag == MUST_NOT_EXIST
            else {"IfMatch": f'"{expected_etag}"'}
        )
        try:
            response = self._caller.call("s3", "put_object", {"Bucket": self.bucket, **parameters})
        except AwsError as error:
            if expected_etag is not None and error.code in CONFLICT_CODES | NO_OBJECT_CODES:
                raise ConflictError.from_message(
                    f"{self}/{key} was changed by another writer", hint="read it again and retry; nothing was written"
                ) from None
            raise self._describe_error("write", key, error) from None
        return StoredFile(key, size, str(response.get("ETag", "")).strip('"'), datetime.now(UTC))

    def find(self, key: str) -> StoredFile | None:
        """See ``FileStorage.find``."""
        response = self._read_object("head_object", key)
        if response is None:
            return None
        return StoredFile(key, response["ContentLength"], response["ETag"].strip('"'), response["LastModified"])

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See ``FileStorage.list``."""
        try:
            pages = self._caller.pages("s3", "list_objects_v2", {"Bucket": self.bucket, "Prefix": prefix})
        except AwsError as error:
            raise self._describe_error("list", f"{prefix}*", error) from None
        for page in pages:
            for item in page.get("Contents") or ():
                if not item["Key"].endswith("/"):  # consoles create these for empty folders
                    yield StoredFile(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def download(self, key: str) -> bytes:
        """See ``FileStorage.download``."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, str]:
        """See ``FileStorage.read``."""
        response = self._get_object(key)
        with closing(response["Body"]) as body:
            return _read_complete(body.read, response, f"{self}/{key}"), response["ETag"].strip('"')

    def download_file(self, key: str, target: Path) -> int:
        """See ``FileStorage.download_file``."""
        response = self._get_object(key)
        with closing(response["Body"]) as body, atomic_write(target) as stream:
            size: int = _read_complete(lambda: _copy_chunks(body, stream), response, f"{self}/{key}")
            return size

    def delete(self, key: str) -> None:
        """See ``FileStorage.delete``."""
        try:
            self._caller.call("s3", "delete_object", {"Bucket": self.bucket, "Key": validate_key(key)})
        except AwsError as error:
            if error.code not in NO_OBJECT_CODES:
                raise self._describe_error("delete", key, error) from None

    def create_link(self, key: str, ttl_minutes: float | None = None) -> Link:
        """See ``FileStorage.create_link``; a link signed with temporary credentials expires with them at the latest."""
        if self.find(key) is None:
            raise self._missing_file_error(key)
        seconds = round(min(self._link_ttl_minutes if ttl_minutes is None else ttl_minutes, MAX_LINK_TTL_MINUTES) * 60)
        parameters = {"Bucket": self.bucket, "Key": key}
        try:
            url = self._caller.presign("s3", "get_object", parameters, seconds)
        except AwsError as error:
            raise self._describe_error("sign a link to", key, error) from None
        return Link(key, url, datetime.now(UTC) + timedelta(seconds=seconds))

    def _get_object(self, key: str) -> Any:
        response = self._read_object("get_object", key)
        if response is None:
            raise self._missing_file_error(key)
        return response

    def _read_object(self, operation: str, key: str) -> Any:
        """Return S3's response, or None if the object does not exist.  Raises Problems."""
        try:
            return read_object(self._caller, operation, {"Bucket": self.bucket, "Key": validate_key(key)})
        except AwsError as error:
            raise self._describe_error("read", key, error) from None

    def _missing_file_error(self, key: str) -> MissingFileError:
        return MissingFileError.from_message(f"{self}/{key} does not exist")

    def _describe_error(self, action: str, key: str, error: AwsError) -> Problems:
        hints = {
            "NoSuchBucket": "check which buckets the manifests define: orchestrator plan",
            "NoCredentials": "log in with `aws sso login`, or set AWS_PROFILE",
            "Unreachable": "check the network and AWS_REGION, then try again",
        }
        permission_hint = f"grant {error.iam_actions} to the credentials in use" if error.is_denied else None
        hint = error.advice or permission_hint or hints.get(error.code)
        return Problems.from_message(f"cannot {action} {self}/{key}: {error}", hint=hint)


def _copy_chunks(body: Any, stream: Any) -> int:
    size = 0
    for block in body.iter_chunks(CHUNK_BYTES):
        size += stream.write(block)
    return size


def _read_complete(read: Any, response: Any, source: str) -> Any:
    """Return the result of ``read``.  Raises Problems if the connection broke before the end."""
    try:
        content = read()
    except BODY_READ_ERRORS as error:
        raise Problems.from_message(
            f"the connection broke while reading {source}: {type(error).__name__}", hint="try again"
        ) from None
    size = content if isinstance(content, int) else len(content)
    if size != response["ContentLength"]:
        raise Problems.from_message(
            f"{source} is incomplete: read {size:,} of {response['ContentLength']:,} bytes", hint="try again"
        )
    return content


def _compute_checksum(content: bytes | Path) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 in base64, as S3 expects it."""
    if isinstance(content, bytes):
        return len(content), base64.b64encode(hashlib.sha256(content).digest()).decode()
    with content.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    return content.stat().st_size, base64.b64encode(digest).decode()
