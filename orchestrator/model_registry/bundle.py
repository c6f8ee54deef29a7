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
from orchestrator.model_registry.registry import METADATA, Metadata
from orchestrator.problems import Problems
from orchestrator.storage import partial

MOST_BYTES = 64 * 1024 * 1024
"""Of the file, and of what is in it: a MobileNetV2 has 14 MB."""
MOST_FILES = 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
HINT = "make it anew: python -m ml.upload_model runs/VERSION --file model.zip"


def pack(folder: Path, known: Metadata, target: Path) -> int:
    """Write the files that ``known`` names, out of ``folder``, to ``target``; its size in bytes.

    Raises Problems: a file is not what was validated.  Raises OSError.
    """
    with partial(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(METADATA, registry.checked(known))
        for name, file in sorted(known.files.items()):
            made.writestr(name, registry.verified(folder / name, file))
    return target.stat().st_size


def unpack(stream: BinaryIO, folder: Path) -> Metadata:
    """Write what a bundle holds to ``folder``, which is empty; what is known of it.

    Raises Problems: it is no bundle, is too large, holds something else than it says, or breaks the schema.
    """
    try:
        with zipfile.ZipFile(stream) as bundle:
            _refuse_odd(bundle)
            known = canonical_json.load(bundle.read(METADATA), Metadata, METADATA)
            registry.checked(known)
            if {one.filename for one in bundle.infolist()} != {METADATA, *known.files}:
                raise Problems.one("the file holds other files than its metadata names", hint=HINT)
            for name in known.files:
                (folder / name).write_bytes(bundle.read(name))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise Problems.one(f"the file is no model: {error}", hint=HINT) from None
    for name, file in known.files.items():
        registry.verified(folder / name, file)
    if known.preprocessing_hash != canonical_json.digest(known.preprocessing):
        raise Problems.one("the contract of the photos is not the one its hash was made of", hint=HINT)
    return known


def _refuse_odd(bundle: zipfile.ZipFile) -> None:
    entries = bundle.infolist()
    names = [one.filename for one in entries]
    if METADATA not in names:
        raise Problems.one(f"the file is no model: it holds no {METADATA}", hint=HINT)
    if len(names) > MOST_FILES or len(set(names)) != len(names) or not all(NAME.fullmatch(name) for name in names):
        raise Problems.one("the file is no model: it holds files of other names", hint=HINT)
    if sum(one.file_size for one in entries) > MOST_BYTES:
        raise Problems.one(f"the file holds more than {MOST_BYTES // 1024**2} MB", hint="export with float16 weights")
