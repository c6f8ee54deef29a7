"""Read the SHA-256 that S3 keeps of an object, or compute it from the object's bytes where S3 keeps none.

API: S3 HeadObject with ChecksumMode, GetObject. A checksum of parts (``...-3``) says nothing about the whole.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing

from msgspec import Struct

from orchestrator.aws.errors import BODY_READ_ERRORS, AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.aws.s3_object import read_object
from orchestrator.problems import Problems

CHUNK_BYTES = 1 << 20


class StoredObject(Struct, frozen=True):
    """What S3 has under a key: size in bytes, SHA-256 in hexadecimal, content type, and ETag."""

    size: int
    sha256: str
    content_type: str
    etag: str


def read_stored(caller: AwsCaller, bucket: str, key: str) -> StoredObject | None:
    """Return the object under a key, or None if there is none. Raises Problems."""
    request = {"Bucket": bucket, "Key": key}
    try:
        head = read_object(caller, "head_object", {**request, "ChecksumMode": "ENABLED"})
        if head is None:
            return None
        checksum = str(head.get("ChecksumSHA256", ""))
        is_full_object = (
            bool(checksum) and "-" not in checksum and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        )
        digest = (
            base64.b64decode(checksum).hex()
            if is_full_object
            else _compute(caller, {**request, "IfMatch": head["ETag"]})
        )
    except AwsError as error:
        raise Problems.from_message(
            f"cannot read s3://{bucket}/{key}: {error}", hint=error.advice or "run the same command again"
        ) from None
    except BODY_READ_ERRORS as error:
        message = f"s3://{bucket}/{key} was not received completely ({type(error).__name__})"
        raise Problems.from_message(message, hint="run the same command again") from None
    return StoredObject(int(head["ContentLength"]), digest, str(head.get("ContentType", "")), str(head["ETag"]))


def _compute(caller: AwsCaller, request: dict[str, str]) -> str:
    digest = hashlib.sha256()
    with closing(caller.call("s3", "get_object", request)["Body"]) as body:
        for block in body.iter_chunks(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()
