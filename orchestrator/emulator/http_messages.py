"""Define the HTTP request and response that the emulator passes around. Plain data, no I/O, no AWS."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One HTTP request as received: ``target`` is the raw path with its query, ``body`` is complete.

    ``headers`` keeps order and spelling; ``header(name)`` ignores case.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @cached_property
    def _lower(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers}

    def header(self, name: str, default: str = "") -> str:
        """Return the value of a header (name in lower case), or ``default``."""
        return self._lower.get(name, default)

    @cached_property
    def path(self) -> str:
        """Return the path, still percent-encoded."""
        return self.target.partition("?")[0] if self.target.startswith("/") else urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the first value of every query parameter; "" for a parameter without a value."""
        text = self.target.partition("?")[2]
        return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


@dataclass(frozen=True)
class Response:
    """One HTTP response. ``headers`` never holds Content-Length or Connection: the gateway writes those.

    ``length`` is the Content-Length of the response to a HEAD request, which has no body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: int | None = field(default=None)
