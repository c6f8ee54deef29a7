"""The layers and configurations of images, as files in a folder of the emulator's own.  Knows no HTTP.

What is not whole lies among the uploads; a blob gets its name, which is its digest, only when its bytes agree with it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Blobs:
    """All blobs of one emulator, by repository.  The folder is made at the first upload and removed by ``forget``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._owner = os.getpid()

    def forget(self) -> None:
        """Remove everything.  A fork of the process that made the folder leaves it alone."""
        folder, self._folder = self._folder, None
        if folder is not None and self._owner == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)

    def begin(self) -> str:
        """The name of a new, empty upload."""
        name = uuid.uuid4().hex
        place = self._root() / "uploads"
        place.mkdir(exist_ok=True)
        (place / name).touch()
        return name

    def append(self, upload: str, data: bytes) -> int | None:
        """The size in bytes of an upload with ``data`` added, or None where there is no such upload."""
        path = self._upload(upload)
        if path is None:
            return None
        with path.open("ab") as file:
            file.write(data)
            return file.tell()

    def finish(self, upload: str, repository: str, digest: str) -> bool:
        """Turn an upload into the blob that it is; False, and the upload is gone, when its bytes say otherwise."""
        path = self._upload(upload)
        if path is None or not DIGEST.fullmatch(digest):
            return False
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            path.unlink()
            return False
        place = self._place(repository, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
        return True

    def cancel(self, upload: str) -> bool:
        """Drop an upload; whether there was one."""
        path = self._upload(upload)
        if path is not None:
            path.unlink()
        return path is not None

    def find(self, repository: str, digest: str) -> Path | None:
        """The file of a blob, or None."""
        if self._folder is None or not DIGEST.fullmatch(digest):
            return None
        place = self._place(repository, digest)
        return place if place.is_file() else None

    def mount(self, source: str, repository: str, digest: str) -> bool:
        """Have a blob of ``source`` in ``repository`` too, without copying it; whether it was there."""
        found = self.find(source, digest)
        if found is None:
            return False
        place = self._place(repository, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.link(found, place)
        return True

    def _root(self) -> Path:
        if self._folder is None:
            self._folder, self._owner = Path(tempfile.mkdtemp(prefix="orchestrator-registry-")), os.getpid()
        return self._folder

    def _place(self, repository: str, digest: str) -> Path:
        return self._root() / "blobs" / repository.replace("/", "%") / digest.partition(":")[2]

    def _upload(self, name: str) -> Path | None:
        if self._folder is None or not re.fullmatch(r"[0-9a-f]{32}", name):
            return None
        path = self._folder / "uploads" / name
        return path if path.is_file() else None
