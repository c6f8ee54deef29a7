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

REMOVED = ".wh."
EMPTIED = ".wh..wh..opq"
LARGEST = 64 * 1024**2
"""Bytes of one file: a package database is far smaller."""


def files(archive: Path, tells: Callable[[str], bool]) -> dict[str, bytes]:
    """Path (without a slash in front) -> content, of the files whose path ``tells``, as a container would see them.

    Raises Problems when it is no archive of an image, or a layer is packed in a way that Python cannot read.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as image:
            [listed] = json.loads(_content(image, image.getmember("manifest.json")))
            for name in listed["Layers"]:
                layer = image.extractfile(name)
                assert layer is not None
                found = _over(found, layer, tells)
    except (tarfile.TarError, OSError, KeyError, ValueError) as error:
        message = (
            f"the image was built, and its archive cannot be read ({type(error).__name__}: {error}); nothing was pushed"
        )
        raise Problems.one(message) from None
    return found


def _over(below: dict[str, bytes], layer: IO[bytes], tells: Callable[[str], bool]) -> dict[str, bytes]:
    """What is seen with ``layer`` on top."""
    added: dict[str, bytes] = {}
    with tarfile.open(fileobj=layer) as tar:
        for entry in tar:
            path = entry.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == EMPTIED:
                below = dict(_without(below, folder))
            elif name.startswith(REMOVED):
                below = dict(_without(below, f"{folder}/{name.removeprefix(REMOVED)}".lstrip("/")))
            elif (entry.isreg() or entry.islnk()) and tells(path):
                with suppress(KeyError):  # a link to what lies in another layer says what is known from there
                    added[path] = _content(tar, entry)
    return {**below, **added}


def _without(files: dict[str, bytes], gone: str) -> Iterator[tuple[str, bytes]]:
    """All but the file or folder ``gone``; "" is the root."""
    for path, content in files.items():
        if gone and path != gone and not path.startswith(f"{gone}/"):
            yield path, content


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(entry)
    assert stream is not None
    with stream:
        return stream.read(LARGEST)
