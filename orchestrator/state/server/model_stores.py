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
from orchestrator.model_registry.registry import ModelMetadata
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

DEFAULT_REGION = "eu-west-1"
CACHE_TTL_SECONDS = 60.0
"""Seconds for which what was seen is believed: a listing of ten thousand photos takes ten requests."""
MODELS_HINT = "State__Models: shop/prod=s3://BUCKET@REGION"


class ModelStoreStatus(Struct, frozen=True):
    """What a bucket shows: the version that browsers load, why training is needed, and what went wrong; each may be "".

    ``told``: that the bucket could be read, so that "" means that no training is needed.
    """

    current: str = ""
    training_reason: str = ""
    trouble: str = ""
    is_readable: bool = False


class ModelStores(Struct):
    """The storages by environment.  Safe for threads."""

    storages: Mapping[str, FileStorage] = field(default_factory=dict)
    _cache: dict[str, tuple[float, ModelStoreStatus]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self, environment: str) -> ModelStoreStatus:
        """What the environment's bucket shows; at most ``FRESH`` seconds old."""
        store = self.storages.get(environment)
        if store is None:
            return ModelStoreStatus()
        with self._lock:
            cached_at, cached = self._cache.get(environment, (float("-inf"), ModelStoreStatus()))
        if time.monotonic() - cached_at > CACHE_TTL_SECONDS:
            cached = _read_status(store)
            with self._lock:
                self._cache[environment] = time.monotonic(), cached
        return cached

    def publish(self, environment: str, stream: BinaryIO, reason: str = "") -> ModelMetadata:
        """Publish the model that a bundle holds, and make it the current one; what is known of it.

        Raises Problems: it is no model, not fit and without a ``reason``, or another became the current one meanwhile.
        """
        store = self.storages.get(environment)
        if store is None:
            raise Problems.from_message(f"nothing says where the models of {environment} are kept", hint=MODELS_HINT)
        with tempfile.TemporaryDirectory() as folder:
            candidate = bundle.unpack(stream, Path(folder))
            previous = registry.read_pointer(store)
            metadata = registry.check_publishable(
                candidate, previous, reason, validate_command="python -m ml.validate_model runs/VERSION"
            )
            registry.publish(store, Path(folder), metadata, previous)
        with self._lock:
            self._cache.pop(environment, None)
        return metadata


def parse_model_stores(text: str) -> ModelStores:
    """The shelves that ``State__Models`` names.

    Raises Problems: it names none.
    """
    stores: dict[str, FileStorage] = {}
    for entry in text.split():
        environment, _, location = entry.partition("=")
        scheme, _, path = location.partition(":")
        if not all(environment.partition("/")[::2]) or scheme not in {"s3", "file"} or not path.strip("/"):
            raise Problems.from_message(f"State__Models: {entry!r} names no place of models", hint=MODELS_HINT)
        bucket, _, region = path.removeprefix("//").partition("@")
        if scheme == "s3":
            stores[environment] = storage.from_settings(
                {
                    "FileStorage:Type": "S3",
                    "FileStorage:BucketName": bucket.strip("/"),
                    "FileStorage:Region": region or DEFAULT_REGION,
                }
            )
        else:
            stores[environment] = storage.from_settings({"FileStorage:Type": "Local", "FileStorage:Path": path})
    return ModelStores(stores)


def _read_status(store: FileStorage) -> ModelStoreStatus:
    try:
        pointer = registry.read_pointer(store)
        if pointer is None:
            return ModelStoreStatus()
        return ModelStoreStatus(pointer.version, staleness.check_staleness(store).retraining_reason, is_readable=True)
    except Problems as problems:
        return ModelStoreStatus(trouble=problems.problems[0].message)
