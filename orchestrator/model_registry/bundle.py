"""Pack a validated model into one zip file, for an upload from a laptop to the state service.

A bundle is untrusted input: names, sizes, checksums and the metadata are checked before any of it is used.
May know: what a published model is.  May not: publish it.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import BinaryIO

from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.model_registry.registry import METADATA_FILE, ModelMetadata
from orchestrator.problems import Problems
from orchestrator.storage import atomic_write

MAX_BYTES = 64 * 1024 * 1024
"""Limit of the file and of its contents; a MobileNetV2 has 14 MB."""
MAX_FILES = 20
FILE_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REBUILD_HINT = "rebuild it: python -m ml.upload_model runs/VERSION --file model.zip"


def pack(folder: Path, metadata: ModelMetadata, target: Path) -> int:
    """Write the files that ``metadata`` lists from ``folder`` to ``target`` and return its size in bytes.

    Raises Problems if a file differs from the validated one, OSError if ``target`` cannot be written.
    """
    with atomic_write(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA_FILE, registry.encode_metadata(metadata))
        for name, file in sorted(metadata.files.items()):
            archive.writestr(name, registry.read_verified(folder / name, file))
    return target.stat().st_size


def unpack(stream: BinaryIO, folder: Path) -> ModelMetadata:
    """Write the files of a bundle to ``folder``, which is empty, and return the metadata.

    Raises Problems if it is not a bundle, is too large, does not match its metadata, or violates the schema.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _validate_entries(archive)
            metadata = canonical_json.load(archive.read(METADATA_FILE), ModelMetadata, METADATA_FILE)
            registry.encode_metadata(metadata)
            if {entry.filename for entry in archive.infolist()} != {METADATA_FILE, *metadata.files}:
                raise Problems.from_message("the files in the bundle do not match its metadata", hint=REBUILD_HINT)
            for name in metadata.files:
                (folder / name).write_bytes(archive.read(name))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise Problems.from_message(f"the file is not a model bundle: {error}", hint=REBUILD_HINT) from None
    for name, file in metadata.files.items():
        registry.read_verified(folder / name, file)
    if metadata.preprocessing_hash != canonical_json.digest(metadata.preprocessing):
        raise Problems.from_message("the preprocessing does not match its hash", hint=REBUILD_HINT)
    return metadata


def _validate_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if METADATA_FILE not in names:
        raise Problems.from_message(f"the file is not a model bundle: {METADATA_FILE} is missing", hint=REBUILD_HINT)
    if (
        len(names) > MAX_FILES
        or len(set(names)) != len(names)
        or not all(FILE_NAME_PATTERN.fullmatch(name) for name in names)
    ):
        raise Problems.from_message(
            "the file is not a model bundle: it has too many, duplicate or invalid file names", hint=REBUILD_HINT
        )
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise Problems.from_message(
            f"the contents of the file exceed {MAX_BYTES // 1024**2} MB",
            hint="export it with smaller weights: `python -m ml.export RUN --weights int8`",
        )
