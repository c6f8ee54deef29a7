"""Models in a bucket: every version in a folder of its own, and one pointer that says which is the current one.

    ml-models/current.json               names a version; the only thing that moves
    ml-models/V/metadata.json            ``Metadata``, by ``schemas/model.schema.json``; written after all other files
    ml-models/V/model.json, weights-*    what a browser loads; never changed, so caches keep it for ever
    ml-models/V/catalogue.json           the photos that it was trained with, as the bucket had them

May know: storages.  May not: know how models are made, or import what makes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.problems import Problem, Problems
from orchestrator.storage import NEW, ConflictError, FileStorage, MissingFileError

FOLDER = "ml-models"
POINTER = f"{FOLDER}/current.json"
METADATA = "metadata.json"
MODEL = "model.json"
CATALOGUE = "catalogue.json"
FORMAT = "orchestrator-model/1"
FOREVER = "public, max-age=31536000, immutable"


class File(Struct, frozen=True):
    """One file of a version: SHA-256 as hexadecimal digits, size in bytes."""

    sha256: str
    bytes: int


class Score(Struct, frozen=True):
    """Held-out photos of one product, and how many were recognised."""

    photos: int
    right: int


class Metrics(Struct, frozen=True):
    """On the held-out photos: shares from 0 to 1; ``ece``: expected calibration error; latency of one photo in ms."""

    top1: float
    top3: float
    ece: float
    latency_ms: float
    per_product: Mapping[str, Score] = field(default_factory=dict)


class Parity(Struct, frozen=True):
    """Largest difference of a probability between Keras and the exported model; None where nobody looked.

    ``fault`` names what differs (scaling, channel order, resize ...), "" where all agree within ``tolerance``.
    """

    tolerance: float
    photos: int
    exported: float | None
    browser: float | None
    fault: str = ""

    @property
    def holds(self) -> bool:
        """Whether everybody who was asked agrees."""
        asked = [one for one in (self.exported, self.browser) if one is not None]
        return bool(asked) and not self.fault and max(asked) <= self.tolerance


class Verdict(Struct, frozen=True):
    """``says`` is better, same, worse or first, than version ``against``; ``forced``: why it was published anyway."""

    says: str
    against: str = ""
    forced: str = ""


class Metadata(Struct, frozen=True):
    """What is known of one version; ``training`` is what training was told, ``tools`` are versions."""

    version: str
    data_hash: str
    preprocessing: Mapping[str, Any]
    preprocessing_hash: str
    metrics: Metrics
    parity: Parity
    verdict: Verdict
    training: Mapping[str, str | int | float | bool | None]
    tools: Mapping[str, str]
    commit: str
    trained_at: str
    files: Mapping[str, File]
    format: str = FORMAT

    @property
    def classes(self) -> tuple[str, ...]:
        """The products, in the order of the model's output."""
        return tuple(self.preprocessing["classes"])

    @property
    def size(self) -> int:
        """Bytes that a browser loads."""
        return sum(file.bytes for name, file in self.files.items() if name == MODEL or name.startswith("weights-"))


class Pointer(Struct, frozen=True):
    """What ``current.json`` holds, and the etag under which it was read."""

    version: str
    model: str = ""
    metadata: str = ""
    etag: str = ""


def current(storage: FileStorage) -> Pointer | None:
    """The version that browsers load now, or None.

    Raises Problems.
    """
    try:
        data, etag = storage.read(POINTER)
    except MissingFileError:
        return None
    return pointer_of(data, etag, f"{storage}/{POINTER}")


def pointer_of(data: bytes, etag: str, where: str) -> Pointer:
    """A pointer from its bytes.  Raises Problems."""
    found = canonical_json.load(data, dict[str, Any], where)
    if not found.get("version"):
        raise Problems.one(f"{where} names no version", hint="go back: orchestrator rollback --only model")
    version = str(found["version"])
    return Pointer(version, str(found.get("model", "")), str(found.get("metadata", "")), etag)


def metadata(storage: FileStorage, version: str) -> Metadata:
    """What is known of a version.  Raises Problems."""
    key = f"{FOLDER}/{version}/{METADATA}"
    return canonical_json.load(storage.download(key), Metadata, f"{storage}/{key}")


def checked(known: Metadata) -> bytes:
    """``known`` as bytes that keep to ``schemas/model.schema.json``.

    Raises Problems: every way in which it does not.
    """
    import json

    from jsonschema import Draft202012Validator

    from orchestrator.manifest import schema

    data = canonical_json.dump(known)
    found = Draft202012Validator(dict(schema.load("model"))).iter_errors(json.loads(data))
    if problems := [Problem(f"metadata: {error.json_path}: {error.message[:200]}") for error in found]:
        raise Problems(problems)
    return data


