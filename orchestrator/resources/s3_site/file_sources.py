"""Where the bytes of a site come from: a folder of this machine, or what S3 holds of an earlier release."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.problems import Problems
from orchestrator.steps import ApiCall, Batch, Steps
from orchestrator.values import Value

NEW_BUCKET_CODES = ("NoSuchBucket",)
NEW_BUCKET_TIMEOUT_SECONDS = 60.0
"""Seconds until a bucket that was just made is known everywhere."""


class FileSource(Protocol):
    """What shipping takes from a source; each method yields at most a few batches."""

    def put_assets(self, paths: list[str]) -> Steps:
        """Put files that are named by their content."""

    def archive_entries(self, paths: list[str]) -> Steps:
        """Put into the release bucket what a later return needs: the bytes of entry files, and the index."""

    def publish(self, paths: list[str], title: str) -> Steps:
        """Put files under the name by which they are asked for, with their headers."""


def create_source(site: Site, bucket: str, release_bucket: str, account: str) -> FileSource:
    """The folder of a site that was built here, S3 for one of an earlier release."""
    return (
        FolderSource(site, bucket, release_bucket, account)
        if site.folder
        else ArchivedSource(site, bucket, release_bucket, account)
    )


class FolderSource:
    """Files that are in a folder of this machine; S3 checks each against its SHA-256."""

    def __init__(self, site: Site, bucket: str, release_bucket: str, account: str) -> None:
        assert site.folder is not None
        self._site, self._bucket, self._release_bucket, self._folder = site, bucket, release_bucket, Path(site.folder)
        self._owner_params = {"ExpectedBucketOwner": account}

    def put_assets(self, paths: list[str]) -> Steps:
        """Uploads."""
        return (yield from self.publish(paths, "files that are named by their content"))

    def archive_entries(self, paths: list[str]) -> Steps:
        """Uploads bytes that are not there yet, and the index."""
        by_hash = {self._site.files[path].sha256: path for path in paths}
        if by_hash:
            archive_calls = tuple(self._archive_call(path, sha256) for sha256, path in by_hash.items())
            yield Batch(archive_calls, "entry files, for the way back")
        body = canonical_json.dump(Site(self._site.digest, self._site.files))
        key = f"sites/{self._bucket}/{self._site.digest}.json"
        index = {
            "Bucket": self._release_bucket,
            "Key": key,
            "Body": body,
            "ContentType": "application/json",
            **self._owner_params,
        }
        yield Batch((_retrying_call("put_object", index),), "the index, for the way back")
        return {}

    def publish(self, paths: list[str], title: str) -> Steps:
        """Uploads."""
        if paths:
            yield Batch(tuple(self._upload_call(path) for path in paths), title)
        return {}

    def _upload_call(self, path: str) -> ApiCall:
        file = self._site.files[path]
        request = {
            "Bucket": self._bucket,
            "Key": path,
            "Body": self._folder / path,
            "ChecksumSHA256": _encode_sha256(file),
        }
        return _retrying_call("put_object", {**request, **build_headers(file), **self._owner_params})

    def _archive_call(self, path: str, sha256: str) -> ApiCall:
        conditions = {"ChecksumSHA256": _encode_sha256(self._site.files[path]), "IfNoneMatch": "*"}
        request = {
            "Bucket": self._release_bucket,
            "Key": f"bodies/{sha256}",
            "Body": self._folder / path,
            **conditions,
            **self._owner_params,
        }
        return ApiCall(
            "s3",
            "put_object",
            request,
            ok_codes=("PreconditionFailed",),
            retry_codes=NEW_BUCKET_CODES,
            timeout_seconds=NEW_BUCKET_TIMEOUT_SECONDS,
        )


class ArchivedSource:
    """Files of an earlier release: nothing is uploaded."""

    def __init__(self, site: Site, bucket: str, release_bucket: str, account: str) -> None:
        self._site, self._bucket, self._release_bucket, self._account = site, bucket, release_bucket, account

    def put_assets(self, paths: list[str]) -> Steps:
        """They are there still, or the site cannot come back.

        Raises Problems.
        """
        if paths:
            message = f"{len(paths)} files of site {self._site.digest[:12]} are gone from {self._bucket}"
            raise Problems.from_message(
                f"{message}, such as {paths[0]}", hint="orchestrator releases shows what can come back"
            )
        yield from ()
        return {}

    def archive_entries(self, paths: list[str]) -> Steps:
        """It has been kept."""
        yield from ()
        return {}

    def publish(self, paths: list[str], title: str) -> Steps:
        """Copies inside of S3: entry files from the release bucket, a part with other headers onto itself."""
        if paths:
            yield Batch(tuple(self._copy_call(path) for path in paths), title)
        return {}

    def _copy_call(self, path: str) -> ApiCall:
        file = self._site.files[path]
        copy_source = f"{self._release_bucket}/bodies/{file.sha256}" if file.entry else f"{self._bucket}/{path}"
        owners = {"ExpectedBucketOwner": self._account, "ExpectedSourceBucketOwner": self._account}
        request = {"Bucket": self._bucket, "Key": path, "CopySource": copy_source, "MetadataDirective": "REPLACE"}
        return ApiCall("s3", "copy_object", {**request, **build_headers(file), **owners})


def build_headers(file: SiteFile) -> dict[str, str]:
    """What the file is served with, in S3's words."""
    return {"ContentType": file.content_type, "CacheControl": file.cache_control}


def _retrying_call(operation: str, request: Mapping[str, Value]) -> ApiCall:
    return ApiCall("s3", operation, request, retry_codes=NEW_BUCKET_CODES, timeout_seconds=NEW_BUCKET_TIMEOUT_SECONDS)


def _encode_sha256(file: SiteFile) -> str:
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()
