"""S3 in memory, as several writers meet it: one call at a time, conditions checked as AWS documents them.

PutObject: ``If-None-Match: *`` fails with 412 if the key exists; ``If-Match`` fails with 412 if the ETag is another and
with 404 if there is no object.  DeleteObject: ``If-Match`` fails with 412 if the ETag is another (Amazon S3 User Guide,
"How to perform conditional writes", "How to perform conditional deletes").
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from orchestrator.aws import AwsError


class ObjectStore:
    """The objects of one bucket; ``pause`` is called before each call, ``clock`` is that of S3 (Unix seconds)."""

    def __init__(self, pause: Callable[[], None], clock: Callable[[], float] = lambda: 0.0) -> None:
        self._pause = pause
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self.objects: dict[str, bytes] = {}

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self._pause()
        key = parameters.get("Key", "")
        stored = self.objects.get(key)
        match operation:
            case "get_object":
                if stored is None:
                    raise AwsError(service, operation, "NoSuchKey", "The specified key does not exist.")
                written_at = datetime.fromtimestamp(self._written_at.get(key, 0.0), UTC)
                headers = {"HTTPHeaders": {"date": formatdate(self._clock(), usegmt=True)}}
                body = io.BytesIO(stored)
                return {"Body": body, "ETag": etag(stored), "LastModified": written_at, "ResponseMetadata": headers}
            case "put_object":
                self._check_conditions(operation, parameters, stored)
                self.objects[key] = parameters["Body"]
                self._written_at[key] = self._clock()
                return {}
            case "delete_object":
                if stored is not None:
                    self._check_conditions(operation, parameters, stored)
                    del self.objects[key]
                return {}
            case "list_objects_v2":
                keys = sorted(name for name in self.objects if name.startswith(parameters["Prefix"]))
                return {"Contents": [{"Key": name} for name in keys[: parameters["MaxKeys"]]]}
        raise ValueError(f"{operation} is no operation of this S3")

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        assert operation == "list_objects_v2"
        self._pause()
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(parameters["Prefix"])]}]

    def _check_conditions(self, operation: str, parameters: dict[str, Any], stored: bytes | None) -> None:
        if parameters.get("IfNoneMatch") == "*" and stored is not None:
            raise AwsError("s3", operation, "PreconditionFailed", "At least one of the pre-conditions did not hold")
        if (expected := parameters.get("IfMatch")) is not None:
            if stored is None:
                raise AwsError("s3", operation, "NoSuchKey", "The specified key does not exist.")
            if expected != etag(stored):
                raise AwsError("s3", operation, "PreconditionFailed", "At least one of the pre-conditions did not hold")


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
