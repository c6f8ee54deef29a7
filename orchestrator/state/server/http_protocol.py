"""Read HTTP requests with a time limit for their headers, which uvicorn does not have."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_SECONDS = 10.0
"""Seconds within which the headers of a request have to be there, from its connection or its first byte on."""


class BoundedH11Protocol(H11Protocol):
    """uvicorn's protocol, which closes a connection whose request headers do not arrive in time.

    A client may send a byte now and then: that prolongs nothing.  Between two requests uvicorn's own limit counts.
    """

    max_header_seconds = MAX_HEADER_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_timer: asyncio.TimerHandle | None = None
        self._start_timer()  # an instance is made for each new connection

    def data_received(self, data: bytes) -> None:
        """Take in a piece of a request; start its time limit, or end it once its headers are complete."""
        super().data_received(data)
        if not self._is_waiting_for_headers():
            self._stop_timer()
        elif self._header_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time limit."""
        self._stop_timer()
        super().connection_lost(exc)

    def _is_waiting_for_headers(self) -> bool:
        return bool(self.conn.their_state is h11.IDLE)

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.max_header_seconds, self._close_if_waiting)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_if_waiting(self) -> None:
        self._header_timer = None
        if self._is_waiting_for_headers() and not self.transport.is_closing():
            self.transport.close()
