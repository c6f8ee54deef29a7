"""What a run tells the service, sent in the background and in order; and its signs of life.

Nothing here stops a run: it says when the run has lost its lease, and ``recording`` decides.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.state.client.api_client import Client, RefusedError, UnreachableError
from orchestrator.state.protocol.leases import LASTS
from orchestrator.state.protocol.requests import Batch, Sign

AT_ONCE = 500
TOGETHER = 0.1
"""Seconds for which events are collected, to go with one request."""
TRY = 2.0
"""Seconds of patience of one request; it is made again until the stream is closed."""
BEATS = LASTS / 4
GONE = frozenset({"lost-lease", "run-over"})


class Word(Struct, frozen=True):
    """One request; a body with a ``fence`` gets the run's."""

    method: str
    path: str
    body: Any

    def fenced(self, fence: int) -> Any:
        """The body as the holder of a lease sends it."""
        return replace(self.body, fence=fence) if hasattr(self.body, "fence") else self.body


class Stream:
    """Words that are sent one after the other; ``lost`` says why the service hears no more of this run."""

    def __init__(self, client: Client, fence: int) -> None:
        self.lost = ""
        self.refused: list[str] = []
        self._client = client
        self._fence = fence
        self._words: deque[Word] = deque()
        self._changed = threading.Condition()
        self._until: float | None = None
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def put(self, word: Word) -> None:
        """Send this after all that came before it."""
        with self._changed:
            self._words.append(word)
            self._changed.notify()

    def close(self, patience: float) -> int:
        """Wait until all is sent, ``patience`` seconds at most; how many words are left."""
        with self._changed:
            self._until = time.monotonic() + patience
            self._changed.notify()
        self._thread.join(patience + 15)
        return len(self._words)

    def _work(self) -> None:
        while (taken := self._next()) and not self.lost:
            word, count = taken
            try:
                self._client.ask(word.method, word.path, word.fenced(self._fence), patience=TRY)
            except UnreachableError:
                if self._until is not None and time.monotonic() > self._until:
                    return
                continue
            except RefusedError as error:
                if error.kind in GONE:
                    self.lost = error.detail
                    return
                self.refused.append(f"{word.method} {word.path}: {error.detail}")
            with self._changed:
                for _ in range(count):
                    self._words.popleft()

    def _next(self) -> tuple[Word, int] | None:
        """The next request and how many words it holds; None when there is none and none will come."""
        with self._changed:
            while not self._words:
                if self._until is not None:
                    return None
                self._changed.wait()
        if self._until is None:
            time.sleep(TOGETHER)
        with self._changed:
            first = self._words[0]
            if not isinstance(first.body, Batch):
                return first, 1
            events: list[Any] = []
            count = 0
            for word in self._words:
                if not isinstance(word.body, Batch) or len(events) >= AT_ONCE:
                    break
                events += word.body.events
                count += 1
            return Word(first.method, first.path, Batch(tuple(events))), count


class Pulse:
    """Signs of life of the holder of a lease; ``lost`` says who has it now."""

    def __init__(self, client: Client, run: str, fence: int, *, beats: float = BEATS, lasts: float = LASTS) -> None:
        self.lost = ""
        self._client = client
        self._path = f"/runs/{run}/lease"
        self._sign = Sign(fence)
        self._beats, self._lasts = beats, lasts
        self._heard = self._asked = time.monotonic()
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pulse", daemon=True)
        self._thread.start()

    def is_sure(self) -> bool:
        """Whether the lease is known to be ours still; asks when too long ago was the last time that it was.

        A process that was asleep asks here, before it does anything else.
        """
        if time.monotonic() - self._heard < self._lasts:
            return not self.lost
        with self._one:
            now = time.monotonic()
            if now - self._heard >= self._lasts and now - self._asked >= TRY:
                self.beat(TRY)
        return not self.lost and time.monotonic() - self._heard < self._lasts

    def beat(self, patience: float) -> None:
        """Give one sign."""
        began = self._asked = time.monotonic()
        try:
            self._client.ask("POST", self._path, self._sign, patience=patience)
        except UnreachableError:
            return
        except RefusedError as error:
            self.lost = error.detail if error.kind in GONE else self.lost
            return
        self._heard = began

    def stop(self) -> None:
        """No more signs."""
        self._stop.set()
        self._thread.join(TRY)

    def _work(self) -> None:
        while not self._stop.wait(self._beats) and not self.lost:
            self.beat(self._beats / 2)
