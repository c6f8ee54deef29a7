"""The release bucket: one ledger an environment, the lease beside it, indexes and bytes of sites.

The ledger is one object, written only over the version that was read (S3's If-Match), so two writers cannot both win.
API: S3 GetObject, PutObject with If-Match and If-None-Match.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import Caller
from orchestrator.planning.snapshot import HOPELESS
from orchestrator.problems import Problems
from orchestrator.release import Ledger

MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "404"})
LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
TRIES = 5


class Stored(Struct, frozen=True):
    """An object's bytes and the ETag under which they were read."""

    data: bytes
    etag: str


class Store:
    """What is kept of one environment in the release bucket."""

    def __init__(self, caller: Caller, bucket: str, environment: str) -> None:
        self.bucket = bucket
        self.environment = environment
        self._caller = caller

    def through(self, caller: Caller) -> Store:
        """The same store, asked by another caller."""
        return Store(caller, self.bucket, self.environment)

    @property
    def ledger_key(self) -> str:
        return f"ledger/{self.environment}.json"

    def exists(self) -> bool:
        """Whether there is the bucket yet.  Raises Problems."""
        try:
            self._caller.call("s3", "head_bucket", {"Bucket": self.bucket})
        except AwsError as error:
            if error.code in MISSING:
                return False
            raise self._trouble("look at", "", error) from None
        return True

    def read(self) -> Ledger:
        """The ledger; an empty one where there is no bucket or no release yet.

        Raises Problems: AWS refuses, or what is there cannot be read.
        """
        return self._ledger(self.fetch(self.ledger_key))

    def write(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Apply ``change`` to the newest ledger and store it; on a conflict both are done again.

        Raises Problems.
        """
        for _ in range(TRIES):
            before = self.fetch(self.ledger_key)
            after = change(self._ledger(before))
            if self.put(self.ledger_key, canonical_json.dump(after), over=before):
                return after
        raise Problems.one(
            f"s3://{self.bucket}/{self.ledger_key} was changed by others {TRIES} times while it was being written",
            hint="see who else deploys: orchestrator releases",
        )

    def site(self, bucket: str, digest: str) -> Site | None:
        """The site of one digest as it was shipped to ``bucket``, without a folder; None where its index is gone."""
        key = f"sites/{bucket}/{digest}.json"
        stored = self.fetch(key)
        return None if stored is None else canonical_json.load(stored.data, Site, f"s3://{self.bucket}/{key}")

    def fetch(self, key: str) -> Stored | None:
        """One object, or None where it (or the bucket) is not there.

        Raises Problems.
        """
        try:
            answer = self._caller.call("s3", "get_object", {"Bucket": self.bucket, "Key": key})
            return Stored(answer["Body"].read(), answer["ETag"])
        except AwsError as error:
            if error.code in MISSING:
                return None
            raise self._trouble("read", key, error) from None

    def put(self, key: str, data: bytes, over: Stored | None) -> bool:
        """Write one object over the version read before, or as a new one; False when somebody else was quicker.

        Raises Problems.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.etag}
        given = {"Bucket": self.bucket, "Key": key, "Body": data, "ContentType": "application/json"}
        try:
            self._caller.call("s3", "put_object", given | condition)
        except AwsError as error:
            if error.code in LOST or (over is not None and error.code in MISSING - {"NoSuchBucket"}):
                return False
            raise self._trouble("write", key, error) from None
        return True

    def remove(self, key: str) -> None:
        """Delete one object.  Raises Problems."""
        try:
            self._caller.call("s3", "delete_object", {"Bucket": self.bucket, "Key": key})
        except AwsError as error:
            if error.code not in MISSING:
                raise self._trouble("delete", key, error) from None

    def _ledger(self, stored: Stored | None) -> Ledger:
        if stored is None:
            return Ledger()
        try:
            return canonical_json.load(stored.data, Ledger, f"s3://{self.bucket}/{self.ledger_key}")
        except Problems as error:
            look = f"aws s3api list-object-versions --bucket {self.bucket} --prefix {self.ledger_key}"
            hint = f"nothing was done; if no newer orchestrator wrote it, put an earlier version of it back: {look}"
            raise Problems([replace(problem, hint=hint) for problem in error.problems]) from None

    def _trouble(self, deed: str, key: str, error: AwsError) -> Problems:
        return Problems.one(f"cannot {deed} s3://{self.bucket}/{key}: {error}", hint=HOPELESS.get(error.code))
