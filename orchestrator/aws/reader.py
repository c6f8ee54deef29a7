"""Read AWS.  Refuses every call that is not a read; identical reads are made only once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from orchestrator import interruption
from orchestrator.aws.errors import AwsError
from orchestrator.aws.s3_object import NO_BUCKET_CODE, object_exists, read_object
from orchestrator.steps import is_read


class AwsCaller(Protocol):
    """The part of the clients that the reader needs; tests inject their own."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any: ...

    def pages(
        self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None
    ) -> list[Any]: ...


class Reader:
    """Reads AWS for one snapshot.  Thread-safe: threads that make the same read share one call.

    ``pause`` waits between reads of an object that S3 does not show yet, in seconds.
    """

    def __init__(self, clients: AwsCaller, pause: Callable[[float], None] = interruption.pause) -> None:
        self._clients = clients
        self._pause = pause
        self._lock = threading.Lock()
        self._responses: dict[str, Future[Any]] = {}

    def get(
        self,
        service: str,
        operation: str,
        /,
        *,
        region: str | None = None,
        missing: tuple[str, ...] = (),
        **parameters: Any,
    ) -> Any:
        """Return the response of one read, or None if it fails with one of the ``missing`` error codes.

        Raises AwsError if the call fails, PermissionError if the operation is not a read.
        """
        return self._read_once(
            (service, operation, region, parameters),
            missing,
            lambda: self._clients.call(service, operation, parameters, region),
        )

    def all(
        self,
        service: str,
        operation: str,
        member: str,
        /,
        *,
        region: str | None = None,
        missing: tuple[str, ...] = (),
        **parameters: Any,
    ) -> list[Any]:
        """Return the items of ``member`` (a dotted path: ``DistributionList.Items``) over all pages of one read.

        Returns an empty list if the read fails with one of the ``missing`` error codes.  Raises AwsError if the call
        fails, PermissionError if the operation is not a read.
        """
        pages = self._read_once(
            (service, operation, region, parameters, "pages"),
            missing,
            lambda: self._clients.pages(service, operation, parameters, region),
        )
        return [item for page in pages or [] for item in _get_member(page, member)]

    def find_object(self, **parameters: Any) -> Any:
        """Return the response of GetObject, or None if there is no such object or bucket.  Raises AwsError."""
        return self._read_once(
            ("s3", "get_object", None, parameters, "object"),
            (NO_BUCKET_CODE,),
            lambda: read_object(self._clients, "get_object", parameters, pause=self._pause),
        )

    def has_object(self, **parameters: Any) -> bool:
        """Return whether an object exists, for HeadObject or for a listing.  Raises AwsError."""
        return bool(
            self._read_once(
                ("s3", "head_object", None, parameters, "exists"),
                (NO_BUCKET_CODE,),
                lambda: object_exists(self._clients, parameters),
            )
        )

    def _read_once(self, key: tuple[Any, ...], missing: tuple[str, ...], read: Callable[[], Any]) -> Any:
        if not is_read(key[1]):
            message = f"{key[0]}:{key[1]} is not a known read operation"
            raise PermissionError(message)
        try:
            return self._share_read(json.dumps(key, sort_keys=True), read)
        except AwsError as error:
            if error.code in missing:
                return None
            raise

    def _share_read(self, key: str, read: Callable[[], Any]) -> Any:
        with self._lock:
            future = self._responses.get(key)
            is_owner = future is None
            if future is None:
                future = self._responses[key] = Future()
        if is_owner:
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001 - waiting threads must get the error, whatever it is
                future.set_exception(error)
        return future.result()


def _get_member(page: Any, path: str) -> list[Any]:
    for name in path.split("."):
        page = (page or {}).get(name)
    return page or []
