"""Provide the bytes of a site: from a local folder, from S3 for an earlier release, or from another environment."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile, SiteOrigin
from orchestrator.artefacts.sites.site_options import METADATA_HEADER_PREFIX, METADATA_STATUS
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.resources.s3_site.live_site import ARCHIVE_PREFIX
from orchestrator.steps import ApiCall, Batch, Steps
from orchestrator.values import Value

NATIVE_PARAMETERS = {
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
}
"""Parameters of PutObject and CopyObject for the headers that S3 itself returns."""
NEW_BUCKET_CODES = ("NoSuchBucket",)
NEW_BUCKET_TIMEOUT_SECONDS = 60.0
"""Seconds until a new bucket is visible everywhere."""


class FileSource(Protocol):
    """What an upload needs from a source; each method yields at most a few batches."""

    def put_assets(self, paths: list[str]) -> Steps:
        """Put files whose name contains their hash."""

    def archive_entries(self, paths: list[str]) -> Steps:
        """Store in the release bucket what a rollback needs: the entry files and the index."""

    def publish(self, paths: list[str], title: str) -> Steps:
        """Put files under their public name, with their headers."""


def create_source(
    site: Site,
    bucket: str,
    release_bucket: str,
    account: str,
    archived_hashes: frozenset[str],
    origin: SiteOrigin | None = None,
) -> FileSource:
    """Return the source of a site built here, of one that is promoted from ``origin``, or of an earlier release."""
    if site.folder:
        return FolderSource(site, bucket, release_bucket, account)
    if origin is not None:
        return PromotedSource(site, bucket, release_bucket, account, origin)
    return ArchivedSource(site, bucket, release_bucket, account, archived_hashes)


def archive_overwritten(
    bucket: str, release_bucket: str, account: str, hashes: Mapping[str, str], etags: Mapping[str, str]
) -> Steps:
    """Copy assets to the release bucket before they are overwritten; ``hashes`` and ``etags`` are by path.

    A file that somebody changes meanwhile is not what its hash says, and is not copied (CopySourceIfMatch).
    """
    owners = {"ExpectedBucketOwner": account, "ExpectedSourceBucketOwner": account}
    calls = tuple(
        ApiCall(
            "s3",
            "copy_object",
            {
                "Bucket": release_bucket,
                "Key": f"{ARCHIVE_PREFIX}{sha256}",
                "CopySource": f"{bucket}/{path}",
                "CopySourceIfMatch": etags[path],
                **owners,
            },
            ok_codes=("PreconditionFailed",),
        )
        for path, sha256 in hashes.items()
    )
    if calls:
        yield Batch(calls, "overwritten assets, kept for a rollback")
    return {}


class FolderSource:
    """Files in a local folder; S3 verifies the SHA-256 of each upload."""

    def __init__(self, site: Site, bucket: str, release_bucket: str, account: str) -> None:
        assert site.folder is not None
        self._site, self._bucket, self._release_bucket = site, bucket, release_bucket
        self._owner_params = {"ExpectedBucketOwner": account}

    def put_assets(self, paths: list[str]) -> Steps:
        """Upload the files."""
        return (yield from self.publish(paths, "assets with a hash in their name"))

    def archive_entries(self, paths: list[str]) -> Steps:
        """Upload entry files that the release bucket lacks, and the index."""
        by_hash = {self._site.files[path].sha256: path for path in paths}
        if by_hash:
            archive_calls = tuple(self._archive_call(path, sha256) for sha256, path in by_hash.items())
            yield Batch(archive_calls, "entry files, kept for a rollback")
        yield _put_index(self._site, self._bucket, self._release_bucket, self._owner_params)
        return {}

    def publish(self, paths: list[str], title: str) -> Steps:
        """Upload the files."""
        if paths:
            yield Batch(tuple(self._upload_call(path) for path in paths), title)
        return {}

    def _upload_call(self, path: str) -> ApiCall:
        file = self._site.files[path]
        request = {
            "Bucket": self._bucket,
            "Key": path,
            "Body": Path(self._site.local_path(path)),
            "ChecksumSHA256": _encode_sha256(file),
        }
        return _retrying_call("put_object", {**request, **build_headers(file), **self._owner_params})

    def _archive_call(self, path: str, sha256: str) -> ApiCall:
        conditions = {"ChecksumSHA256": _encode_sha256(self._site.files[path]), "IfNoneMatch": "*"}
        request = {
            "Bucket": self._release_bucket,
            "Key": f"{ARCHIVE_PREFIX}{sha256}",
            "Body": Path(self._site.local_path(path)),
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
    """Files of an earlier release, copied within S3."""

    def __init__(
        self, site: Site, bucket: str, release_bucket: str, account: str, archived_hashes: frozenset[str]
    ) -> None:
        self._site, self._bucket, self._release_bucket, self._account = site, bucket, release_bucket, account
        self._archived_hashes = archived_hashes

    def put_assets(self, paths: list[str]) -> Steps:
        """Copy assets that were overwritten from the release bucket; the others must still exist.

        Raises Problems if ``paths`` names missing ones.
        """
        missing = [path for path in paths if self._site.files[path].sha256 not in self._archived_hashes]
        if missing:
            count = format_count(len(missing), "file")
            message = f"{self._bucket} no longer has {count} of site {self._site.digest[:12]}"
            hint = "list the releases you can roll back to: `orchestrator releases`"
            raise Problems.from_message(f"{message}, such as {missing[0]}", hint=hint)
        if paths:
            yield Batch(tuple(self._copy_call(path) for path in paths), "overwritten assets")
        return {}

    def archive_entries(self, paths: list[str]) -> Steps:
        """Do nothing: the release bucket already has them."""
        yield from ()
        return {}

    def publish(self, paths: list[str], title: str) -> Steps:
        """Copy within S3: entry files from the release bucket, assets with other headers onto themselves."""
        if paths:
            yield Batch(tuple(self._copy_call(path) for path in paths), title)
        return {}

    def _copy_call(self, path: str) -> ApiCall:
        file = self._site.files[path]
        is_archived = file.entry or file.sha256 in self._archived_hashes
        archive_key = f"{self._release_bucket}/{ARCHIVE_PREFIX}{file.sha256}"
        copy_source = archive_key if is_archived else f"{self._bucket}/{path}"
        owners = {"ExpectedBucketOwner": self._account, "ExpectedSourceBucketOwner": self._account}
        request = {"Bucket": self._bucket, "Key": path, "CopySource": copy_source, "MetadataDirective": "REPLACE"}
        return ApiCall("s3", "copy_object", {**request, **build_headers(file), **owners})


class PromotedSource:
    """Files of a site that another environment serves, copied within S3: the very bytes that were proved there."""

    def __init__(self, site: Site, bucket: str, release_bucket: str, account: str, origin: SiteOrigin) -> None:
        self._site, self._bucket, self._release_bucket, self._origin = site, bucket, release_bucket, origin
        self._owner_params = {"ExpectedBucketOwner": account}
        self._owners = {**self._owner_params, "ExpectedSourceBucketOwner": account}

    def put_assets(self, paths: list[str]) -> Steps:
        """Copy the files."""
        return (yield from self.publish(paths, "assets with a hash in their name"))

    def archive_entries(self, paths: list[str]) -> Steps:
        """Copy entry files to the release bucket of this environment, and put the index there."""
        by_hash = {self._site.files[path].sha256: path for path in paths}
        if by_hash:
            keys = {f"{ARCHIVE_PREFIX}{sha256}": path for sha256, path in by_hash.items()}
            calls = tuple(self._copy_call(path, self._release_bucket, key) for key, path in keys.items())
            yield Batch(calls, "entry files, kept for a rollback")
        yield _put_index(self._site, self._bucket, self._release_bucket, self._owner_params)
        return {}

    def publish(self, paths: list[str], title: str) -> Steps:
        """Copy the files, with their headers."""
        if paths:
            calls = tuple(
                self._copy_call(
                    path, self._bucket, path, MetadataDirective="REPLACE", **build_headers(self._site.files[path])
                )
                for path in paths
            )
            yield Batch(calls, f"{title}, from {self._origin.bucket}")
        return {}

    def _copy_call(self, path: str, bucket: str, key: str, **headers: Any) -> ApiCall:
        """Copy by the hash where there is an archive; else only the very content that the index names."""
        file, origin = self._site.files[path], self._origin
        if file.sha256 in origin.archived:
            source = {"CopySource": f"{origin.release_bucket}/{ARCHIVE_PREFIX}{file.sha256}"}
        else:
            source = {"CopySource": f"{origin.bucket}/{path}"}
            source |= {"CopySourceIfMatch": f'"{file.md5}"'} if origin.can_compare_etags else {}
        return _retrying_call("copy_object", {"Bucket": bucket, "Key": key, **source, **headers, **self._owners})


def _put_index(site: Site, bucket: str, release_bucket: str, owner_params: Mapping[str, str]) -> Batch:
    """Return the step that puts the index of a site where a rollback finds it."""
    index = {
        "Bucket": release_bucket,
        "Key": f"sites/{bucket}/{site.digest}.json",
        "Body": canonical_json.dump(replace(site, folder=None)),
        "ContentType": "application/json",
        **owner_params,
    }
    return Batch((_retrying_call("put_object", index),), "the site index, kept for a rollback")


def build_headers(file: SiteFile) -> dict[str, Any]:
    """Return a file's headers as S3 parameters; the CDN's function turns metadata into headers and the status."""
    headers = {"ContentType": file.content_type, "CacheControl": file.cache_control}
    metadata = {METADATA_STATUS: str(file.status)} if file.status != 200 else {}
    for name, value in ((name.lower(), value) for name, value in file.headers.items()):
        if name in NATIVE_PARAMETERS:
            headers[NATIVE_PARAMETERS[name]] = value
        else:
            metadata[f"{METADATA_HEADER_PREFIX}{name}"] = value
    return {**headers, **({"Metadata": metadata} if metadata else {})}


def _retrying_call(operation: str, request: Mapping[str, Value]) -> ApiCall:
    return ApiCall("s3", operation, request, retry_codes=NEW_BUCKET_CODES, timeout_seconds=NEW_BUCKET_TIMEOUT_SECONDS)


def _encode_sha256(file: SiteFile) -> str:
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()
