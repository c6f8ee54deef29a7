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
from orchestrator.resources import Aws
from orchestrator.resources._bucket_child import inside
from orchestrator.resources.s3_site.file_sources import NEW_BUCKET, PATIENCE, source
from orchestrator.resources.s3_site.invalidation import forget
from orchestrator.resources.s3_site.live_site import BEGUN, WHOLE, Standing, look
from orchestrator.steps import Batch, Call, Steps, call
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset(
    {"s3_bucket", "s3_bucket_policy", "cloudfront_distribution", "apprunner_service", "ecs_express_service"}
)
ARN = None

INDEX = "index.html"
PAGES = (".html", ".htm")
AS_BUILT = "as built"
AT_ONCE = 1000
"""Keys that one DeleteObjects takes."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """The site's digest is compared, and whether any file is amiss; ``shipping`` is what it takes to ship it."""
    return {"files": AS_BUILT, **spec}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing tells all while the site stands as it should; else the index of the one that stands is read too."""
    wanted = spec["shipping"].value
    seen = inside(
        aws, scope, name, lambda _: look(aws, scope, name, wanted["site"], wanted["store"], by_etag=wanted["by_etag"])
    )
    if seen is None:
        return None
    found, marks = seen
    return Live({"site": found.shown, "files": _differences(found)}, {"digest": found.shown}, {"found": found}, **marks)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Everything, into a bucket that is new."""
    nothing = Live({}, private={"found": Standing(spec["shipping"].value["site"], {}, by_etag=True)})
    return (yield from update(scope, name, spec, nothing, frozenset()))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """New parts, then what shows them, the front page last; then old pages go, and the CDN is told.

    Killed anywhere, a mark that goes last of all shows it, and the next run does what is left.
    """
    wanted, found = spec["shipping"].value, live.private["found"]
    site: Site = wanted["site"]
    owner = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    puts = [*found.wrong, *found.stale]
    if puts or found.whole != site.digest:
        if not found.resumes:
            key = f"{BEGUN}{site.digest}"
            yield Call("s3", "put_object", {**owner, "Key": key}, retry=NEW_BUCKET, patience=PATIENCE)
        yield from _ship(site, name, wanted["store"], scope.account, found)
        yield call("s3", "put_object", **owner, Key=f"{WHOLE}{site.digest}")
        begun = [f"{BEGUN}{site.digest}"]
    else:
        begun = []
    yield from _remove(owner, found.gone, "pages that the site has no more")
    yield from forget(wanted["distributions"], found.forgotten, INDEX)
    yield from _remove(owner, dict.fromkeys([*found.marks, *begun]), "old marks")
    return {"digest": site.digest}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """The files go with their bucket."""
    yield from ()
    return {}


def _differences(found: Standing) -> str:
    """How many files are not as they should be."""
    changed = len(found.wrong) - len(found.new) + len(found.stale)
    counts = ((len(found.new), "to add"), (changed, "to change"), (len(found.gone), "to remove"))
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or AS_BUILT


def _ship(site: Site, name: str, store: str, account: str, found: Standing) -> Steps:
    """All files of the site that are not in place, each kind when all it leads to is there."""
    origin = source(site, name, store, account)
    is_entry = {path: file.entry for path, file in site.files.items()}
    yield from origin.parts([path for path in found.wrong if not is_entry[path]])
    yield from origin.keep([path for path in (*found.wrong, *found.stale) if is_entry[path]])
    yield from origin.show([path for path in found.stale if not is_entry[path]], "parts, under other headers")
    for title, paths in _phases(path for path in (*found.wrong, *found.stale) if is_entry[path]):
        yield from origin.show(paths, title)
    return {}


def _phases(entries: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """What is asked for by a name that stays, in the order in which it may be shown."""
    shown = list(entries)
    yield "files that keep their name", [path for path in shown if not path.endswith(PAGES)]
    yield "pages", [path for path in shown if path.endswith(PAGES) and path != INDEX]
    yield "the front page", [path for path in shown if path == INDEX]


def _remove(owner: Mapping[str, Any], keys: Iterable[str], title: str) -> Steps:
    objects = [{"Key": key} for key in keys]
    parts = [objects[start : start + AT_ONCE] for start in range(0, len(objects), AT_ONCE)]
    if parts:
        yield Batch(
            tuple(call("s3", "delete_objects", **owner, Delete={"Objects": part, "Quiet": True}) for part in parts),
            title,
        )
    return {}
