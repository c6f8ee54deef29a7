"""Replies to PUT requests, judged by ``http.client``: the same status, and no connection kept that it would close."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.aws.put_request import MAX_HEAD_BYTES, read_reply

S3_REPLY = (
    b"HTTP/1.1 200 OK\r\nx-amz-id-2: Vvag1LuByRx9e6j5Onimru9pO4ZVKnJ2Qz7/C1NPcfTWAtRPfTaOFg==\r\n"
    b"x-amz-request-id: 656c76696e6727732072657175657374\r\nDate: Tue, 01 Dec 2026 12:00:00 GMT\r\n"
    b'ETag: "6805f2cfc46c0f04559748bb039d69ae"\r\nContent-Length: 0\r\nServer: AmazonS3\r\n\r\n'
)
"""As in the example of PutObject in the S3 API reference."""
HEADERS = st.sampled_from(
    [
        "Content-Length: 0", "content-length:0", "Content-Length: 00", "Content-Length: 5", "Content-Length: 0, 0",
        "Transfer-Encoding: chunked", "Connection: close", "Connection: keep-alive", "connection: Keep-Alive, close",
        "Connection: upgrade", "X-Content-Length: 0", "ETag: \"connection: close\"", "Server: AmazonS3",
        "Content-Length:",
    ]
)  # fmt: skip


class Replies:
    """A socket from which a reply arrives in pieces of at most ``size`` bytes."""

    def __init__(self, reply: bytes, size: int = MAX_HEAD_BYTES) -> None:
        self._stream, self._size = io.BytesIO(reply), size

    def recv(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._size))

    def makefile(self, *_: Any) -> io.BytesIO:
        return self._stream


@given(
    version=st.sampled_from(["1.1", "1.0"]),
    status=st.sampled_from(["200 OK", "200", "204 No Content", "307 x", "403 Forbidden", "412 y", "503 Slow Down"]),
    headers=st.lists(HEADERS, max_size=4),
    rest=st.sampled_from(["", "", "", "hello", "0\r\n\r\n", "HTTP/1.1 500 early\r\n\r\n"]),
    size=st.integers(1, 300),
)
@settings(max_examples=400, deadline=None)
def test_replies_are_understood_as_http_client_does(
    version: str, status: str, headers: list[str], rest: str, size: int
) -> None:
    """Ours may keep fewer connections, never one whose next bytes belong to this reply."""
    reply = "".join([f"HTTP/{version} {status}\r\n", *(f"{header}\r\n" for header in headers), "\r\n", rest]).encode()
    theirs = http.client.HTTPResponse(Replies(reply), method="PUT")  # type: ignore[arg-type]
    theirs.begin()
    is_kept = not theirs.will_close and theirs.length == 0

    our_status, is_reusable = read_reply(Replies(reply, size))

    assert our_status == theirs.status
    assert is_reusable <= is_kept


@pytest.mark.parametrize("size", [1, 7, MAX_HEAD_BYTES])
def test_the_usual_reply_of_s3_keeps_its_connection(size: int) -> None:
    assert read_reply(Replies(S3_REPLY, size)) == (200, True)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"", ConnectionError),
        (S3_REPLY[:-2], ConnectionError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", http.client.HTTPException),
        (b"HTTP/2 200\r\n\r\n", http.client.HTTPException),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES, http.client.HTTPException),
    ],
)
def test_what_is_not_a_reply_is_an_error_that_botocore_repeats(reply: bytes, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        read_reply(Replies(reply))
