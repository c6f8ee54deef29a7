"""Publish models in a bucket: each version has its own folder, and one pointer names the current version.

    ml-models/current.json               the pointer; the only file that changes
    ml-models/V/metadata.json            ``ModelMetadata``, see ``schemas/model.schema.json``; written last
    ml-models/V/model.json, weights-*    the files that browsers load; never changed, so they are cached forever
    ml-training/V/catalogue.json         the photos that the model was trained with, as listed in the bucket
    ml-training/V/learned.json           their checksums

``ml-models/`` is public through the distribution; keys and etags of the bucket are not, so they are kept apart.
Versions that were published before have them below ``ml-models/``, where they are still read.

May know: storages.  May not: know how models are trained, or import the code that trains them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from orchestrator import canonical_json
from orchestrator.problems import Problem, Problems
from orchestrator.storage import MUST_NOT_EXIST, ConflictError, FileStorage, MissingFileError

MODELS_FOLDER = "ml-models"
POINTER_KEY = f"{MODELS_FOLDER}/current.json"
METADATA_FILE = "metadata.json"
MODEL_FILE = "model.json"
CATALOGUE_FILE = "catalogue.json"
LEARNED_FILE = "learned.json"
"""Checksum prefixes of the photos a version was trained on."""
TRAINING_FOLDER = "ml-training"
PRIVATE_FILES = frozenset({CATALOGUE_FILE, LEARNED_FILE})
METADATA_FORMAT = "orchestrator-model/2"
"""Format that is written; /1, of models with classes and few-photo products, is still read."""
IMMUTABLE_CACHE_CONTROL = "public, max-age=31536000, immutable"


class ModelFile(Struct, frozen=True):
    """One file of a version: SHA-256 in hexadecimal digits, size in bytes."""

    sha256: str
    bytes: int


class ProductScore(Struct, frozen=True):
    """The number of measured photos of one product, and how many were recognised."""

    photos: int
    right: int


class StudioMetrics(Struct, frozen=True):
    """Metrics on the shop's own photos, each answered by a model that had not learned from it."""

    top1: float
    top3: float
    ece: float
    photos: int


class ModelMetrics(Struct, frozen=True):
    """What people see on ``photos`` photos: shares from 0 to 1; ``ece``: expected calibration error; latency per photo.

    ``condition``: which photos; no numbers mean anything if there are none.  ``separation``: how well products are told
    from products the model did not learn (AUROC).
    """

    top1: float
    top3: float
    ece: float
    latency_ms: float
    per_product: Mapping[str, ProductScore] = field(default_factory=dict)
    condition: str = ""
    photos: int = 0
    separation: float | None = None
    studio: StudioMetrics | None = None


class Parity(Struct, frozen=True):
    """The largest difference in a percentage (as a share of 1) that people see, of Keras and the export, or of the
    export with numpy and in a browser; None if not compared.

    ``fault`` names the cause (scaling, channel order, resize ...), "" if all agree within ``tolerance``.
    """

    tolerance: float
    photos: int
    exported: float | None
    browser: float | None
    fault: str = ""

    @property
    def is_consistent(self) -> bool:
        """Whether at least one comparison was made and all agree within ``tolerance``."""
        differences = [difference for difference in (self.exported, self.browser) if difference is not None]
        return bool(differences) and not self.fault and max(differences) <= self.tolerance


class Verdict(Struct, frozen=True):
    """The comparison with version ``against``: better, same, worse or first; ``forced``: why it was still published.

    ``lost``: products that version recognises, that still have photos, and that this model does not recognise.
    """

    says: str
    against: str = ""
    forced: str = ""
    lost: tuple[str, ...] = ()


