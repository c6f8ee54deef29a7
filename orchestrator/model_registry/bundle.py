"""A validated model as one file, to be handed from a laptop to the state service: a zip of what would be uploaded.

What comes from outside is believed in nothing: names, sizes, checksums and the metadata are checked before any of it is
used.  May know: what a published model is.  May not: publish it.
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
"""Of the file, and of what is in it: a MobileNetV2 has 14 MB."""
MAX_FILES = 20
FILE_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REBUILD_HINT = "make it anew: python -m ml.upload_model runs/VERSION --file model.zip"


def pack(folder: Path, metadata: ModelMetadata, target: Path) -> int:
    """Write the files that ``known`` names, out of ``folder``, to ``target``; its size in bytes.

    Raises Problems: a file is not what was validated.  Raises OSError.
    """
    with atomic_write(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA_FILE, registry.encode_metadata(metadata))
        for name, file in sorted(metadata.files.items()):
            archive.writestr(name, registry.read_verified(folder / name, file))
    return target.stat().st_size


def unpack(stream: BinaryIO, folder: Path) -> ModelMetadata:
    """Write what a bundle holds to ``folder``, which is empty; what is known of it.

    Raises Problems: it is no bundle, is too large, holds something else than it says, or breaks the schema.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _validate_entries(archive)
            metadata = canonical_json.load(archive.read(METADATA_FILE), ModelMetadata, METADATA_FILE)
            registry.encode_metadata(metadata)
            if {entry.filename for entry in archive.infolist()} != {METADATA_FILE, *metadata.files}:
                raise Problems.from_message("the file holds other files than its metadata names", hint=REBUILD_HINT)
            for name in metadata.files:
                (folder / name).write_bytes(archive.read(name))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise Problems.from_message(f"the file is no model: {error}", hint=REBUILD_HINT) from None
    for name, file in metadata.files.items():
        registry.read_verified(folder / name, file)
    if metadata.preprocessing_hash != canonical_json.digest(metadata.preprocessing):
        raise Problems.from_message("the contract of the photos is not the one its hash was made of", hint=REBUILD_HINT)
    return metadata


def _validate_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if METADATA_FILE not in names:
        raise Problems.from_message(f"the file is no model: it holds no {METADATA_FILE}", hint=REBUILD_HINT)
    if (
        len(names) > MAX_FILES
        or len(set(names)) != len(names)
        or not all(FILE_NAME_PATTERN.fullmatch(name) for name in names)
    ):
        raise Problems.from_message("the file is no model: it holds files of other names", hint=REBUILD_HINT)
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise Problems.from_message(
            f"the file holds more than {MAX_BYTES // 1024**2} MB", hint="export with float16 weights"
        )
