"""Store the layers and configurations of images as files in a temporary folder. Knows no HTTP.

Incomplete blobs stay among the uploads; a blob gets its name, its digest, only after its bytes match the digest.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path

DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")


class BlobStore:
    """All blobs of one emulator, by repository. The first upload creates the folder; ``clear`` deletes it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._owner_pid = os.getpid()

    def clear(self) -> None:
        """Delete everything. A fork of the process that created the folder leaves it alone."""
        folder, self._folder = self._folder, None
        if folder is not None and self._owner_pid == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)

    def start_upload(self) -> str:
        """Return the name of a new, empty upload."""
        name = uuid.uuid4().hex
        uploads_folder = self._ensure_folder() / "uploads"
        uploads_folder.mkdir(exist_ok=True)
        (uploads_folder / name).touch()
        return name

    def append_upload(self, upload: str, data: bytes) -> int | None:
        """Append to an upload and return its size in bytes, or None if it does not exist."""
        path = self._upload_path(upload)
        if path is None:
            return None
        with path.open("ab") as file:
            file.write(data)
            return file.tell()

    def finish_upload(self, upload: str, repository: str, digest: str) -> bool:
        """Turn an upload into a blob; delete the upload and return False if its digest differs."""
        path = self._upload_path(upload)
        if path is None or not DIGEST_PATTERN.fullmatch(digest):
            return False
        with path.open("rb") as file:
            actual_digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if actual_digest != digest:
            path.unlink()
            return False
        blob_path = self._blob_path(repository, digest)
        blob_path.parent.mkdir(parents=True, exist_ok=True)
        path.replace(blob_path)
        return True

    def cancel_upload(self, upload: str) -> bool:
        """Delete an upload; return whether it existed."""
        path = self._upload_path(upload)
        if path is not None:
            path.unlink()
        return path is not None

    def find_blob(self, repository: str, digest: str) -> Path | None:
        """Return the file of a blob, or None."""
        if self._folder is None or not DIGEST_PATTERN.fullmatch(digest):
            return None
        blob_path = self._blob_path(repository, digest)
        return blob_path if blob_path.is_file() else None

    def mount_blob(self, source: str, repository: str, digest: str) -> bool:
        """Link a blob of ``source`` into ``repository`` without a copy; return whether it existed."""
        source_path = self.find_blob(source, digest)
        if source_path is None:
            return False
        blob_path = self._blob_path(repository, digest)
        blob_path.parent.mkdir(parents=True, exist_ok=True)
        if not blob_path.exists():
            os.link(source_path, blob_path)
        return True

    def _ensure_folder(self) -> Path:
        if self._folder is None:
            self._folder, self._owner_pid = Path(tempfile.mkdtemp(prefix="orchestrator-registry-")), os.getpid()
        return self._folder

    def _blob_path(self, repository: str, digest: str) -> Path:
        return self._ensure_folder() / "blobs" / repository.replace("/", "%") / digest.partition(":")[2]

    def _upload_path(self, name: str) -> Path | None:
        if self._folder is None or not re.fullmatch(r"[0-9a-f]{32}", name):
            return None
        path = self._folder / "uploads" / name
        return path if path.is_file() else None
