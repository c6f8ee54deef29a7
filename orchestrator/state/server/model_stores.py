"""Read the model buckets of environments and publish models to them.

``State__Models``: ``shop/prod=s3://BUCKET@REGION``, or ``=file:/FOLDER``; several separated by spaces.  Without it the
service shows reported versions only; with it, it also checks whether training is needed and accepts uploads.
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
from orchestrator.model_registry import bundle, publish_checks, registry, staleness
from orchestrator.model_registry.registry import ModelMetadata
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

DEFAULT_REGION = "eu-west-1"
CACHE_TTL_SECONDS = 60.0
"""Seconds for which a status is cached: listing ten thousand photos takes ten requests."""
MODELS_HINT = "set State__Models, e.g. State__Models=shop/prod=s3://BUCKET@REGION"


class ModelStoreStatus(Struct, frozen=True):
    """The status of a bucket: the current version, why training is needed, and the error; each may be "".

    ``is_readable``: the bucket was read, so an empty ``training_reason`` means that no training is needed.
    """

    current: str = ""
    training_reason: str = ""
    error: str = ""
    is_readable: bool = False


class ModelStores(Struct):
    """The model storages by environment.  Thread-safe."""

    storages: Mapping[str, FileStorage] = field(default_factory=dict)
    _cache: dict[str, tuple[float, ModelStoreStatus]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def status(self, environment: str) -> ModelStoreStatus:
        """Return the status of the environment's bucket, at most CACHE_TTL_SECONDS old."""
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
        """Publish the model in a bundle, make it the current version, and return its metadata.

        Raises Problems if it is not a model, if it fails validation and there is no ``reason``, or if another version
        became current in the meantime.
        """
        store = self.storages.get(environment)
        if store is None:
            raise Problems.from_message(f"no model bucket is configured for {environment}", hint=MODELS_HINT)
        with tempfile.TemporaryDirectory() as folder:
            candidate = bundle.unpack(stream, Path(folder))
            previous = registry.read_pointer(store)
            metadata = publish_checks.check_publishable(
                candidate, previous, reason, validate_command="python -m ml.validate_model runs/VERSION"
            )
            registry.publish(store, Path(folder), metadata, previous)
        with self._lock:
            self._cache.pop(environment, None)
        return metadata


def parse_model_stores(text: str) -> ModelStores:
    """Parse the value of ``State__Models``.

    Raises Problems if an entry is invalid.
    """
    stores: dict[str, FileStorage] = {}
    for entry in text.split():
        environment, _, location = entry.partition("=")
        scheme, _, path = location.partition(":")
        if not all(environment.partition("/")[::2]) or scheme not in {"s3", "file"} or not path.strip("/"):
            raise Problems.from_message(f"State__Models: invalid entry {entry!r}", hint=MODELS_HINT)
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
        return ModelStoreStatus(error=problems.problems[0].message)
