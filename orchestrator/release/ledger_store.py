"""Read and write the release bucket: the ledger and lease of an environment, and site indexes and bodies.

The ledger is one object.  A write succeeds only over the version that was read (S3 If-Match), so concurrent writers
cannot overwrite each other.
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
from orchestrator.aws.reader import AwsCaller
from orchestrator.planning.snapshot import FATAL_ERROR_HINTS
from orchestrator.problems import Problems
from orchestrator.release import Ledger

NOT_FOUND_CODES = frozenset({"NoSuchBucket", "NoSuchKey", "404"})
CONFLICT_CODES = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
MAX_WRITE_ATTEMPTS = 5


class StoredObject(Struct, frozen=True):
    """An object's bytes and ETag."""

    data: bytes
    etag: str


class LedgerStore:
    """The objects of one environment in the release bucket."""

    def __init__(self, caller: AwsCaller, bucket: str, environment: str) -> None:
        self.bucket = bucket
        self.environment = environment
        self._caller = caller

    def with_caller(self, caller: AwsCaller) -> LedgerStore:
        """Return this store with another AWS caller."""
        return LedgerStore(caller, self.bucket, self.environment)

    @property
    def ledger_key(self) -> str:
        return f"ledger/{self.environment}.json"

    def exists(self) -> bool:
        """Return whether the bucket exists.  Raises Problems if S3 does not answer."""
        try:
            self._caller.call("s3", "head_bucket", {"Bucket": self.bucket})
        except AwsError as error:
            if error.code in NOT_FOUND_CODES:
                return False
            raise self._store_problem("access", "", error) from None
        return True

    def read(self) -> Ledger:
        """Read the ledger; return an empty one if there is no bucket or no release yet.

        Raises Problems if AWS refuses, or the ledger cannot be decoded.
        """
        return self._decode_ledger(self.fetch(self.ledger_key))

    def write(self, update: Callable[[Ledger], Ledger]) -> Ledger:
        """Apply ``update`` to the newest ledger and store the result; on a conflict, repeat both.

        Raises Problems if AWS refuses, or after ``MAX_WRITE_ATTEMPTS`` conflicts.
        """
        for _ in range(MAX_WRITE_ATTEMPTS):
            before = self.fetch(self.ledger_key)
            after = update(self._decode_ledger(before))
            if self.put(self.ledger_key, canonical_json.dump(after), previous=before):
                return after
        raise Problems.from_message(
            (
                f"cannot write s3://{self.bucket}/{self.ledger_key}: "
                f"other runs changed it during each of {MAX_WRITE_ATTEMPTS} attempts"
            ),
            hint="see who else is deploying: orchestrator releases",
        )

    def load_site(self, bucket: str, digest: str) -> Site | None:
        """Load the index of a site that was shipped to ``bucket``; return None if the index is missing.

        The site has no local folder.  Raises Problems if the index cannot be read.
        """
        key = f"sites/{bucket}/{digest}.json"
        stored = self.fetch(key)
        return None if stored is None else canonical_json.load(stored.data, Site, f"s3://{self.bucket}/{key}")

    def fetch(self, key: str) -> StoredObject | None:
        """Read an object; return None if it or the bucket does not exist.

        Raises Problems if AWS refuses.
        """
        try:
            response = self._caller.call("s3", "get_object", {"Bucket": self.bucket, "Key": key})
            return StoredObject(response["Body"].read(), response["ETag"])
        except AwsError as error:
            if error.code in NOT_FOUND_CODES:
                return None
            raise self._store_problem("read", key, error) from None

    def has(self, key: str) -> bool:
        """Return whether an object exists.  Raises Problems if AWS refuses."""
        try:
            self._caller.call("s3", "head_object", {"Bucket": self.bucket, "Key": key})
        except AwsError as error:
            if error.code in NOT_FOUND_CODES:
                return False
            raise self._store_problem("read", key, error) from None
        return True

    def put(self, key: str, data: bytes, previous: StoredObject | None) -> bool:
        """Write an object over the ``previous`` version, or as a new one; return False on a conflict.

        Raises Problems if AWS refuses.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if previous is None else {"IfMatch": previous.etag}
        request = {"Bucket": self.bucket, "Key": key, "Body": data, "ContentType": "application/json"}
        try:
            self._caller.call("s3", "put_object", request | condition)
        except AwsError as error:
            if error.code in CONFLICT_CODES or (
                previous is not None and error.code in NOT_FOUND_CODES - {"NoSuchBucket"}
            ):
                return False
            raise self._store_problem("write", key, error) from None
        return True

    def delete(self, key: str) -> None:
        """Delete an object, if it exists.  Raises Problems if AWS refuses."""
        try:
            self._caller.call("s3", "delete_object", {"Bucket": self.bucket, "Key": key})
        except AwsError as error:
            if error.code not in NOT_FOUND_CODES:
                raise self._store_problem("delete", key, error) from None

    def _decode_ledger(self, stored: StoredObject | None) -> Ledger:
        if stored is None:
            return Ledger()
        try:
            return canonical_json.load(stored.data, Ledger, f"s3://{self.bucket}/{self.ledger_key}")
        except Problems as error:
            list_versions_command = f"aws s3api list-object-versions --bucket {self.bucket} --prefix {self.ledger_key}"
            hint = (
                "nothing was changed; unless a newer orchestrator wrote it, "
                f"restore an earlier version: {list_versions_command}"
            )
            raise Problems([replace(problem, hint=hint) for problem in error.problems]) from None

    def _store_problem(self, operation: str, key: str, error: AwsError) -> Problems:
        return Problems.from_message(
            f"cannot {operation} s3://{self.bucket}/{key}: {error}",
            hint=error.advice or FATAL_ERROR_HINTS.get(error.code),
        )
