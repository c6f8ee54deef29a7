"""Where the bytes of a site come from: a folder of this machine, or what S3 holds of an earlier release."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.problems import Problems
from orchestrator.steps import Batch, Call, Steps
from orchestrator.values import Value

NEW_BUCKET = ("NoSuchBucket",)
PATIENCE = 60.0
"""Seconds until a bucket that was just made is known everywhere."""


class Source(Protocol):
    """What shipping takes from a source; each method yields at most a few batches."""

    def parts(self, paths: list[str]) -> Steps:
        """Put files that are named by their content."""

    def keep(self, paths: list[str]) -> Steps:
        """Put into the release bucket what a later return needs: the bytes of entry files, and the index."""

    def show(self, paths: list[str], title: str) -> Steps:
        """Put files under the name by which they are asked for, with their headers."""


def source(site: Site, bucket: str, store: str, account: str) -> Source:
    """The folder of a site that was built here, S3 for one of an earlier release."""
    return Folder(site, bucket, store, account) if site.folder else Kept(site, bucket, store, account)


class Folder:
    """Files that are in a folder of this machine; S3 checks each against its SHA-256."""

    def __init__(self, site: Site, bucket: str, store: str, account: str) -> None:
        assert site.folder is not None
        self._site, self._bucket, self._store, self._folder = site, bucket, store, Path(site.folder)
        self._owner = {"ExpectedBucketOwner": account}

    def parts(self, paths: list[str]) -> Steps:
        """Uploads."""
        return (yield from self.show(paths, "files that are named by their content"))

    def keep(self, paths: list[str]) -> Steps:
        """Uploads bytes that are not there yet, and the index."""
        by_hash = {self._site.files[path].sha256: path for path in paths}
        if by_hash:
            bodies = tuple(self._body(path, sha256) for sha256, path in by_hash.items())
            yield Batch(bodies, "entry files, for the way back")
        body = canonical_json.dump(Site(self._site.digest, self._site.files))
        key = f"sites/{self._bucket}/{self._site.digest}.json"
        index = {"Bucket": self._store, "Key": key, "Body": body, "ContentType": "application/json", **self._owner}
        yield Batch((_patient("put_object", index),), "the index, for the way back")
        return {}

    def show(self, paths: list[str], title: str) -> Steps:
        """Uploads."""
        if paths:
            yield Batch(tuple(self._put(path) for path in paths), title)
        return {}

    def _put(self, path: str) -> Call:
        file = self._site.files[path]
        given = {"Bucket": self._bucket, "Key": path, "Body": self._folder / path, "ChecksumSHA256": _checksum(file)}
        return _patient("put_object", {**given, **headers(file), **self._owner})

    def _body(self, path: str, sha256: str) -> Call:
        sums = {"ChecksumSHA256": _checksum(self._site.files[path]), "IfNoneMatch": "*"}
        given = {"Bucket": self._store, "Key": f"bodies/{sha256}", "Body": self._folder / path, **sums, **self._owner}
        return Call("s3", "put_object", given, ok=("PreconditionFailed",), retry=NEW_BUCKET, patience=PATIENCE)


class Kept:
    """Files of an earlier release: nothing is uploaded."""

    def __init__(self, site: Site, bucket: str, store: str, account: str) -> None:
        self._site, self._bucket, self._store, self._account = site, bucket, store, account

    def parts(self, paths: list[str]) -> Steps:
        """They are there still, or the site cannot come back.

        Raises Problems.
        """
        if paths:
            message = f"{len(paths)} files of site {self._site.digest[:12]} are gone from {self._bucket}"
            raise Problems.one(f"{message}, such as {paths[0]}", hint="orchestrator releases shows what can come back")
        yield from ()
        return {}

    def keep(self, paths: list[str]) -> Steps:
        """It has been kept."""
        yield from ()
        return {}

    def show(self, paths: list[str], title: str) -> Steps:
        """Copies inside of S3: entry files from the release bucket, a part with other headers onto itself."""
        if paths:
            yield Batch(tuple(self._copy(path) for path in paths), title)
        return {}

    def _copy(self, path: str) -> Call:
        file = self._site.files[path]
        origin = f"{self._store}/bodies/{file.sha256}" if file.entry else f"{self._bucket}/{path}"
        owners = {"ExpectedBucketOwner": self._account, "ExpectedSourceBucketOwner": self._account}
        given = {"Bucket": self._bucket, "Key": path, "CopySource": origin, "MetadataDirective": "REPLACE"}
        return Call("s3", "copy_object", {**given, **headers(file), **owners})


def headers(file: SiteFile) -> dict[str, str]:
    """What the file is served with, in S3's words."""
    return {"ContentType": file.content_type, "CacheControl": file.cache_control}


def _patient(operation: str, given: Mapping[str, Value]) -> Call:
    return Call("s3", operation, given, retry=NEW_BUCKET, patience=PATIENCE)


def _checksum(file: SiteFile) -> str:
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()
