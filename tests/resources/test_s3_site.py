"""Sites shipped one after the other, some killed on the way, into an S3 of our own: what is there at the end.

The S3 is a dictionary with a clock, so that thousands of histories can be played.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import compute_digest, scan
from orchestrator.aws import AwsError, Reader, StepExecutor
from orchestrator.problems import Problems
from orchestrator.resources import s3_site
from orchestrator.resources.s3_site.live_site import LiveSite, read_live_site
from orchestrator.steps import ApiCall, Batch, execute_steps, trace_steps
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import LiveResource
from tests.resources.cases import SCOPE

WEB, STORE = "shop-web", "shop-releases"
ENTRIES = ("index.html", "about.html", "robots.txt", "manifest.json")
CHUNKS = ("assets/P2-DtpuluyH.js", "assets/P3-BXGlLOC5.js")
"""Chunks by names that Vite 8 wrote, of which one looks as if it kept its name."""
PARTS = ("assets/a-0a1b2c3d.js", "assets/b-1a2b3c4d.js", "assets/c-2a3b4c5d.css")


LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The end of the run."""


@dataclass(frozen=True)
class Thing:
    body: bytes
    type: str
    cache: str
    modified: datetime


class S3:
    """Buckets as a dictionary; dies at the ``fatal``-th write from now, before it is done."""

    def __init__(self) -> None:
        self.things: dict[tuple[str, str], Thing] = {}
        self.fatal = 0
        self.writes: list[str] = []
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def call(self, service: str, operation: str, given: dict[str, Any], region: str | None = None) -> Any:
        self._check_owner(operation, given)
        if operation == "get_object":
            thing = self.things.get((given["Bucket"], given["Key"]))
            if thing is None:
                raise AwsError("s3", operation, "NoSuchKey", "no such key")
            return {"Body": io.BytesIO(thing.body)}
        if operation == "list_objects_v2":
            left = [item for item in self._listed(given) if item["Key"] > given.get("StartAfter", "")]
            return {"Contents": left[: given["MaxKeys"]], "IsTruncated": len(left) > given["MaxKeys"]}
        self.writes.append(operation)
        if len(self.writes) == self.fatal:
            raise Killed
        self._now += timedelta(seconds=1)
        return getattr(self, operation)(given)

    def put_object(self, given: dict[str, Any]) -> dict[str, Any]:
        body = given.get("Body", b"")
        body = body.read_bytes() if isinstance(body, Path) else body
        self._keep(given, body)
        return {}

    def copy_object(self, given: dict[str, Any]) -> dict[str, Any]:
        bucket, _, key = given["CopySource"].partition("/")
        if (bucket, key) not in self.things:
            raise AwsError("s3", "copy_object", "NoSuchKey", "no such key")
        if given.get("CopySourceIfMatch", etag := f'"{_md5(self.things[bucket, key].body)}"') != etag:
            raise AwsError("s3", "copy_object", "PreconditionFailed", "other bytes")
        self._keep(given, self.things[bucket, key].body)
        return {}

    def delete_objects(self, given: dict[str, Any]) -> dict[str, Any]:
        for each in given["Delete"]["Objects"]:
            self.things.pop((given["Bucket"], each["Key"]), None)
        return {}

    def pages(self, service: str, operation: str, given: dict[str, Any], region: str | None = None) -> list[Any]:
        self._check_owner(operation, given)
        return [{"Contents": self._listed(given)}]

    def _check_owner(self, operation: str, given: Mapping[str, Any]) -> None:
        """Only with these headers S3 refuses a bucket that another account has taken over (S3 User Guide,
        "Verifying bucket ownership with bucket owner condition").
        """
        names = ["ExpectedBucketOwner", *(["ExpectedSourceBucketOwner"] if operation == "copy_object" else [])]
        assert [name for name in names if given.get(name) != SCOPE.account] == [], operation

    def _listed(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {"Key": key, "Size": len(thing.body), "ETag": f'"{_md5(thing.body)}"', "LastModified": thing.modified}
            for (bucket, key), thing in sorted(self.things.items())
            if bucket == given["Bucket"]
        ]

    def served(self) -> dict[str, tuple[bytes, str, str]]:
        """What the web bucket holds, without the marks."""
        return {
            key: (thing.body, thing.type, thing.cache)
            for (bucket, key), thing in self.things.items()
            if bucket == WEB and not key.startswith(".orchestrator/")
        }

    def _keep(self, given: Mapping[str, Any], body: bytes) -> None:
        headers = given.get("ContentType", ""), given.get("CacheControl", "")
        self.things[given["Bucket"], given["Key"]] = Thing(body, *headers, self._now)


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def stands(s3: S3, site: Site, *, by_etag: bool) -> LiveSite:
    return read_live_site(Reader(s3), SCOPE, WEB, site, STORE, can_compare_etags=by_etag)


def ship(s3: S3, site: Site, *, by_etag: bool = True) -> None:
    """As an apply does."""
    found = stands(s3, site, by_etag=by_etag)
    if found.description == site.digest and not found.changed_paths and not found.stale_paths:
        return
    shipping = {"site": site, "store": STORE, "by_etag": by_etag, "distributions": []}
    spec = {"site": site.digest, "shipping": WriteOnly(shipping)}
    live = LiveResource({}, private={"found": found})
    execute_steps(s3_site.update(SCOPE, WEB, spec, live, frozenset({"site"})), OneByOne(StepExecutor(s3)).perform)


class OneByOne:
    """Batches in order: a history can be played again."""

    def __init__(self, actuator: StepExecutor) -> None:
        self._actuator = actuator

    def perform(self, step: Any) -> Any:
        for each in step.calls if isinstance(step, Batch) else (step,):
            answer = self._actuator.perform(each)
        return answer