class ModelMetadata(Struct, frozen=True):
    """The metadata of one version; ``training`` holds training options, ``tools`` the versions of tools.

    ``groups``: products that photos often cannot tell apart.
    """

    version: str
    data_hash: str
    preprocessing: Mapping[str, Any]
    preprocessing_hash: str
    metrics: ModelMetrics
    parity: Parity
    verdict: Verdict
    training: Mapping[str, str | int | float | bool | None]
    tools: Mapping[str, str]
    commit: str
    trained_at: str
    files: Mapping[str, ModelFile]
    format: str = METADATA_FORMAT
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The products the model answers with, in the order of its answer."""
        return tuple(self.preprocessing["classes"])

    @property
    def size(self) -> int:
        """The number of bytes that a browser loads."""
        return sum(file.bytes for name, file in self.files.items() if name == MODEL_FILE or name.startswith("weights-"))


class ModelPointer(Struct, frozen=True):
    """The content of ``current.json`` and its etag."""

    version: str
    model: str = ""
    metadata: str = ""
    etag: str = ""


class ModelSummary(Struct, frozen=True):
    """One uploaded version for a list: ``top1`` is a share from 0 to 1, ``size`` in bytes."""

    version: str
    trained_at: str
    products: int
    top1: float
    size: int
    verdict: str
    is_current: bool


def summarise(model: ModelMetadata, *, is_current: bool) -> ModelSummary:
    """Return the summary of an uploaded version."""
    return ModelSummary(
        model.version,
        model.trained_at,
        len(model.classes),
        model.metrics.top1,
        model.size,
        model.verdict.says,
        is_current,
    )


def read_pointer(storage: FileStorage) -> ModelPointer | None:
    """Return the pointer to the current version, or None.

    Raises Problems if it cannot be read or is invalid.
    """
    try:
        data, etag = storage.read(POINTER_KEY)
    except MissingFileError:
        return None
    return parse_pointer(data, etag, f"{storage}/{POINTER_KEY}")


def parse_pointer(data: bytes, etag: str, source: str) -> ModelPointer:
    """Parse a pointer; ``source`` names it in errors.  Raises Problems if it is invalid."""
    document = canonical_json.load(data, dict[str, Any], source)
    if not document.get("version"):
        raise Problems.from_message(
            f"{source} has no `version`", hint="point it to an uploaded version: orchestrator model use VERSION"
        )
    version = str(document["version"])
    return ModelPointer(version, str(document.get("model", "")), str(document.get("metadata", "")), etag)


def read_metadata(storage: FileStorage, version: str) -> ModelMetadata:
    """Return the metadata of a version.  Raises Problems if it cannot be read or is invalid."""
    key = f"{MODELS_FOLDER}/{version}/{METADATA_FILE}"
    return canonical_json.load(storage.download(key), ModelMetadata, f"{storage}/{key}")


def encode_metadata(metadata: ModelMetadata) -> bytes:
    """Return ``metadata`` as JSON that is valid under ``schemas/model.schema.json``.

    Raises Problems with every violation of the schema.
    """
    import json

    from jsonschema import Draft202012Validator

    from orchestrator.manifest import schema

    data = canonical_json.dump(metadata)
    errors = Draft202012Validator(dict(schema.load("model"))).iter_errors(json.loads(data))
    if problems := [Problem(f"metadata: {error.json_path}: {error.message[:200]}") for error in errors]:
        raise Problems(problems)
    return data


def publish(
    storage: FileStorage, folder: Path, metadata: ModelMetadata, expected_current: ModelPointer | None
) -> ModelPointer:
    """Upload all files of a version, make it current in place of ``expected_current`` and return the new pointer.

    Can be repeated after an interruption: existing files are not sent again.  Raises Problems if a file differs from
    ``metadata`` or the version exists with other content, ConflictError if another model became current meanwhile
    (the version is then uploaded, but not current).
    """
    data = encode_metadata(metadata)
    for name, file in sorted(metadata.files.items()):
        _upload(storage, key_of(metadata.version, name), read_verified(folder / name, file))
    _write_metadata(storage, metadata, data)
    return _update_pointer(storage, metadata, data, expected_current)


def key_of(version: str, name: str) -> str:
    """Return the key of a version's file."""
    return f"{TRAINING_FOLDER if name in PRIVATE_FILES else MODELS_FOLDER}/{version}/{name}"


def read_training_file(storage: FileStorage, version: str, name: str) -> bytes:
    """Return one of ``PRIVATE_FILES`` of a version.  Raises MissingFileError if there is none."""
    try:
        return storage.download(key_of(version, name))
    except MissingFileError:
        return storage.download(f"{MODELS_FOLDER}/{version}/{name}")


def use(storage: FileStorage, version: str) -> tuple[str, ModelPointer]:
    """Make an uploaded version the current one; return the version that was current ("" for none) and the new pointer.

    Only the pointer moves.  Raises Problems if the version is not whole in the storage, ConflictError if another
    version became current meanwhile.
    """
    versions = list_versions(storage)
    if version not in versions:
        raise Problems.from_message(
            f"no model {version} in {storage}/{MODELS_FOLDER}; uploaded versions: {', '.join(versions) or 'none'}",
            hint="list the versions: orchestrator model list",
        )
    metadata = read_metadata(storage, version)
    missing = [
        name
        for name, file in sorted(metadata.files.items())
        if name not in PRIVATE_FILES and not _is_stored(storage, key_of(version, name), file)
    ]
    if missing:
        raise Problems.from_message(
            f"model {version} is incomplete in {storage} (missing or wrong size: {', '.join(missing)}); the model in "
            "use was not changed",
            hint="upload it again: python -m ml.upload_model runs/VERSION",
        )
    current = read_pointer(storage)
    if current is not None and current.version == version:
        return version, current
    data = storage.download(f"{MODELS_FOLDER}/{version}/{METADATA_FILE}")
    return (current.version if current else ""), _update_pointer(storage, metadata, data, current)


