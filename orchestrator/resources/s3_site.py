"""The files of a static site in its bucket.  API: S3 ListObjectsV2, PutObject, CopyObject, DeleteObjects; CloudFront
CreateInvalidation.

The bucket's own listing is the truth: S3's ETag of an object that came in one piece, not encrypted with KMS, is the
MD5 of its bytes.  An empty object whose *name* holds the site's digest says which site stands, headers and all; it is
written when the switch is complete.  Files that carry their hash in their name are never removed here, so every page
that somebody still has open finds its parts; ``orchestrator.release.retention`` removes them when no release needs
them.  Entry files go into the release bucket as well, by their hash: going back copies them from there.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator import wire
from orchestrator.artefacts import Site, SiteFile
from orchestrator.model import FieldChange, Live, Scope
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.steps import Batch, Call, Compute, Steps, call
from orchestrator.tags import mapping, marks
from orchestrator.values import Value

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket", "s3_bucket_policy", "cloudfront_distribution", "apprunner_service"})
ARN = None

NO_BUCKET = ("404", "403", "Forbidden", "AccessDenied", "NoSuchBucket")
MARK = ".orchestrator/site/"
INDEX = "index.html"
MOST_PATHS = 15
"""Paths of one invalidation; with more, everything is forgotten, which counts as one path."""
NEW_BUCKET = ("NoSuchBucket",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Only the site's digest is compared; ``shipping`` is what it takes to ship it."""
    return spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing tells all while the site stands as it should; else the index of the one that stands is read too."""
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    if aws.get("s3", "head_bucket", missing=NO_BUCKET, **where) is None:
        return None
    tags = aws.get("s3", "get_bucket_tagging", missing=("NoSuchTagSet", "NoSuchBucket"), **where) or {}
    by_etag = spec["shipping"].value["by_etag"]
    objects = aws.all("s3", "list_objects_v2", "Contents", Bucket=name, ExpectedBucketOwner=scope.account)
    there = {item["Key"]: item["ETag"].strip('"') if by_etag else item["Size"] for item in objects}
    stands = [key.removeprefix(MARK) for key in there if key.startswith(MARK)]
    wanted = spec["shipping"].value
    site: Site = wanted["site"]
    other = next((digest for digest in stands if digest != site.digest), None)
    before = _index(aws, wanted["store"], name, other) if other else None
    wrong = tuple(path for path, file in site.files.items() if there.get(path) != (file.md5 if by_etag else file.size))
    stale = tuple(path for path, file in site.files.items() if path not in wrong and _differs(before, path, file))
    extra = tuple(path for path in before.files if path not in site.files) if before else ()
    gone = tuple(path for path in extra if before and before.files[path].entry and path in there)
    found = {"wrong": wrong, "stale": stale, "gone": gone, "marks": tuple(stands), "new": _new(wrong, there)}
    shown = other or (f"{site.digest}, changed by hand" if stands and wrong else next(iter(stands), None))
    return Live({"site": shown}, {"digest": shown}, found, **marks(mapping(tags.get("TagSet"))))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Everything, into a bucket that is new."""
    paths = tuple(spec["shipping"].value["site"].files)
    nothing = Live({}, private={"wrong": paths, "stale": (), "gone": (), "marks": (), "new": paths})
    return (yield from update(scope, name, spec, nothing, frozenset()))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """New parts, then what shows them, the front page last; then the old pages go, and the CDN is told.

    Killed anywhere, the mark still names the site before, or none, and the next run does what is left.
    """
    wanted, found = spec["shipping"].value, live.private
    site: Site = wanted["site"]
    source = _Local(site, name, wanted["store"]) if site.folder else _Stored(site, name, wanted["store"])
    yield from source.parts([path for path in found["wrong"] if not site.files[path].entry])
    yield from source.keep([path for path in (*found["wrong"], *found["stale"]) if site.files[path].entry])
    entries = [path for path in found["wrong"] if site.files[path].entry]
    for title, paths in _phases([*entries, *found["stale"]], site):
        yield from source.show(paths, title)
    gone = list(found["gone"])
    if gone:
        yield _remove(name, gone)
    forgotten = [*found["wrong"], *found["stale"], *gone]
    if wanted["distribution"] is not None and set(forgotten) - set(found["new"]):
        yield from _invalidate(wanted["distribution"], [path for path in forgotten if path not in found["new"]])
    if site.digest not in found["marks"]:
        yield call("s3", "put_object", Bucket=name, Key=f"{MARK}{site.digest}")
    if others := [f"{MARK}{digest}" for digest in found["marks"] if digest != site.digest]:
        yield _remove(name, others)
    return {"digest": site.digest}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """The files go with their bucket."""
    yield from ()
    return {}


def effects(fields: tuple[FieldChange, ...], live: Live) -> Iterator[str]:
    """How many files."""
    found = live.private
    changed = len(set(found["wrong"]) - set(found["new"])) + len(found["stale"])
    yield f"{len(found['new'])} new files, {changed} changed, {len(found['gone'])} removed"


