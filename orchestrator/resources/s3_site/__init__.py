"""The files of a static site in its bucket.  API: S3 ListObjectsV2, PutObject, CopyObject, DeleteObjects; CloudFront
CreateInvalidation.

The bucket's own listing is the truth (see ``standing``).  Files that carry their hash in their name are never removed
here, so every page that somebody still has open finds its parts; ``release.garbage_collection`` removes them when
no release needs them.  Entry files go into the release bucket as well, by their hash: going back copies them from
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.artefacts import Site
from orchestrator.resources import AwsReader
from orchestrator.resources._bucket_child import read_bucket_setting
from orchestrator.resources.s3_site.file_sources import NEW_BUCKET_CODES, NEW_BUCKET_TIMEOUT_SECONDS, create_source
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

INDEX_PATH = "index.html"
PAGE_SUFFIXES = (".html", ".htm")
UNCHANGED_TEXT = "as built"
MAX_KEYS_PER_DELETE = 1000
"""Keys that one DeleteObjects takes."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """The site's digest is compared, and whether any file is amiss; ``shipping`` is what it takes to ship it."""
    return {"files": UNCHANGED_TEXT, **spec}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """One listing tells all while the site stands as it should; else the index of the one that stands is read too."""
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
    """Everything, into a bucket that is new."""
    empty_live = LiveResource(
        {}, private={"found": LiveSite(spec["shipping"].value["site"], {}, can_compare_etags=True)}
    )
    return (yield from update(scope, name, spec, empty_live, frozenset()))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """New parts, then what shows them, the front page last; then old pages go, and the CDN is told.

    Killed anywhere, a mark that goes last of all shows it, and the next run does what is left.
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
        yield from _upload_files(site, name, shipping["store"], scope.account, live_site)
        yield call("s3", "put_object", **bucket_params, Key=f"{COMPLETE_PREFIX}{site.digest}")
        started_markers = [f"{STARTED_PREFIX}{site.digest}"]
    else:
        started_markers = []
    yield from _delete_keys(bucket_params, live_site.removed_paths, "pages that the site has no more")
    yield from invalidate(shipping["distributions"], live_site.paths_to_invalidate, INDEX_PATH)
    yield from _delete_keys(bucket_params, dict.fromkeys([*live_site.obsolete_markers, *started_markers]), "old marks")
    return {"digest": site.digest}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """The files go with their bucket."""
    yield from ()
    return {}


def _summarize_differences(live_site: LiveSite) -> str:
    """How many files are not as they should be."""
    changed_count = len(live_site.changed_paths) - len(live_site.new_paths) + len(live_site.stale_paths)
    counts = (
        (len(live_site.new_paths), "to add"),
        (changed_count, "to change"),
        (len(live_site.removed_paths), "to remove"),
    )
    return ", ".join(f"{count:,} {label}" for count, label in counts if count) or UNCHANGED_TEXT


def _upload_files(site: Site, name: str, release_bucket: str, account: str, live_site: LiveSite) -> Steps:
    """All files of the site that are not in place, each kind when all it leads to is there."""
    source_files = create_source(site, name, release_bucket, account)
    is_entry = {path: file.entry for path, file in site.files.items()}
    yield from source_files.put_assets([path for path in live_site.changed_paths if not is_entry[path]])
    yield from source_files.archive_entries(
        [path for path in (*live_site.changed_paths, *live_site.stale_paths) if is_entry[path]]
    )
    yield from source_files.publish(
        [path for path in live_site.stale_paths if not is_entry[path]], "parts, under other headers"
    )
    for title, paths in _group_entries(
        path for path in (*live_site.changed_paths, *live_site.stale_paths) if is_entry[path]
    ):
        yield from source_files.publish(paths, title)
    return {}


def _group_entries(entry_paths: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """What is asked for by a name that stays, in the order in which it may be shown."""
    ordered_paths = list(entry_paths)
    yield "files that keep their name", [path for path in ordered_paths if not path.endswith(PAGE_SUFFIXES)]
    yield "pages", [path for path in ordered_paths if path.endswith(PAGE_SUFFIXES) and path != INDEX_PATH]
    yield "the front page", [path for path in ordered_paths if path == INDEX_PATH]


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