def _is_stored(storage: FileStorage, key: str, file: ModelFile) -> bool:
    stored = storage.find(key)
    return stored is not None and stored.size == file.bytes


def describe_file(path: Path) -> ModelFile:
    """Return the checksum and size of a file.  Raises OSError if it cannot be read."""
    data = path.read_bytes()
    return ModelFile(hashlib.sha256(data).hexdigest(), len(data))


def build_registration(metadata: ModelMetadata, published_at: str, published_by: str) -> Mapping[str, Any]:
    """Return the request that registers a new current version with the state service."""
    return {
        "name": "products",
        "version": metadata.version,
        "at": published_at,
        "by": published_by,
        "size": metadata.size,
        "current": True,
        "digest": metadata.data_hash,
        "note": metadata.verdict.forced,
        "metrics": {"top1": metadata.metrics.top1, "top3": metadata.metrics.top3, "ece": metadata.metrics.ece},
    }


def read_verified(path: Path, file: ModelFile) -> bytes:
    """Return the bytes of a file.  Raises Problems if they differ from the validated ones."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.from_message(
            f"cannot read {path}: {error.strerror}", hint="export again: python -m ml.export"
        ) from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Problems.from_message(
            f"{path} differs from the validated file", hint="validate again: python -m ml.validate_model, then upload"
        )
    return data


def _upload(storage: FileStorage, key: str, data: bytes) -> None:
    """Write one file of a version if it does not exist.  Raises Problems if it exists with other content."""
    existing = storage.find(key)
    expected_etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if existing is None:
        try:
            storage.put(key, data, cache_control=IMMUTABLE_CACHE_CONTROL, expected_etag=MUST_NOT_EXIST)
            return
        except ConflictError:
            existing = storage.find(key)
    if existing is None or existing.size != len(data) or existing.etag != expected_etag:
        raise _version_conflict(storage, key)


def _version_conflict(storage: FileStorage, key: str) -> Problems:
    return Problems.from_message(
        f"{storage}/{key} already exists with different content: this version was uploaded from another training run",
        hint="versions are immutable: train again to create a new version",
    )


def _write_metadata(storage: FileStorage, metadata: ModelMetadata, data: bytes) -> None:
    """Write the metadata; a newer validation of the same files replaces an earlier one."""
    key = f"{MODELS_FOLDER}/{metadata.version}/{METADATA_FILE}"
    try:
        before, etag = storage.read(key)
    except MissingFileError:
        before, etag = data, MUST_NOT_EXIST
    if canonical_json.load(before, ModelMetadata, key).files != metadata.files:
        raise _version_conflict(storage, key)
    if before != data or etag == MUST_NOT_EXIST:
        storage.put(key, data, cache_control="no-cache", expected_etag=etag)


def _update_pointer(
    storage: FileStorage, metadata: ModelMetadata, data: bytes, expected_current: ModelPointer | None
) -> ModelPointer:
    prefix = f"{MODELS_FOLDER}/{metadata.version}"
    checksum = hashlib.sha256(data).hexdigest()
    document = {
        "version": metadata.version,
        "model": f"{prefix}/{MODEL_FILE}",
        "metadata": f"{prefix}/{METADATA_FILE}",
        "sha256": checksum,
    }
    try:
        stored = storage.put(
            POINTER_KEY,
            canonical_json.dump(document),
            cache_control="no-cache",
            expected_etag=expected_current.etag if expected_current else MUST_NOT_EXIST,
        )
    except ConflictError:
        latest = read_pointer(storage)
        if latest is not None and latest.version == metadata.version:
            return latest
        raise ConflictError.from_message(
            (
                f"model {latest.version if latest else 'none'} became "
                f"current while {metadata.version} was being uploaded"
            ),
            hint=f"{metadata.version} is not in use: validate it against the new model, then upload it again",
        ) from None
    return ModelPointer(metadata.version, document["model"], document["metadata"], stored.etag)


def list_versions(storage: FileStorage) -> Sequence[str]:
    """Return the versions that were uploaded completely."""
    keys = [stored.key.split("/") for stored in storage.list(f"{MODELS_FOLDER}/")]
    return sorted(parts[1] for parts in keys if len(parts) == 3 and parts[2] == METADATA_FILE)
