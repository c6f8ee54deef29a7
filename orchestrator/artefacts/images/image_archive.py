"""Read the package databases of an image from the archive that a builder exports.

The archive has Docker's format: a tar with ``manifest.json``, which lists the layers from the lowest up, each a tar. A
layer deletes a file of a lower layer with ``.wh.NAME`` beside it, and all lower content of a folder with
``.wh..wh..opq`` in it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestrator.problems import Problems

WHITEOUT_PREFIX = ".wh."
OPAQUE_WHITEOUT = ".wh..wh..opq"
MAX_FILE_BYTES = 64 * 1024**2
"""Bytes read per file; package databases are far smaller."""


def read_files(archive: Path, should_read: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the content of the files for which ``should_read`` holds, by path without a leading slash.

    Layers are merged, so the result is what a container sees. Raises Problems if the file is not an image archive, or
    if Python cannot read a layer's compression.
    """
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as image:
            [manifest] = json.loads(_read_member(image, image.getmember("manifest.json")))
            for name in manifest["Layers"]:
                layer = image.extractfile(name)
                assert layer is not None
                contents = _apply_layer(contents, layer, should_read)
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        message = (
            f"the image was built, but its archive cannot be read ({type(error).__name__}: {error}); nothing was pushed"
        )
        raise Problems.from_message(message) from None
    return contents


def _apply_layer(
    lower_files: dict[str, bytes], layer: IO[bytes], should_read: Callable[[str], bool]
) -> dict[str, bytes]:
    """Return the files visible with ``layer`` on top of ``lower_files``."""
    added: dict[str, bytes] = {}
    with tarfile.open(fileobj=layer) as tar:
        for entry in tar:
            path = entry.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == OPAQUE_WHITEOUT:
                lower_files = dict(_iter_remaining(lower_files, folder))
            elif name.startswith(WHITEOUT_PREFIX):
                lower_files = dict(
                    _iter_remaining(lower_files, f"{folder}/{name.removeprefix(WHITEOUT_PREFIX)}".lstrip("/"))
                )
            elif (entry.isreg() or entry.islnk()) and should_read(path):
                with suppress(KeyError):  # a hard link to a file of another layer, which is read there
                    added[path] = _read_member(tar, entry)
    return {**lower_files, **added}


def _iter_remaining(files: dict[str, bytes], removed_path: str) -> Iterator[tuple[str, bytes]]:
    """Yield all files except ``removed_path`` and everything below it; "" is the root."""
    for path, content in files.items():
        if removed_path and path != removed_path and not path.startswith(f"{removed_path}/"):
            yield path, content


def _read_member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(entry)
    assert stream is not None
    with stream:
        return stream.read(MAX_FILE_BYTES)
