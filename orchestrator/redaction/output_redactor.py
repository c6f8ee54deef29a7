"""Redact the output of another program while it arrives, before it is shown or kept in a file.  Pure.

GitHub masks secrets in the logs of a run, and nothing in its artefacts; so what is kept is redacted here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.redaction.github_masks import MIN_MASK_LENGTH
from orchestrator.redaction.redact import redact

HELD_BACK_BYTES = 4096
"""Bytes at the end of an incomplete line that wait for the rest, so that a secret is not split."""
MAX_KEY_LINES = 200
"""Lines after which a private key without an end is none; one of 16,384 bits has 198."""
_KEY_BEGIN = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_END = re.compile(rb"-----END [A-Z ]*PRIVATE KEY-----")


class OutputRedactor:
    """Replaces ``secrets``, and all that looks like one, in the chunks of an output: lines, or parts of long lines."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        lines = {line for secret in secrets for line in (secret, *secret.splitlines())}
        self._secrets = sorted((line.encode() for line in lines if len(line) >= MIN_MASK_LENGTH), key=len, reverse=True)
        self._held_back = b""
        self._key_lines_left = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be shown after ``chunk``; the end of an incomplete line comes with the next one."""
        text = self._held_back + chunk
        cut = len(text) if text.endswith(b"\n") else self._find_cut(text)
        self._held_back = text[cut:]
        return self._redact(text[:cut]) if cut else b""

    def finish(self) -> bytes:
        """Return what was held back, once the program has ended."""
        rest, self._held_back = self._held_back, b""
        return self._redact(rest) if rest else b""

    def _find_cut(self, text: bytes) -> int:
        """Return where an incomplete line can be cut: before a space, and not within a secret."""
        latest = len(text) - HELD_BACK_BYTES
        if latest <= 0:
            return 0
        cut = text.rfind(b" ", max(0, latest - HELD_BACK_BYTES), latest)
        cut = latest if cut <= 0 else cut
        for secret in self._secrets:
            start = text.find(secret, max(0, cut - len(secret) + 1), cut + len(secret) - 1)
            cut = start if start >= 0 else cut
        return cut

    def _redact(self, text: bytes) -> bytes:
        """Return text without secrets; "" if it is part of a private key that began on an earlier line."""
        if self._key_lines_left:
            is_end = _KEY_END.search(text) is not None
            self._key_lines_left = 0 if is_end else self._key_lines_left - text.endswith(b"\n")
            return b""
        begin = _KEY_BEGIN.search(text)
        if begin and not _KEY_END.search(text, begin.end()):
            self._key_lines_left = MAX_KEY_LINES
        for secret in self._secrets:
            text = text.replace(secret, b"***")
        body = text.rstrip(b"\r\n")
        redacted = str(redact(body.decode("utf-8", "surrogateescape"))).encode("utf-8", "surrogateescape")
        return redacted + text[len(body) :]
