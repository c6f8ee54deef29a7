"""Upload the files of a static site to its bucket.

API: S3 ListObjectsV2, PutObject, CopyObject, DeleteObjects; CloudFront CreateInvalidation.

The bucket's own listing is the source of truth (see ``live_site``). Only pages are deleted here: other files stay, so
that pages that are still open find what they load; ``release.garbage_collection`` deletes them once no release needs
them. Entry files, and assets before they are overwritten, are copied to the release bucket by their hash, from which a
rollback restores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.artefacts import Site
from orchestrator.resources import AwsReader
from orchestrator.resources._bucket_child import read_bucket_setting
from orchestrator.resources.s3_site.file_sources import (
    NEW_BUCKET_CODES,
    NEW_BUCKET_TIMEOUT_SECONDS,
    FileSource,
    archive_overwritten,
    create_source,
)
from orchestrator.resources.s3_site.invalidation import invalidate
from orchestrator.resources.s3_site.live_site import COMPLETE_PREFIX, STARTED_PREFIX, LiveSite, read_live_site
from orchestrator.steps import ApiCall, Batch, Steps, call
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset(
    {"s3_bucket", "s3_bucket_policy", "cloudfront_distribution", "apprunner_service", "ecs_express_service"}
)
ARN = None

PAGE_SUFFIXES = (".html", ".htm")
UNCHANGED_TEXT = "as built"
MAX_KEYS_PER_DELETE = 1000
"""Maximum number of keys per DeleteObjects."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ``files`` at its expected value.

    The site's digest and ``files`` are compared; ``shipping`` is the input of an upload.
    """
    return {"files": UNCHANGED_TEXT, **spec}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the live site from one listing, or None; the index of another site is read only if a marker names it."""
    shipping = spec["shipping"].value
    result = read_bucket_setting(
        aws,
        scope,
        name,
        lambda _: read_live_site(
            aws, scope, name, shipping["site"], shipping["store"], can_compare_etags=shipping["by_etag"]
        ),
    )
    if result is None:
        return None
    live_site, ownership = result
    return LiveResource(
        {"site": live_site.description, "files": _summarize_differences(live_site)},
        {"digest": live_site.description},
        {"found": live_site},
        **ownership,
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Upload all files to a new bucket."""
    empty_live = LiveResource(
        {}, private={"found": LiveSite(spec["shipping"].value["site"], {}, can_compare_etags=True)}
    )
    return (yield from update(scope, name, spec, empty_live, frozenset()))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Upload new assets, then pages, the index page last; delete removed pages and invalidate the CDN.

    The last step deletes a marker: if the run is killed before it, the next plan shows it and the next run completes
    it.
    """
    shipping, live_site = spec["shipping"].value, live.private["found"]
    site: Site = shipping["site"]
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    paths_to_write = [*live_site.changed_paths, *live_site.stale_paths]
    if paths_to_write or live_site.current_digest != site.digest:
        if not live_site.is_resuming:
            key = f"{STARTED_PREFIX}{site.digest}"
            yield ApiCall(
                "s3",
                "put_object",
                {**bucket_params, "Key": key},
                retry_codes=NEW_BUCKET_CODES,
                timeout_seconds=NEW_BUCKET_TIMEOUT_SECONDS,
            )
        etags = {path: str(live_site.objects[path]["ETag"]) for path in live_site.overwritten_assets}
        yield from archive_overwritten(name, shipping["store"], scope.account, live_site.overwritten_assets, etags)
        yield from _touch_superseded_index(name, shipping["store"], scope.account, live_site)
        yield from _upload_files(
            create_source(
                site, name, shipping["store"], scope.account, live_site.archived_hashes, shipping.get("origin")
            ),
            live_site,
        )
        yield call("s3", "put_object", **bucket_params, Key=f"{COMPLETE_PREFIX}{site.digest}")
        started_markers = [f"{STARTED_PREFIX}{site.digest}"]
    else:
        started_markers = []
    yield from _delete_keys(bucket_params, live_site.removed_paths, "pages removed from the site")
    yield from invalidate(shipping["distributions"], live_site.paths_to_invalidate, site.prefix)
    obsolete_keys = dict.fromkeys([*live_site.obsolete_markers, *started_markers])
    yield from _delete_keys(bucket_params, obsolete_keys, "obsolete markers")
    return {"digest": site.digest}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: the files are deleted with their bucket."""
    yield from ()
    return {}


def _summarize_differences(live_site: LiveSite) -> str:
    """Return how many files to add, change and remove, or UNCHANGED_TEXT."""
    changed_count = len(live_site.changed_paths) - len(live_site.new_paths) + len(live_site.stale_paths)
    counts = (
        (len(live_site.new_paths), "to add"),
        (changed_count, "to change"),
        (len(live_site.removed_paths), "to remove"),
    )
    return ", ".join(f"{count:,} {label}" for count, label in counts if count) or UNCHANGED_TEXT


def _upload_files(source_files: FileSource, live_site: LiveSite) -> Steps:
    """Yield the steps that upload changed files: assets first, then the pages that refer to them."""
    site = live_site.site
    is_entry = {path: file.entry for path, file in site.files.items()}
    yield from source_files.put_assets([path for path in live_site.changed_paths if not is_entry[path]])
    yield from source_files.archive_entries(
        [path for path in (*live_site.changed_paths, *live_site.stale_paths) if is_entry[path]]
    )
    yield from source_files.publish(
        [path for path in live_site.stale_paths if not is_entry[path]], "assets with changed headers"
    )
    for title, paths in _group_entries(
        (path for path in (*live_site.changed_paths, *live_site.stale_paths) if is_entry[path]), site.index_path
    ):
        yield from source_files.publish(paths, title)
    return {}


def _group_entries(entry_paths: Iterable[str], index_path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield entry files in upload order, with a title for each group."""
    ordered_paths = list(entry_paths)
    yield "files with stable names", [path for path in ordered_paths if not path.endswith(PAGE_SUFFIXES)]
    yield "pages", [path for path in ordered_paths if path.endswith(PAGE_SUFFIXES) and path != index_path]
    yield "the index page", [path for path in ordered_paths if path == index_path]


def _touch_superseded_index(name: str, release_bucket: str, account: str, live_site: LiveSite) -> Steps:
    """Copy the index of the superseded site onto itself: its age counts from now, when tabs begin to outlive it."""
    digest = live_site.current_digest
    if digest in live_site.other_sites:
        key = f"sites/{name}/{digest}.json"
        source = {"CopySource": f"{release_bucket}/{key}", "MetadataDirective": "REPLACE"}
        owners = {"ExpectedBucketOwner": account, "ExpectedSourceBucketOwner": account}
        request = {"Bucket": release_bucket, "Key": key, "ContentType": "application/json", **source, **owners}
        yield call("s3", "copy_object", **request)
    return {}


def _delete_keys(bucket_params: Mapping[str, Any], keys: Iterable[str], title: str) -> Steps:
    objects = [{"Key": key} for key in keys]
    batches = [objects[start : start + MAX_KEYS_PER_DELETE] for start in range(0, len(objects), MAX_KEYS_PER_DELETE)]
    if batches:
        yield Batch(
            tuple(
                call("s3", "delete_objects", **bucket_params, Delete={"Objects": batch, "Quiet": True})
                for batch in batches
            ),
            title,
        )
    return {}
