"""Where each environment's models are kept, as the service was told, and what is seen there now.

``State__Models``: ``shop/prod=s3://BUCKET@REGION``, or ``=file:/FOLDER``; several with a space between.  Without it the
service shows what it was told of models; with it, whether training is needed, and it takes uploads.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field

from orchestrator import storage
from orchestrator.model_registry import bundle, registry, staleness
from orchestrator.model_registry.registry import Metadata
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

REGION = "eu-west-1"
FRESH = 60.0
"""Seconds for which what was seen is believed: a listing of ten thousand photos takes ten requests."""
HINT = "State__Models: shop/prod=s3://BUCKET@REGION"


class Seen(Struct, frozen=True):
    """What a bucket shows: the version that browsers load, why training is needed, and what went wrong; each may be "".

    ``told``: that the bucket could be read, so that "" means that no training is needed.
    """

    current: str = ""
    why: str = ""
    trouble: str = ""
    told: bool = False


class Shelves(Struct):
    """The storages by environment.  Safe for threads."""

    storages: Mapping[str, FileStorage] = field(default_factory=dict)
    _seen: dict[str, tuple[float, Seen]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, environment: str) -> Seen:
        """What the environment's bucket shows; at most ``FRESH`` seconds old."""
        place = self.storages.get(environment)
        if place is None:
            return Seen()
        with self._lock:
            at, seen = self._seen.get(environment, (float("-inf"), Seen()))
        if time.monotonic() - at > FRESH:
            seen = _look(place)
            with self._lock:
                self._seen[environment] = time.monotonic(), seen
        return seen

    def take(self, environment: str, stream: BinaryIO, reason: str = "") -> Metadata:
        """Publish the model that a bundle holds, and make it the current one; what is known of it.

        Raises Problems: it is no model, not fit and without a ``reason``, or another became the current one meanwhile.
        """
        place = self.storages.get(environment)
        if place is None:
            raise Problems.one(f"nothing says where the models of {environment} are kept", hint=HINT)
        with tempfile.TemporaryDirectory() as folder:
            known = bundle.unpack(stream, Path(folder))
            before = registry.current(place)
            admitted = registry.admitted(known, before, reason, again="python -m ml.validate_model runs/VERSION")
            registry.publish(place, Path(folder), admitted, before)
        with self._lock:
            self._seen.pop(environment, None)
        return admitted


def of(said: str) -> Shelves:
    """The shelves that ``State__Models`` names.

    Raises Problems: it names none.
    """
    made: dict[str, FileStorage] = {}
    for word in said.split():
        environment, _, place = word.partition("=")
        kind, _, where = place.partition(":")
        if not all(environment.partition("/")[::2]) or kind not in {"s3", "file"} or not where.strip("/"):
            raise Problems.one(f"State__Models: {word!r} names no place of models", hint=HINT)
        bucket, _, region = where.removeprefix("//").partition("@")
        if kind == "s3":
            made[environment] = storage.of({"FileStorage:Type": "S3", "FileStorage:BucketName": bucket.strip("/"),
                                            "FileStorage:Region": region or REGION})  # fmt: skip
        else:
            made[environment] = storage.of({"FileStorage:Type": "Local", "FileStorage:Path": where})
    return Shelves(made)


def _look(place: FileStorage) -> Seen:
    try:
        pointer = registry.current(place)
        if pointer is None:
            return Seen()
        return Seen(pointer.version, staleness.status(place).why, told=True)
    except Problems as problems:
        return Seen(trouble=problems.problems[0].message)
