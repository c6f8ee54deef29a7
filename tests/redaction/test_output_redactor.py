"""What is kept of a build's output: artefacts of a workflow are not masked by GitHub.

Source: GitHub, "Using secrets in GitHub Actions": masking applies to logs. Forms of tokens: those of AWS, GitHub, RFC
7519 and RFC 7468.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.redaction.output_redactor import HELD_BACK_BYTES, OutputRedactor

KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
SECRETS = {
    "a value of the migration": ("tea-with-milk", "tea-with-milk"),
    "an access key": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "a token of GitHub": ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    "a password in a URL": ("postgres://shop:hunter22@db.example/shop", "hunter22"),
    "a connection string": ("Host=db;Password=hunter22;Port=5432", "hunter22"),
    "a web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
    "a private key on one line": (f"-----BEGIN RSA PRIVATE KEY-----{KEY}-----END RSA PRIVATE KEY-----", KEY),
    "a private key": (f"-----BEGIN PRIVATE KEY-----\n{KEY}\n{KEY}\n-----END PRIVATE KEY-----", KEY),
}


def keep(data: bytes, cuts: list[int] | None = None) -> bytes:
    """What is kept of an output that arrives in pieces: lines, or less of a very long one."""
    redactor = OutputRedactor(["tea-with-milk"])
    pieces, start = [], 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts or []):
        pieces += data[start:cut].splitlines(keepends=True)
        start = cut
    pieces += data[start:].splitlines(keepends=True)
    return b"".join([*(redactor.feed(piece) for piece in pieces), redactor.finish()])


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_kept_however_the_output_arrives(text: str, secret: str) -> None:
    """Whole, or cut anywhere; what stands around it stays."""
    data = f"before \xe9 {text} \n\x1b[31mafter\x1b[0m\r\n".encode()
    begin, end = "before \xe9 ".encode(), b"\x1b[31mafter\x1b[0m\r\n"
    kept = [keep(data, [cut]) for cut in range(len(data))]

    assert [cut for cut, output in enumerate(kept) if secret.encode() in output] == []
    assert [output for output in kept if not (output.startswith(begin) and output.endswith(end))] == []


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=4))
def test_what_is_no_secret_is_kept_byte_for_byte(data: bytes, cuts: list[int]) -> None:
    assert keep(data, cuts) == keep(data)
    if b"assword" not in data.lower() and b"pwd" not in data.lower() and b"://" not in data and b"eyJ" not in data:
        assert keep(data, cuts) == data


def test_a_line_without_an_end_is_not_kept_in_memory() -> None:
    redactor = OutputRedactor()
    shown = [redactor.feed(b"x" * 65536) for _ in range(8)]

    assert [len(part) for part in shown[1:]] == [65536] * 7
    assert len(redactor.finish()) == HELD_BACK_BYTES


def test_the_beginning_of_a_key_alone_does_not_hide_the_rest_of_the_output() -> None:
    """A source that is printed may name it."""
    assert keep(b"grep '-----BEGIN PRIVATE KEY-----'\n" + b"line\n" * 300).count(b"line\n") == 100
