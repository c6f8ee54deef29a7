"""Read an object of S3, or establish that there is none.

After versioning is enabled on a bucket for the first time, S3 may answer 404 for new objects for up to 15 minutes
(API reference of PutBucketVersioning).  So a 404 alone proves nothing: a listing decides.
API: S3 GetObject or HeadObject; ListObjectsV2 after a 404.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from orchestrator import interruption
from orchestrator.aws.errors import AwsError

NO_BUCKET_CODE = "NoSuchBucket"
NO_OBJECT_CODES = frozenset({"NoSuchKey", "404", "NotFound"})
"""HeadObject has no body: its 404 may also mean that there is no bucket, which the listing then says."""
NOT_FOUND_CODES = frozenset({NO_BUCKET_CODE, *NO_OBJECT_CODES})
NOT_VISIBLE_CODE = "ObjectNotVisible"
"""Our code for an object that exists, but that S3 does not return yet."""
PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between reads of an object that S3 does not show yet."""
_IDENTIFYING_PARAMETERS = ("Bucket", "ExpectedBucketOwner")


class Caller(Protocol):
    """The part of the clients that is needed here."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any: ...


def read_object(
    caller: Caller,
    operation: str,
    request: Mapping[str, Any],
    *,
    is_known: bool = False,
    pause: Callable[[float], None] = interruption.pause,
) -> Any:
    """Return the response of ``operation`` (``get_object``, ``head_object``), or None if the object does not exist.

    An object that a listing shows, or that ``is_known`` to exist, is read again, with pauses.
    Raises AwsError: with NO_BUCKET_CODE if there is no bucket, with NOT_VISIBLE_CODE if S3 does not return an existing
    object after a minute.
    """
    response = _read_once(caller, operation, request)
    if response is not None or (not is_known and not is_listed(caller, request)):
        return response
    for pause_seconds in PAUSES_SECONDS:
        pause(pause_seconds)
        if (response := _read_once(caller, operation, request)) is not None:
            return response
    message = f"s3://{request['Bucket']}/{request['Key']} exists, but S3 returned 404 for a minute"
    raise AwsError("s3", operation, NOT_VISIBLE_CODE, message)


def object_exists(caller: Caller, request: Mapping[str, Any]) -> bool:
    """Return whether HeadObject or a listing shows an object.

    Raises AwsError: with NO_BUCKET_CODE if there is no bucket.
    """
    return _read_once(caller, "head_object", request) is not None or is_listed(caller, request)


def is_listed(caller: Caller, request: Mapping[str, Any]) -> bool:
    """Return whether a listing shows the ``Key`` in the ``Bucket`` of a request.

    Raises AwsError: with NO_BUCKET_CODE if there is no bucket.
    """
    listing = {name: request[name] for name in _IDENTIFYING_PARAMETERS if name in request}
    # Of all keys that begin with this one, S3 lists it first.
    page = caller.call("s3", "list_objects_v2", {**listing, "Prefix": request["Key"], "MaxKeys": 1})
    return any(item["Key"] == request["Key"] for item in page.get("Contents") or ())


def _read_once(caller: Caller, operation: str, request: Mapping[str, Any]) -> Any:
    try:
        return caller.call("s3", operation, dict(request))
    except AwsError as error:
        if error.code not in NO_OBJECT_CODES:
            raise
        return None
