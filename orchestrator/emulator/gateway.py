"""Serve HTTP on a loopback port: read each request, pass it to a handler, write the response. Knows no AWS.

Plain HTTP/1.1 with keep-alive, one thread per connection, bound to 127.0.0.1 only. A handler may return None: the
gateway then resets the connection, as if the peer had died.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import BinaryIO

from orchestrator.emulator.http_messages import Request, Response

RequestHandler = Callable[[Request], Response | None]

_REASON_PHRASES = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
}
_LISTEN_BACKLOG = 128
_BODILESS_CODES = (204, 304)


TLS_HANDSHAKE_BYTE = b"\x16"
"""The first byte of a TLS connection."""


class Gateway:
    """A listening socket on 127.0.0.1 and the threads that serve its connections."""

    def __init__(self, handle: RequestHandler) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._threads_by_connection: dict[socket.socket, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._accept_thread: threading.Thread | None = None
        self.port = 0

    def open(self, port: int) -> None:
        """Listen on a port (0 for any free one) and serve. Raises OSError if the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(_LISTEN_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._listener, self.port = listener, listener.getsockname()[1]
        self._accept_thread = threading.Thread(
            target=self._accept_connections, args=(listener,), name="emulator-accept", daemon=True
        )
        self._accept_thread.start()

    def close(self) -> None:
        """Stop listening, cut every connection and wait for the threads."""
        listener, accept_thread = self._listener, self._accept_thread
        self._listener = self._accept_thread = None
        if listener is None or accept_thread is None:
            return
        # A blocked accept() is only woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accept_thread.join()
        with self._lock:
            open_connections = dict(self._threads_by_connection)
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in open_connections.values():
            if thread is not threading.current_thread():
                thread.join()

    def _accept_connections(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(
                target=self._serve_connection, args=(connection,), name="emulator-connection", daemon=True
            )
            with self._lock:
                self._threads_by_connection[connection] = thread
            thread.start()

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                while self._serve_request(connection, stream):
                    pass
        except (OSError, ValueError):
            pass  # the client disconnected or does not speak HTTP: there is no one to answer
        finally:
            with self._lock:
                self._threads_by_connection.pop(connection, None)
            connection.close()

    def _serve_request(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answer one request; return whether to keep the connection open."""
        head = read_head(stream)
        if head is None:
            return False
        method, target, headers = head
        headers_by_name = {name.lower(): value for name, value in headers}
        if headers_by_name.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = read_body(stream, headers_by_name)
        response = self._handle(Request(method, target, tuple(headers), body))
        if response is None:
            # Linger 0 turns the close into a TCP reset, which is what a crash looks like from outside.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        keep_alive = headers_by_name.get("connection", "").lower() != "close"
        connection.sendall(serialise_response(response, method, keep_alive))
        return keep_alive


def read_head(stream: BinaryIO) -> tuple[str, str, list[tuple[str, str]]] | None:
    """Return method, target and headers of the next request; None at end of stream or if TLS starts.

    Registry clients try TLS first, even on loopback, and would wait forever for a line that never ends.
    """
    first_byte = stream.read(1)
    if first_byte == TLS_HANDSHAKE_BYTE:
        return None
    line = first_byte + stream.readline(65537)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(maxsplit=2)
    headers = []
    while (line := stream.readline(65537)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    return method, target, headers


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    """Return the whole body, by content length or chunked."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("content-length") or 0))
    chunks = []
    while size := int(stream.readline().partition(b";")[0], 16):
        chunks.append(stream.read(size))
        stream.readline()
    while stream.readline().strip():
        pass
    return b"".join(chunks)


def serialise_response(response: Response, method: str, keep_alive: bool) -> bytes:
    """Return the bytes of a response."""
    head_lines = [f"HTTP/1.1 {response.status} {_REASON_PHRASES.get(response.status, 'Status')}"]
    head_lines += [f"{name}: {value}" for name, value in response.headers]
    if "date" not in {name.lower() for name, _ in response.headers}:  # AWS sends one with every response
        head_lines.append(f"Date: {formatdate(usegmt=True)}")
    length = len(response.body) if response.length is None else response.length
    if response.status not in _BODILESS_CODES:
        head_lines.append(f"Content-Length: {length}")
    if not keep_alive:
        head_lines.append("Connection: close")
    body = b"" if method == "HEAD" or response.status in _BODILESS_CODES else response.body
    return "\r\n".join([*head_lines, "", ""]).encode("latin-1", "replace") + body
