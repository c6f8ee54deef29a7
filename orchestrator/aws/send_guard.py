"""Ask whether a request may still be sent, at the last moment: right before its bytes go to the socket.

botocore's own last hook, ``before-send``, comes before it takes a connection and may have to open one.  That is time
enough for a stopped process to lose its lock, so connections ask again, and so do bodies that are read from files.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool


class SendGuard:
    """Asks before each request of a call whether it may be sent; one instance serves all threads and clients."""

    def __init__(self) -> None:
        self._calls = threading.local()

    @contextmanager
    def calling(self, before_send: Callable[[], None]) -> Iterator[None]:
        """Call ``before_send`` before each request that this thread sends within the ``with`` block.

        A call within another one, such as that of ``before_send`` itself, is asked by its own.  What ``before_send``
        raises is raised here, whatever botocore makes of it.
        """
        outer = getattr(self._calls, "current", None)
        current = self._calls.current = _GuardedCall(before_send)
        try:
            yield
        except Exception as error:
            if current.refusal is None or error is current.refusal:
                raise
            raise current.refusal from None
        finally:
            self._calls.current = outer

    def check(self, **_: Any) -> None:
        """Raise whatever the ``before_send`` of this thread's call raises; a hook for botocore's ``before-send``."""
        current: _GuardedCall | None = getattr(self._calls, "current", None)
        if current is not None:
            current.check()

    def install(self, client: Any) -> None:
        """Let the connections of a botocore client ask, too.

        botocore has no public way to name the classes of its connections; ``tests/aws/test_send_guard.py`` fails if
        this one is gone.
        """
        pool_classes = client._endpoint.http_session._pool_classes_by_scheme
        for scheme, pool_class in (("http", AWSHTTPConnectionPool), ("https", AWSHTTPSConnectionPool)):
            bases = (GuardedConnection, pool_class.ConnectionCls)
            connection_class = type("GuardedConnection", bases, {"check": staticmethod(self.check)})
            pool_classes[scheme] = type("GuardedPool", (pool_class,), {"ConnectionCls": connection_class})


class _GuardedCall:
    """What is asked for one call, and the exception with which it was refused."""

    def __init__(self, before_send: Callable[[], None]) -> None:
        self._before_send = before_send
        self.refusal: Exception | None = None

    def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        try:
            self._before_send()
        except Exception as error:
            self.refusal = error
            raise


class GuardedConnection:
    """A mixin for ``http.client.HTTPConnection``: it connects, then asks, then sends."""

    check: Callable[[], None]
    sock: Any
    connect: Callable[[], None]

    def send(self, data: Any) -> None:
        """Send a piece of a request.  Raises whatever ``check`` raises, and then sends nothing."""
        if self.sock is None:
            self.connect()
        self.check()
        super().send(data)  # type: ignore[misc]


class GuardedFile(io.FileIO):
    """A file whose every read is preceded by ``before_read``, so that a long upload ends where its run has to."""

    def __init__(self, path: Path, before_read: Callable[[], None]) -> None:
        super().__init__(path, "rb")
        self._before_read = before_read

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does.  Raises whatever ``before_read`` raises."""
        self._before_read()
        return super().read(-1 if size is None else size)
