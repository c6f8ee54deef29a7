"""Each read of an object, while S3 answers 404 for objects that exist, and for objects that do not.

Amazon S3, PutBucketVersioning: after versioning is enabled for the first time, "you might encounter intermittent HTTP
404 NoSuchKey errors for requests to objects created or updated after enabling versioning" for up to 15 minutes.  A
migration ran twice, a model went out of use and a release lost its site where one such answer counted as absence.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.aws import AwsError, Reader
from orchestrator.aws.s3_object import NOT_VISIBLE_CODE, PAUSES_SECONDS, read_object
from orchestrator.problems import Problems
from orchestrator.recovery import ledger_versions
from orchestrator.recovery.file_restore import ObjectVersion
from orchestrator.release import Ledger, bucket_lease, live_versions, restorability
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.resources import migration, s3_model
from orchestrator.resources.s3_site import live_site
from orchestrator.storage import MissingFileError
from orchestrator.storage.s3 import S3FileStorage
from orchestrator.storage.stored_checksum import read_stored
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import Scope
from tests.aws.fake_clients import ScriptedCaller

SOURCES = Path(orchestrator.__file__).parent
SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
SITE = Site("d" * 64, {}, None)
DIGEST = SITE.digest
POINTER = b'{"version": "m1"}'
OBJECTS = {
    "releases/ledger/prod.json": canonical_json.dump(Ledger()),
    f"releases/sites/web/{DIGEST}.json": canonical_json.dump(SITE),
    "releases/models/files/m1.json": POINTER,
    "releases/migrations/prod/api/1": b"",
    "releases/lease/prod.json": b'{"owner": "ben", "reason": "deploy", "token": "t", "until": 1.0}',
    "files/ml-models/current.json": POINTER,
    "files/ml-models/m1/model.json": b"{}",
}
MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


class HidingBucket:
    """S3 in memory that answers 404 to the first ``hidden`` reads of each object."""

    def __init__(self, hidden: int, objects: dict[str, bytes]) -> None:
        self._hidden = hidden
        self._objects = objects
        self._reads: dict[str, int] = {}
        self.pauses: list[float] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        bucket = parameters["Bucket"]
        if operation == "list_objects_v2":
            keys = sorted(name.partition("/")[2] for name in self._objects if name.startswith(f"{bucket}/"))
            return {"Contents": [{"Key": key} for key in keys if key.startswith(parameters.get("Prefix", ""))]}
        if operation == "put_object":
            return {"ETag": '"f"'}
        name = f"{bucket}/{parameters['Key']}"
        reads = self._reads[name] = self._reads.get(name, 0) + 1
        if name not in self._objects or reads <= self._hidden:
            raise AwsError(service, operation, "404" if operation == "head_object" else "NoSuchKey", "Not Found")
        body = self._objects[name]
        headers = {"ETag": '"e"', "LastModified": MOMENT, "ContentLength": len(body), "ChecksumSHA256": "AAAA"}
        return {**headers, "Body": _Body(body)}

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        return [self.call(service, operation, parameters, region)]

    def presign(self, service: str, operation: str, parameters: dict[str, Any], seconds: int) -> str:
        return "https://signed"

    @property
    def reader(self) -> Reader:
        return Reader(self, self.pauses.append)

    @property
    def store(self) -> LedgerStore:
        return LedgerStore(self, "releases", "prod", self.pauses.append)


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        yield self.read()


def read_migration(bucket: HidingBucket) -> Any:
    spec = {"build": "1", "how": WriteOnly({})}
    return migration.read(bucket.reader, SCOPE, "releases/migrations/prod/api/1", spec)


def read_ledger_version(bucket: HidingBucket) -> Any:
    version = ObjectVersion("ledger/prod.json", "v1", MOMENT)
    return ledger_versions._read_version(bucket, bucket.store, version).ledger


def find_missing_model(bucket: HidingBucket) -> Any:
    return list(restorability._find_missing_model("files", "m1", bucket.store, bucket.reader)) or None


def download(bucket: HidingBucket, folder: Path) -> Any:
    S3FileStorage(bucket, "files").download_file("ml-models/current.json", folder / "copy")
    return (folder / "copy").read_bytes()


READS: dict[str, Callable[[HidingBucket, Path], Any]] = {
    "resources/migration/__init__.py": lambda bucket, _: read_migration(bucket),
    "resources/s3_model.py": lambda bucket, _: s3_model.read(
        bucket.reader, SCOPE, "files/ml-models/current.json", {"kept": "x"}
    ),
    "resources/s3_site/live_site.py": lambda bucket, _: live_site._read_index(
        bucket.reader, "releases", SCOPE.account, "web", DIGEST
    ),
    "release/restorability.py": lambda bucket, _: find_missing_model(bucket),
    "release/live_versions.py": lambda bucket, _: live_versions.read_model_pointer("files", bucket),
    "release/ledger_store.py, ledger": lambda bucket, _: bucket.store.read(),
    "release/ledger_store.py, site": lambda bucket, _: bucket.store.load_site("web", DIGEST),
    "release/bucket_lease.py, holder": lambda bucket, _: bucket_lease.describe_lock(bucket.store),
    "release/bucket_lease.py, unlock": lambda bucket, _: bucket_lease.free(bucket.store, "ana", "it was killed"),
    "release/ledger_store.py, mark": lambda bucket, _: bucket.store.has("migrations/prod/api/1"),
    "recovery/ledger_versions.py": lambda bucket, _: read_ledger_version(bucket),
    "storage/s3.py, find": lambda bucket, _: S3FileStorage(bucket, "files").find("ml-models/current.json"),
    "storage/s3.py, read": lambda bucket, _: S3FileStorage(bucket, "files").read("ml-models/current.json"),
    "storage/s3.py, download": download,
    "storage/s3.py, link": lambda bucket, _: S3FileStorage(bucket, "files").create_link("ml-models/current.json").url,
    "storage/stored_checksum.py": lambda bucket, _: read_stored(bucket, "files", "ml-models/current.json"),
}
"""Every place that reads an object, by its source file."""
READERS = {"find_object", "has_object", "read_object", "object_exists"}
"""Functions that ask a listing before they say that an object does not exist."""
ONCE = {
    "release/ledger_store.py": "fetch_once, for a held or new lease: written on condition (test_release_bucket.py)",
    "storage/source_files.py": "an object of another bucket that the listing has just shown; 404 fails the copy",
    "storage/s3.py": "presign makes no request",
    "storage/stored_checksum.py": "reads the bytes of an object whose HEAD was answered",
}
"""Files that call GetObject or HeadObject by themselves, with the reason why a 404 is not taken for absence there."""


@pytest.mark.parametrize("place", READS)
def test_an_object_that_s3_does_not_show_is_read_again(tmp_path: Path, place: str) -> None:
    """After the shortest pause: several are in test_release_bucket.py."""
    expected = READS[place](HidingBucket(0, OBJECTS), tmp_path)

    assert READS[place](HidingBucket(1, OBJECTS), tmp_path) == expected
    assert (expected is None) is (place == "release/restorability.py")


@pytest.mark.parametrize("place", sorted(set(READS) - {"recovery/ledger_versions.py"}))
def test_an_object_that_no_listing_shows_does_not_exist(tmp_path: Path, place: str) -> None:
    """Without waiting: most first plans read objects that nobody has written."""
    bucket = HidingBucket(0, {"files/ml-models/m1/model.json": b"{}"})

    if place in {"storage/s3.py, read", "storage/s3.py, download", "storage/s3.py, link"}:
        with pytest.raises(MissingFileError):
            READS[place](bucket, tmp_path)
    else:
        assert READS[place](bucket, tmp_path) in (
            None,
            False,
            "",
            Ledger(),
            ["the pointer to model m1 is missing from s3://releases/models/files/m1.json"],
        )
    assert bucket.pauses == []


def test_an_object_that_stays_unseen_is_an_error_and_no_absence() -> None:
    """A first release over an existing ledger would be recorded otherwise."""
    bucket = HidingBucket(100, OBJECTS)

    with pytest.raises(AwsError) as raised:
        s3_model.read(bucket.reader, SCOPE, "files/ml-models/current.json", {"kept": "x"})
    with pytest.raises(Problems) as refused:
        bucket.store.read()

    assert (raised.value.code, bucket.pauses) == (NOT_VISIBLE_CODE, [*PAUSES_SECONDS] * 2)
    assert "up to 15 minutes" in (refused.value.problems[0].hint or "")


def test_a_listing_that_fails_says_nothing_about_the_object() -> None:
    refusals = {"get_object": "NoSuchKey", "list_objects_v2": "SlowDown"}
    caller = ScriptedCaller(lambda service, operation, _: AwsError(service, operation, refusals[operation], "no"))

    with pytest.raises(AwsError, match="SlowDown"):
        read_object(caller, "get_object", {"Bucket": "files", "Key": "x"})


def test_no_other_place_reads_objects() -> None:
    """Whoever reads an object in another way takes one 404 for absence sooner or later."""
    texts = {path.relative_to(SOURCES).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")}
    trees = {
        name: ast.parse(text)
        for name, text in texts.items()
        if not name.startswith(("emulator/", "aws/")) and "_object" in text
    }
    through_listing = {name for name, tree in trees.items() if _list_calls(tree) & READERS}
    by_themselves = {name for name, tree in trees.items() if _reads_directly(tree)}

    places = {place.partition(",")[0] for place in READS}
    assert through_listing == places - {"release/bucket_lease.py"}  # through the ledger's store
    assert by_themselves == set(ONCE)


def _list_calls(tree: ast.Module) -> set[str]:
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {getattr(function, "attr", getattr(function, "id", "")) for function in functions}


def _reads_directly(tree: ast.Module) -> bool:
    """Return whether a file passes the name of such an operation after that of the service, as clients take them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    pairs = [[getattr(item, "value", None) for item in call.args[:2]] for call in calls]
    return any(pair in (["s3", "get_object"], ["s3", "head_object"]) for pair in pairs)
