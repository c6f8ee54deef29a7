"""A TCP connection that lies, breaks off or falls silent, between PostgreSQL's programs and a server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Change = Callable[[bytes, int], bytes | None]
"""What becomes of bytes from the server, with the number of those before; None breaks the connection off."""


def break_off_after(count: int) -> Change:
    """Break every connection off once the server has sent so many bytes in all."""
    return lambda data, before: data if before + len(data) <= count else None


def replace_text(old: bytes, new: bytes) -> Change:
    """Change what is read, as a broken switch or an attacker does; the length stays."""
    assert len(old) == len(new)
    return lambda data, before: data.replace(old, new)


@contextmanager
def run_proxy(port: int, change: Change) -> Iterator[int]:
    """Yield the port of a proxy before the server at ``port`` of loopback; ``change`` sees what the server sends."""
    proxy = _Proxy(port, change)
    accepting = threading.Thread(target=proxy.accept)
    accepting.start()
    try:
        yield proxy.listener.getsockname()[1]
    finally:
        proxy.close()
        for thread in (accepting, *proxy.threads):
            thread.join()


class _Proxy:
    def __init__(self, port: int, change: Change) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads: list[threading.Thread] = []
        self._port = port
        self._change = change
        self._sent = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = [self.listener]

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                for origin, goal, is_server in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=self._forward, args=(origin, goal, is_server))
                    self.threads.append(thread)
                    thread.start()

    def _forward(self, origin: socket.socket, goal: socket.socket, is_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := origin.recv(65536):
                if is_server:
                    with self._lock:
                        changed = self._change(data, self._sent)
                        self._sent += len(data)
                    if changed is None:
                        break
                    data = changed
                goal.sendall(data)
        _shut(origin, goal)

    def close(self) -> None:
        _shut(*self._sockets)
        for each in self._sockets:
            each.close()


def _shut(*sockets: socket.socket) -> None:
    """End the waits of other threads, which a close alone does not."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
