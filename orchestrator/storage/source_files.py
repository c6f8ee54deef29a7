"""Read the files of a folder or of another bucket, as the source of a copy.

API: S3 ListObjectsV2, GetObject with If-Match: what is read is what was listed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.aws.errors import BODY_READ_ERRORS, AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.problems import Problems

CHUNK_BYTES = 1 << 20


class SourceFile(Struct, frozen=True):
    """One file: its name relative to the source, with ``/``, and its size in bytes; ``etag`` if it is in a bucket."""

    name: str
    size: int
    etag: str = ""


class Source(Protocol):
    """Where files are copied from."""

    def list(self) -> Iterator[SourceFile]:
        """Yield every file. Raises Problems."""

    def open(self, file: SourceFile) -> AbstractContextManager[Path]:
        """Return a context manager with the path of a file's bytes on this machine. Raises Problems."""


class FolderSource:
    """The regular files below a folder. Links are not followed: they can lead anywhere."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __str__(self) -> str:
        return str(self._root)

    def list(self) -> Iterator[SourceFile]:
        """See ``Source.list``."""
        pending = [self._root]
        while pending:
            folder = pending.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                raise Problems.from_message(f"cannot list {folder}: {error.strerror}") from None
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    name = Path(entry.path).relative_to(self._root).as_posix()
                    yield SourceFile(name, entry.stat(follow_symlinks=False).st_size)

    @contextmanager
    def open(self, file: SourceFile) -> Iterator[Path]:
        """See ``Source.open``."""
        yield self._root / file.name


class BucketSource:
    """The objects of a bucket below a prefix; each is downloaded to a temporary file while it is copied."""

    def __init__(self, caller: AwsCaller, bucket: str, prefix: str) -> None:
        self._caller = caller
        self._bucket = bucket
        self._prefix = prefix

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def list(self) -> Iterator[SourceFile]:
        """See ``Source.list``; objects that consoles create for folders are no files."""
        try:
            for page in self._caller.pages("s3", "list_objects_v2", {"Bucket": self._bucket, "Prefix": self._prefix}):
                for item in page.get("Contents") or ():
                    if not item["Key"].endswith("/"):
                        yield SourceFile(item["Key"].removeprefix(self._prefix), item["Size"], item["ETag"])
        except AwsError as error:
            raise Problems.from_message(f"cannot list {self}: {error}", hint=error.advice or None) from None

    @contextmanager
    def open(self, file: SourceFile) -> Iterator[Path]:
        """See ``Source.open``."""
        request = {"Bucket": self._bucket, "Key": f"{self._prefix}{file.name}", "IfMatch": file.etag}
        with tempfile.NamedTemporaryFile(prefix="orchestrator-copy-") as stream:
            try:
                with closing(self._caller.call("s3", "get_object", request)["Body"]) as body:
                    for block in body.iter_chunks(CHUNK_BYTES):
                        stream.write(block)
            except AwsError as error:
                raise Problems.from_message(
                    f"cannot read {self}{file.name}: {error}", hint="run the command again"
                ) from None
            except BODY_READ_ERRORS as error:
                message = f"{self}{file.name} was not received completely ({type(error).__name__})"
                raise Problems.from_message(message, hint="run the same command again: it copies the rest") from None
            stream.flush()
            if os.fstat(stream.fileno()).st_size != file.size:
                raise Problems.from_message(f"{self}{file.name} is incomplete", hint="run the same command again")
            yield Path(stream.name)


def open_source(location: str, caller: AwsCaller) -> FolderSource | BucketSource:
    """Return the source at a folder or at ``s3://BUCKET/PREFIX``. Raises Problems if there is no such folder."""
    if location.startswith("s3://"):
        parts = urlsplit(location)
        return BucketSource(caller, parts.netloc, parts.path.lstrip("/"))
    root = Path(location)
    if not root.is_dir():
        raise Problems.from_message(f"{location} is not a folder", hint="pass a folder, or s3://BUCKET/PREFIX")
    return FolderSource(root)
