"""The files that tell which packages an image holds, out of the archive that a builder writes of it.

An archive in Docker's format: a tar with ``manifest.json``, which names the layers, each a tar, the lowest first.  A
layer removes a file of those below by ``.wh.NAME`` beside it, and a whole folder's content by ``.wh..wh..opq`` in it.
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
"""Bytes of one file: a package database is far smaller."""


def read_files(archive: Path, should_read: Callable[[str], bool]) -> dict[str, bytes]:
    """Path (without a slash in front) -> content, of the files whose path ``tells``, as a container would see them.

    Raises Problems when it is no archive of an image, or a layer is packed in a way that Python cannot read.
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
            f"the image was built, and its archive cannot be read ({type(error).__name__}: {error}); nothing was pushed"
        )
        raise Problems.from_message(message) from None
    return contents


def _apply_layer(
    lower_files: dict[str, bytes], layer: IO[bytes], should_read: Callable[[str], bool]
) -> dict[str, bytes]:
    """What is seen with ``layer`` on top."""
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
                with suppress(KeyError):  # a link to what lies in another layer says what is known from there
                    added[path] = _read_member(tar, entry)
    return {**lower_files, **added}


def _iter_remaining(files: dict[str, bytes], removed_path: str) -> Iterator[tuple[str, bytes]]:
    """All but the file or folder ``gone``; "" is the root."""
    for path, content in files.items():
        if removed_path and path != removed_path and not path.startswith(f"{removed_path}/"):
            yield path, content


def _read_member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(entry)
    assert stream is not None
    with stream:
        return stream.read(MAX_FILE_BYTES)
