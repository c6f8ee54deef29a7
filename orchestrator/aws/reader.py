"""Reading AWS.  Can make no call that is not on the read list; identical reads are made once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from orchestrator.aws.errors import AwsError
from orchestrator.steps import is_read


class AwsCaller(Protocol):
    """What the reader needs of the clients; tests give their own."""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any: ...

    def pages(
        self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None
    ) -> list[Any]: ...


class Reader:
    """One snapshot's eyes.  Thread-safe: a read that another thread has under way is waited for, not repeated."""

    def __init__(self, clients: AwsCaller) -> None:
        self._clients = clients
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
        """The answer of one read, or None when AWS answers with one of the ``missing`` codes.

        Raises AwsError; PermissionError for an operation that is not a read.
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
        """The items of ``member`` over all pages of one read (a dotted path: ``DistributionList.Items``).

        Raises as ``get`` does.
        """
        pages = self._read_once(
            (service, operation, region, parameters, "pages"),
            missing,
            lambda: self._clients.pages(service, operation, parameters, region),
        )
        return [item for page in pages or [] for item in _get_member(page, member)]

    def _read_once(self, key: tuple[Any, ...], missing: tuple[str, ...], read: Callable[[], Any]) -> Any:
        if not is_read(key[1]):
            message = f"{key[0]}:{key[1]} is not on the read list"
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
            except BaseException as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
                future.set_exception(error)
        return future.result()


def _get_member(page: Any, path: str) -> list[Any]:
    for name in path.split("."):
        page = (page or {}).get(name)
    return page or []