def build(folder: Path, contents: Mapping[str, str], odd_types: bool) -> Site:
    """A site of these files; ``odd_types``: as an older version of this program would have typed them."""
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    site = scan(folder)
    if not odd_types:
        return site
    files = {path: replace(file, content_type="text/plain") for path, file in site.files.items()}
    return Site(compute_digest(files), files, site.folder)


CONTENTS = st.fixed_dictionaries(
    {"index.html": st.sampled_from(["one", "two", "six"])},
    optional={
        **{path: st.sampled_from(["one", "two"]) for path in ENTRIES[1:]},
        **{path: st.sampled_from(["one", "two"]) for path in PARTS},  # a bundler may give other bytes the same name
        **{path: st.just(path) for path in CHUNKS},
    },
)
HISTORY = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), max_size=5)


@pytest.mark.slow
@given(
    built=st.lists(st.tuples(CONTENTS, st.booleans()), min_size=4, max_size=4),
    history=HISTORY,
    last=st.integers(0, 3),
    by_etag=st.booleans(),
    foreign=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_whatever_was_begun_before_the_last_site_is_whole(
    built: list[tuple[Mapping[str, str], bool]],
    history: list[tuple[int, int]],
    last: int,
    by_etag: bool,
    foreign: bool,
) -> None:
    """Any sites in any order, each killed anywhere or not; then one that is not: it stands, with its headers.

    ``foreign``: somebody had put a page there before, with bytes that may be right and headers that are not.
    """
    s3 = S3()
    s3.things[WEB, "theirs.txt"] = Thing(b"theirs", "text/plain", "", LONG_AGO)
    if foreign:
        s3.things[WEB, "about.html"] = Thing(b"one", "application/odd", "", LONG_AGO)
    with TemporaryDirectory() as folder:
        sites = [build(Path(folder) / str(n), contents, odd) for n, (contents, odd) in enumerate(built)]
        for number, fatal in history:
            s3.writes, s3.fatal = [], fatal
            with suppress(Killed):
                ship(s3, sites[number], by_etag=by_etag)
        s3.fatal = 0
        ship(s3, sites[last], by_etag=by_etag)
        wanted = {
            path: ((Path(folder) / str(last) / path).read_bytes(), file.content_type, file.cache_control)
            for path, file in sites[last].files.items()
        }
        entries = {path for path, file in sites[last].files.items() if file.entry}
        served = s3.served()

        assert {path: served.get(path) for path in entries} == {path: wanted[path] for path in entries}
        assert {path: body for path, (body, *_) in served.items() if path in wanted} == {
            path: body for path, (body, *_) in wanted.items()
        }
        assert {path for path in served if path.endswith(".html")} - entries <= ({"about.html"} if foreign else set())
        assert served["theirs.txt"] == (b"theirs", "text/plain", "")
        assert stands(s3, sites[last], by_etag=by_etag).description == sites[last].digest


@given(CONTENTS, CONTENTS, st.integers(0, 25))
@settings(max_examples=80, deadline=None)
def test_going_back_needs_no_bytes_of_ours(first: Mapping[str, str], second: Mapping[str, str], fatal: int) -> None:
    """Even when the site that is left was only half there."""
    s3 = S3()
    with TemporaryDirectory() as folder:
        one, two = build(Path(folder) / "1", first, odd_types=False), build(Path(folder) / "2", second, odd_types=False)
        ship(s3, one)
        before = s3.served()
        s3.writes, s3.fatal = [], fatal
        with suppress(Killed):
            ship(s3, two)
    s3.fatal = 0
    ship(s3, replace(one, folder=None))  # the folder is gone

    assert {path: thing for path, thing in s3.served().items() if path.endswith(".html") or path in before} == before


@given(CONTENTS, CONTENTS)
@settings(max_examples=80, deadline=None)
def test_a_tab_that_stays_open_finds_all_but_pages(first: Mapping[str, str], second: Mapping[str, str]) -> None:
    """What a page may load later stays under its key, also over a rollback (vitejs/vite#11804)."""
    s3 = S3()
    with TemporaryDirectory() as folder:
        one, two = build(Path(folder) / "1", first, odd_types=False), build(Path(folder) / "2", second, odd_types=False)
        for site in (one, two, one):
            ship(s3, site)
            assert {path for path in first if not path.endswith(".html")} <= s3.served().keys()


def test_the_front_page_is_the_last_file_and_the_mark_the_last_put(tmp_path: Path) -> None:
    """Parts, then what is kept, then what shows them."""
    contents = {path: path for path in (*ENTRIES, *PARTS)}
    site = build(tmp_path, contents, odd_types=False)
    shipping = {"site": site, "store": STORE, "by_etag": True, "distributions": []}
    recording = trace_steps("s3_site.web", s3_site.create(SCOPE, WEB, {"site": "", "shipping": WriteOnly(shipping)}))
    puts = [
        str(call.parameters["Key"])
        for step in recording.steps
        for call in (step.calls if isinstance(step, Batch) else (step,))
        if isinstance(call, ApiCall) and call.operation == "put_object" and call.parameters["Bucket"] == WEB
    ]

    assert puts[0] == f".orchestrator/ship/{site.digest}"
    assert set(puts[1:4]) == set(PARTS)
    assert set(puts[4:6]) == {"robots.txt", "manifest.json"}
    assert puts[6:] == ["about.html", "index.html", f".orchestrator/site/{site.digest}"]


def test_parts_that_are_gone_cannot_come_back(tmp_path: Path) -> None:
    site = replace(build(tmp_path, {"index.html": "", PARTS[0]: ""}, odd_types=False), folder=None)

    with pytest.raises(Problems, match=rf"{WEB} no longer has 1 file of site {site.digest[:12]}"):
        ship(S3(), site)