def publish(storage: FileStorage, folder: Path, known: Metadata, over: Pointer | None) -> Pointer:
    """Upload a version, all of it, and then make it the current one in place of ``over``; the pointer now.

    Can be called again after it was interrupted: what is there already is not sent again.  Raises Problems: a file
    differs from what ``known`` says, the version is another's, or another model became the current one meanwhile
    (ConflictError; then the version is uploaded, and not the current one).
    """
    data = checked(known)
    place = f"{FOLDER}/{known.version}"
    for name, file in sorted(known.files.items()):
        _upload(storage, f"{place}/{name}", verified(folder / name, file))
    _describe(storage, known, data)
    return _switch(storage, known, data, over)


def admitted(known: Metadata, over: Pointer | None, force: str, *, again: str) -> Metadata:
    """``known``, if it may take the place of ``over``: with ``force`` as the reason why it may all the same.

    ``again`` is the command that validates.  Raises Problems: it is worse, differs between Keras and browsers, or was
    compared with another model than the one in use.
    """
    if over is not None and over.version == known.version:
        return known
    found = []
    if not known.parity.holds:
        why = known.parity.fault or "nobody compared them"
        found.append(Problem(f"model {known.version} does not say the same everywhere: {why}", hint=again))
    if known.verdict.says == "worse":
        found.append(Problem(f"model {known.version} is worse than {known.verdict.against}", hint="train again"))
    if known.verdict.against != (over.version if over else ""):
        now, then = (over.version if over else "none"), known.verdict.against or "none"
        found.append(Problem(f"the model in use is {now}; {known.version} was compared with {then}", hint=again))
    if found and not force.strip():
        way = Problem(
            "nothing was uploaded", hint="--force REASON uploads it all the same, and keeps the reason with it"
        )
        raise Problems([*found, way])
    return replace(known, verdict=replace(known.verdict, forced=force.strip() if found else ""))


def file_of(path: Path) -> File:
    """Checksum and size of a file.  Raises OSError."""
    data = path.read_bytes()
    return File(hashlib.sha256(data).hexdigest(), len(data))


def registered(known: Metadata, at: str, by: str) -> Mapping[str, Any]:
    """What the state service is told of a version that has become the current one."""
    return {
        "name": "products", "version": known.version, "at": at, "by": by, "size": known.size, "current": True,
        "digest": known.data_hash, "note": known.verdict.forced,
        "metrics": {"top1": known.metrics.top1, "top3": known.metrics.top3, "ece": known.metrics.ece},
    }  # fmt: skip


def verified(path: Path, file: File) -> bytes:
    """The bytes of a file, where they are those that were validated.  Raises Problems."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.one(f"cannot read {path}: {error.strerror}", hint="export again: python -m ml.export") from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Problems.one(f"{path} is not what was validated", hint="python -m ml.validate_model, then upload again")
    return data


def _upload(storage: FileStorage, key: str, data: bytes) -> None:
    """Write one file of a version once; the same bytes again are no news."""
    there = storage.find(key)
    same = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if there is None:
        try:
            storage.put(key, data, cache=FOREVER, over=NEW)
            return
        except ConflictError:
            there = storage.find(key)
    if there is None or there.size != len(data) or there.etag != same:
        raise _another(storage, key)


def _another(storage: FileStorage, key: str) -> Problems:
    return Problems.one(
        f"{storage}/{key} is there with other content: this version was uploaded from another training",
        hint="a version is never changed: train again, which makes a new one",
    )


def _describe(storage: FileStorage, known: Metadata, data: bytes) -> None:
    """Write the metadata; another judgement of the same files takes the place of an earlier one."""
    key = f"{FOLDER}/{known.version}/{METADATA}"
    try:
        before, etag = storage.read(key)
    except MissingFileError:
        before, etag = data, NEW
    if canonical_json.load(before, Metadata, key).files != known.files:
        raise _another(storage, key)
    if before != data or etag == NEW:
        storage.put(key, data, cache="no-cache", over=etag)


def _switch(storage: FileStorage, known: Metadata, data: bytes, over: Pointer | None) -> Pointer:
    place = f"{FOLDER}/{known.version}"
    sums = hashlib.sha256(data).hexdigest()
    said = {"version": known.version, "model": f"{place}/{MODEL}", "metadata": f"{place}/{METADATA}", "sha256": sums}
    try:
        stored = storage.put(POINTER, canonical_json.dump(said), cache="no-cache", over=over.etag if over else NEW)
    except ConflictError:
        now = current(storage)
        if now is not None and now.version == known.version:
            return now
        raise ConflictError.one(
            f"model {now.version if now else 'none'} became the current one while {known.version} was uploaded",
            hint=f"{known.version} is uploaded and not in use: validate it against the new one, then upload again",
        ) from None
    return Pointer(known.version, said["model"], said["metadata"], stored.etag)


def versions(storage: FileStorage) -> Sequence[str]:
    """The versions that were uploaded whole."""
    keys = [stored.key.split("/") for stored in storage.list(f"{FOLDER}/")]
    return sorted(parts[1] for parts in keys if len(parts) == 3 and parts[2] == METADATA)
