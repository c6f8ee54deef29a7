"""The HTTP server: connections on loopback in, one response each out.  Knows HTTP and threads, not AWS.

Plain HTTP/1.1 with keep-alive, a thread a connection.  It binds 127.0.0.1 only.  A handler may answer None: the
connection is then reset, as by a peer that died.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import BinaryIO

from orchestrator.emulator.http_messages import Request, Response

Handle = Callable[[Request], Response | None]

_REASONS = {200: "OK", 204: "No Content", 304: "Not Modified", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_BACKLOG = 128
_BODILESS = (204, 304)


TLS_HANDSHAKE = b"\x16"
"""What a TLS connection begins with."""


class Gateway:
    """One listening socket on 127.0.0.1 and the threads that serve its connections."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.port = 0

    def open(self, port: int) -> None:
        """Listen on a port (0 for any free one) and serve.  Raises OSError when it is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._listener, self.port = listener, listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="emulator-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, cut every connection and wait for the threads."""
        listener, acceptor = self._listener, self._acceptor
        self._listener = self._acceptor = None
        if listener is None or acceptor is None:
            return
        # A blocked accept() is only woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        with self._lock:
            open_connections = dict(self._connections)
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in open_connections.values():
            if thread is not threading.current_thread():
                thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name="emulator-connection", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                while self._exchange(connection, stream):
                    pass
        except (OSError, ValueError):
            pass  # the client went away, or spoke no HTTP: there is nobody to tell
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _exchange(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answer one request; whether the connection lives on."""
        head = read_head(stream)
        if head is None:
            return False
        method, target, headers = head
        named = {name.lower(): value for name, value in headers}
        if named.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = read_body(stream, named)
        response = self._handle(Request(method, target, tuple(headers), body))
        if response is None:
            # Linger 0 turns the close into a TCP reset, which is what a crash looks like from outside.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        keep = named.get("connection", "").lower() != "close"
        connection.sendall(written(response, method, keep))
        return keep


def read_head(stream: BinaryIO) -> tuple[str, str, list[tuple[str, str]]] | None:
    """Method, target and headers of the next request; None at the end of the connection, or where TLS begins on it.

    Clients of registries try TLS first, also on loopback, and would wait for the rest of a line that never comes.
    """
    first = stream.read(1)
    if first == TLS_HANDSHAKE:
        return None
    line = first + stream.readline(65537)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(maxsplit=2)
    headers = []
    while (line := stream.readline(65537)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    return method, target, headers


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    """The whole body, by length or chunked."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("content-length") or 0))
    parts = []
    while size := int(stream.readline().partition(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    while stream.readline().strip():
        pass
    return b"".join(parts)


def written(response: Response, method: str, keep: bool) -> bytes:
    """A response as it goes over the wire."""
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    length = len(response.body) if response.length is None else response.length
    if response.status not in _BODILESS:
        lines.append(f"Content-Length: {length}")
    if not keep:
        lines.append("Connection: close")
    body = b"" if method == "HEAD" or response.status in _BODILESS else response.body
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
