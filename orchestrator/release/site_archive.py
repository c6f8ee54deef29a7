"""Make sure that the release bucket holds what restores a recorded site: its index and the bodies of its entry files.

A site is uploaded only when its own bucket differs, so nothing else notices that the release bucket was emptied.
API: S3 ListObjectsV2, HeadObject, PutObject, CopyObject.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.aws.reader import AwsCaller
from orchestrator.quantities import format_count
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.resources.s3_site.live_site import ARCHIVE_PREFIX


def restore_archives(candidate: ReleaseCandidate, caller: AwsCaller, store: LedgerStore) -> tuple[str, ...]:
    """Put back what the release bucket lacks of the sites that ``candidate`` ships; return a warning for each.

    Call it after the sites were verified: their buckets then hold these very files.  Raises AwsError or Problems if an
    object cannot be written.
    """
    sites = candidate.artefacts.sites
    if not sites:
        return ()
    pages = caller.pages("s3", "list_objects_v2", {"Bucket": store.bucket, "Prefix": ARCHIVE_PREFIX})
    archived = {item["Key"].removeprefix(ARCHIVE_PREFIX) for page in pages for item in page.get("Contents", ())}
    buckets = {item.component: item.physical for item in candidate.desired.resources if item.type == "s3_bucket"}
    return tuple(
        warning
        for handle, site in sites.items()
        for warning in _restore_archive(handle, site, buckets[handle], archived, caller, store)
    )


def _restore_archive(
    handle: str, site: Site, bucket: str, archived: set[str], caller: AwsCaller, store: LedgerStore
) -> Iterator[str]:
    paths = {file.sha256: path for path, file in site.files.items() if file.entry and file.sha256 not in archived}
    for sha256, path in paths.items():
        _restore_body(site, path, sha256, bucket, caller, store)
    index_key = f"sites/{bucket}/{site.digest}.json"
    has_index = store.has(index_key)
    if not has_index:
        store.put(index_key, canonical_json.dump(replace(site, folder=None)), previous=None)
    if paths or not has_index:
        count = format_count(len(paths) + (not has_index), "object")
        yield f"uploaded {count} that were missing in s3://{store.bucket} and that a rollback of {handle} needs"


def _restore_body(site: Site, path: str, sha256: str, bucket: str, caller: AwsCaller, store: LedgerStore) -> None:
    target = {"Bucket": store.bucket, "Key": f"{ARCHIVE_PREFIX}{sha256}"}
    if site.folder is not None:
        caller.call("s3", "put_object", {**target, "Body": Path(site.local_path(path)).read_bytes()})
    else:
        caller.call("s3", "copy_object", {**target, "CopySource": f"{bucket}/{path}"})
