"""Determine which site is live in a bucket and how it differs from another, from one listing and the site indexes.

An empty object ``.orchestrator/site/DIGEST`` marks a site as completely uploaded, ``.orchestrator/ship/DIGEST`` an
upload as started. S3's timestamps order them: the newest marker of the first kind names the live site, and objects
newer than it were written by someone else or by a run that was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from orchestrator import canonical_json
from orchestrator.artefacts import Site, SiteFile
from orchestrator.artefacts.sites.http_headers import is_page
from orchestrator.resources import AwsReader
from orchestrator.resources.s3_site import object_listing
from orchestrator.vocabulary import Scope

COMPLETE_PREFIX = ".orchestrator/site/"
STARTED_PREFIX = ".orchestrator/ship/"
ARCHIVE_PREFIX = "bodies/"
"""Key prefix in the release bucket of content by its SHA-256."""
BUCKET_NOT_FOUND_CODES = ("NoSuchBucket", "404")


@dataclass(frozen=True)
class LiveSite:
    """A bucket's content compared with the ``site`` that should be live.

    ``objects`` is the listing by key. ``other_sites`` are the other sites that markers name, by digest, if their index
    exists. ``can_compare_etags``: whether an ETag is the MD5 of the content; if not (KMS), sizes and timestamps are
    compared. ``archived_hashes`` are the SHA-256 of the content in the release bucket, read only for a site without a
    folder.
    """

    site: Site
    objects: Mapping[str, Mapping[str, Any]]
    can_compare_etags: bool
    other_sites: Mapping[str, Site] = field(default_factory=dict)
    archived_hashes: frozenset[str] = frozenset()

    @cached_property
    def current_digest(self) -> str | None:
        """Digest of the live site, or None."""
        completed_at = {
            key: item["LastModified"] for key, item in self.objects.items() if key.startswith(COMPLETE_PREFIX)
        }
        return (
            max(completed_at, key=lambda key: completed_at[key]).removeprefix(COMPLETE_PREFIX) if completed_at else None
        )

    @cached_property
    def obsolete_markers(self) -> tuple[str, ...]:
        """Keys of the markers to delete once the site is live."""
        own_marker = f"{COMPLETE_PREFIX}{self.site.digest}"
        return tuple(
            key for key in self.objects if key.startswith((COMPLETE_PREFIX, STARTED_PREFIX)) and key != own_marker
        )

    @cached_property
    def is_resuming(self) -> bool:
        """Whether the last upload started is of this site, by a run that was killed."""
        started_marker = self.objects.get(f"{STARTED_PREFIX}{self.site.digest}")
        return started_marker is not None and all(
            self.objects[key]["LastModified"] <= started_marker["LastModified"]
            for key in self.objects
            if key.startswith((COMPLETE_PREFIX, STARTED_PREFIX))
        )

    @cached_property
    def changed_paths(self) -> tuple[str, ...]:
        """Paths that are missing or have other content."""
        return tuple(path for path, file in self.site.files.items() if not self._has_same_bytes(path, file))

    @cached_property
    def stale_paths(self) -> tuple[str, ...]:
        """Paths with the right content, but possibly with other headers."""
        changed = set(self.changed_paths)
        return tuple(
            path
            for path, file in self.site.files.items()
            if path not in changed and not self._has_expected_headers(path, file)
        )

    @cached_property
    def new_paths(self) -> tuple[str, ...]:
        """Changed paths that do not exist in the bucket."""
        return tuple(path for path in self.changed_paths if path not in self.objects)

    @cached_property
    def removed_paths(self) -> tuple[str, ...]:
        """Pages of the other sites that are not part of this one.

        Everything else stays for tabs that are still open: a page may load it lazily, whatever its name
        (https://github.com/vitejs/vite/issues/11804).  ``release.garbage_collection`` deletes it.
        """
        return tuple(sorted({path for other in self.other_sites.values() for path in self._list_leftovers(other)}))

    @cached_property
    def overwritten_assets(self) -> Mapping[str, str]:
        """SHA-256 by path of the live site's assets that this site overwrites: only their own key has their bytes.

        A bundler may give other bytes the same name (https://github.com/vitejs/vite/issues/23225), and a file may only
        look as if its name had a hash.
        """
        live = self.other_sites.get(self.current_digest or "")
        if live is None:
            return {}
        return {
            path: live.files[path].sha256
            for path in (*self.changed_paths, *self.stale_paths)
            if path in live.files
            and not live.files[path].entry
            and live.files[path].sha256 != self.site.files[path].sha256
            and self._has_same_bytes(path, live.files[path])
        }

    @cached_property
    def lost_assets(self) -> tuple[str, ...]:
        """Assets of the site whose key is missing or has other bytes."""
        return tuple(
            path
            for path in dict.fromkeys((*self.changed_paths, *self.overwritten_assets))
            if not self.site.files[path].entry
        )

    @cached_property
    def paths_to_invalidate(self) -> tuple[str, ...]:
        """Paths that a CDN may have cached with other content or headers."""
        paths = {*self.changed_paths, *self.stale_paths, *self.removed_paths} - set(self.new_paths)
        for other in self.other_sites.values():
            common_paths = self.site.files.keys() & other.files.keys()
            paths |= {
                path
                for path in common_paths
                if served_content(self.site.files[path]) != served_content(other.files[path])
            }
        return tuple(sorted(paths))

    @property
    def description(self) -> str | None:
        """The live site as the plan shows it: only its digest if nothing needs to be done."""
        if self.current_digest != self.site.digest:
            return self.current_digest
        started_digest = next(
            (key.removeprefix(STARTED_PREFIX) for key in self.obsolete_markers if key.startswith(STARTED_PREFIX)), None
        )
        if started_digest not in {None, self.current_digest}:
            return f"{self.current_digest}, partially updated to {started_digest}"
        if self.changed_paths or self.stale_paths:
            return f"{self.current_digest}, changed manually"
        return f"{self.current_digest}, with obsolete markers" if self.obsolete_markers else self.current_digest

    def _has_same_bytes(self, path: str, file: SiteFile) -> bool:
        item = self.objects.get(path)
        if item is None or item["Size"] != file.size:
            return False
        return not self.can_compare_etags or item["ETag"].strip('"') == file.md5

    def _has_expected_headers(self, path: str, file: SiteFile) -> bool:
        """Return whether a file with the right content was written by a run that set the right headers."""
        modified = self.objects[path]["LastModified"]
        if self.is_resuming and modified >= self.objects[f"{STARTED_PREFIX}{self.site.digest}"]["LastModified"]:
            return True
        if self._previous_site is None or modified > self._completed_at:
            return False
        previous_file = self._previous_site.files.get(path)
        if previous_file is None:  # an asset of an earlier site: the right one only if its bytes can be compared
            return not file.entry and self.can_compare_etags
        return previous_file is file or served_content(previous_file) == served_content(file)

    @cached_property
    def _previous_site(self) -> Site | None:
        """The live site, if its index exists."""
        return self.site if self.current_digest == self.site.digest else self.other_sites.get(self.current_digest or "")

    @cached_property
    def _completed_at(self) -> datetime:
        """When the upload of the live site ended."""
        completed_at: datetime = self.objects[f"{COMPLETE_PREFIX}{self.current_digest}"]["LastModified"]
        return completed_at

    def _list_leftovers(self, other: Site) -> Iterator[str]:
        for path in other.files:
            if is_page(path) and path not in self.site.files and path in self.objects:
                yield path


def served_content(file: SiteFile) -> tuple[object, ...]:
    """Return what a browser receives: content hash, headers and status."""
    return file.sha256, file.content_type, file.cache_control, dict(file.headers), file.status


def read_live_site(
    aws: AwsReader, scope: Scope, bucket: str, site: Site, release_bucket: str, *, can_compare_etags: bool
) -> LiveSite:
    """Return the live site of ``bucket``. API: S3 ListObjectsV2; GetObject once for each other site with a marker.

    For a site without a folder whose assets are not all in place, ListObjectsV2 of the archived content as well.
    """
    objects = object_listing.list_objects(aws, bucket, scope.account, tuple(site.files))
    marked_digests = {
        key.removeprefix(COMPLETE_PREFIX).removeprefix(STARTED_PREFIX)
        for key in objects
        if key.startswith((COMPLETE_PREFIX, STARTED_PREFIX))
    }
    sites = {
        digest: _read_index(aws, release_bucket, scope.account, bucket, digest)
        for digest in sorted(marked_digests - {site.digest})
    }
    live_site = LiveSite(site, objects, can_compare_etags, {digest: index for digest, index in sites.items() if index})
    if site.folder is not None or not live_site.lost_assets:
        return live_site
    return replace(live_site, archived_hashes=_list_archived_hashes(aws, release_bucket, scope.account))


def _list_archived_hashes(aws: AwsReader, release_bucket: str, account: str) -> frozenset[str]:
    """Return the SHA-256 of each content in the release bucket."""
    request = {"Bucket": release_bucket, "Prefix": ARCHIVE_PREFIX, "ExpectedBucketOwner": account}
    items = aws.all("s3", "list_objects_v2", "Contents", missing=BUCKET_NOT_FOUND_CODES, **request)
    return frozenset(str(item["Key"]).removeprefix(ARCHIVE_PREFIX) for item in items)


def _read_index(aws: AwsReader, release_bucket: str, account: str, bucket: str, digest: str) -> Site | None:
    """Return the index of a site as it was uploaded, or None if it no longer exists."""
    key = f"sites/{bucket}/{digest}.json"
    request = {"Bucket": release_bucket, "Key": key, "ExpectedBucketOwner": account}
    response = aws.find_object(**request)
    return (
        None if response is None else canonical_json.load(response["Body"].read(), Site, f"s3://{release_bucket}/{key}")
    )