class _Local:
    """Files that are in a folder of this machine."""

    def __init__(self, site: Site, bucket: str, store: str) -> None:
        assert site.folder is not None
        self._site, self._bucket, self._store, self._folder = site, bucket, store, Path(site.folder)

    def parts(self, paths: list[str]) -> Steps:
        """Upload what carries its hash in its name."""
        if paths:
            yield Batch(tuple(self._put(path) for path in paths), "files that are named by their content")
        return {}

    def keep(self, paths: list[str]) -> Steps:
        """Put what a later return needs into the release bucket: the entry files' bytes, and the index."""
        by_hash = {self._site.files[path].sha256: path for path in paths}
        if by_hash:
            calls = tuple(self._body(path, sha256) for sha256, path in by_hash.items())
            yield Batch(calls, "pages, for the way back")
        body = wire.dump(Site(self._site.digest, self._site.files))
        key = f"sites/{self._bucket}/{self._site.digest}.json"
        index = {"Bucket": self._store, "Key": key, "Body": body, "ContentType": "application/json"}
        yield Batch((Call("s3", "put_object", index, retry=NEW_BUCKET, patience=60.0),), "the index, for the way back")
        return {}

    def show(self, paths: list[str], title: str) -> Steps:
        """Upload what is asked for by a name that stays."""
        yield Batch(tuple(self._put(path) for path in paths), title)
        return {}

    def _put(self, path: str) -> Call:
        file = self._site.files[path]
        given = {"Bucket": self._bucket, "Key": path, "Body": self._folder / path, **_headers(file)}
        return Call("s3", "put_object", {**given, "ChecksumSHA256": _checksum(file)}, retry=NEW_BUCKET, patience=60.0)

    def _body(self, path: str, sha256: str) -> Call:
        given = {"Bucket": self._store, "Key": f"bodies/{sha256}", "Body": self._folder / path, "IfNoneMatch": "*"}
        sums = {"ChecksumSHA256": _checksum(self._site.files[path])}
        return Call("s3", "put_object", {**given, **sums}, ok=("PreconditionFailed",), retry=NEW_BUCKET, patience=60.0)


class _Stored:
    """Files of an earlier release: nothing is uploaded."""

    def __init__(self, site: Site, bucket: str, store: str) -> None:
        self._site, self._bucket, self._store = site, bucket, store

    def parts(self, paths: list[str]) -> Steps:
        """They are there still, or the site cannot come back."""
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
        """Copy inside of S3: what shows the parts from the release bucket, a part with other headers onto itself."""
        yield Batch(tuple(self._copy(path) for path in paths), title)
        return {}

    def _copy(self, path: str) -> Call:
        file = self._site.files[path]
        source = f"{self._store}/bodies/{file.sha256}" if file.entry else f"{self._bucket}/{path}"
        given = {"Bucket": self._bucket, "Key": path, "CopySource": source, "MetadataDirective": "REPLACE"}
        return Call("s3", "copy_object", {**given, **_headers(file)})


def _phases(paths: Iterable[str], site: Site) -> Iterator[tuple[str, list[str]]]:
    """What shows the parts, in the order in which it may be shown: the front page when all it leads to is there."""
    shown = list(dict.fromkeys(paths))
    parts = [path for path in shown if not site.files[path].entry]
    entries = [path for path in shown if site.files[path].entry]
    pages = [path for path in entries if path.endswith((".html", ".htm")) and path != INDEX]
    others = [path for path in entries if path not in pages and path != INDEX]
    phases = (
        ("parts, under other headers", parts),
        ("files that keep their name", others),
        ("pages", pages),
        ("the front page", [path for path in entries if path == INDEX]),
    )
    return ((title, found) for title, found in phases if found)


def _differs(before: Site | None, path: str, file: SiteFile) -> bool:
    """Whether the same path was served otherwise by the site before: other headers, or bytes of the same length."""
    old = before.files.get(path) if before else None
    return old is not None and _served(old) != _served(file)


def _served(file: SiteFile) -> tuple[str, ...]:
    return file.sha256, file.content_type, file.cache_control


def _new(wrong: Iterable[str], there: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(path for path in wrong if path not in there)


def _index(aws: Aws, store: str, name: str, digest: str) -> Site | None:
    """The site that stands, as it was shipped; None where nobody knows any more."""
    key = f"sites/{name}/{digest}.json"
    answer = aws.get("s3", "get_object", Bucket=store, Key=key, missing=("NoSuchKey", "NoSuchBucket", "404"))
    return None if answer is None else wire.load(answer["Body"].read(), Site, f"s3://{store}/{key}")


def _headers(file: SiteFile) -> dict[str, str]:
    return {"ContentType": file.content_type, "CacheControl": file.cache_control}


def _checksum(file: SiteFile) -> str:
    return base64.b64encode(bytes.fromhex(file.sha256)).decode()


def _remove(bucket: str, keys: list[str]) -> Batch:
    parts = [keys[start : start + 1000] for start in range(0, len(keys), 1000)]
    calls = (
        call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True})
        for part in parts
    )
    return Batch(tuple(calls), "what the site has no more" if not keys[0].startswith(MARK) else "the old mark")


def _invalidate(distribution: Value, paths: list[str]) -> Steps:
    """Have the CDN forget what has changed: as few paths as there are."""
    items = sorted({f"/{path}" for path in paths} | ({"/"} if INDEX in paths else set()))
    items = items if len(items) <= MOST_PATHS else ["/*"]
    reference = yield Compute("a reference of its own", _unique, ())
    batch = {"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": reference}
    yield call("cloudfront", "create_invalidation", DistributionId=distribution, InvalidationBatch=batch)
    return {}


def _unique() -> str:
    """CloudFront answers a reference that it knows with the invalidation that it made for it long ago."""
    return uuid.uuid4().hex
