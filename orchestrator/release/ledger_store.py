"""Read and write the release bucket: the ledger and lease of an environment, and site indexes and bodies.

The ledger is one object.  A write succeeds only over the version that was read (S3 If-Match), so concurrent writers
cannot overwrite each other.

A 404 proves nothing about an object that this run wrote, that a listing shows (``aws/s3_object.py``), or that a
conditional write found: it is read again, with pauses.
API: S3 GetObject, PutObject with If-Match and If-None-Match, DeleteObject with If-Match.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.aws.errors import BODY_READ_ERRORS, AwsError
from orchestrator.aws.reader import AwsCaller
from orchestrator.aws.s3_object import NOT_FOUND_CODES, PAUSES_SECONDS, object_exists, read_object
from orchestrator.planning.snapshot import FATAL_ERROR_HINTS
from orchestrator.problems import Problems
from orchestrator.release import LEDGER_VERSION, Ledger

CONFLICT_CODES = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
DENIED_HINT = (
    "check that the credentials belong to the `account` in the Project and have this permission, and that the bucket "
    "belongs to that account: aws sts get-caller-identity"
)


class StoredObject(Struct, frozen=True):
    """An object's bytes and ETag; when it was written and read, in Unix seconds of S3's clock.

    The times are those of the headers ``Last-Modified`` and ``Date``; None if a proxy has removed them.
    """

    data: bytes
    etag: str
    written_at: float | None = None
    read_at: float | None = None


class LedgerStore:
    """The objects of one environment in the release bucket."""

    def __init__(
        self, caller: AwsCaller, bucket: str, environment: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.bucket = bucket
        self.environment = environment
        self.pause = pause
        self._caller = caller
        self._written_keys: set[str] = set()

    def with_caller(self, caller: AwsCaller) -> LedgerStore:
        """Return this store with another AWS caller."""
        store = LedgerStore(caller, self.bucket, self.environment, self.pause)
        store._written_keys = self._written_keys
        return store

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
        return self._decode_ledger(self._fetch_ledger())

    def write(self, update: Callable[[Ledger], Ledger]) -> Ledger:
        """Apply ``update`` to the newest ledger and store the result; on a conflict, repeat both.

        Raises Problems if AWS refuses, or the conflicts do not end.
        """
        written = b""
        for pause_seconds in (*PAUSES_SECONDS, 0.0):
            before = self._fetch_ledger()
            if before is not None and before.data == written:
                return self._decode_ledger(before)  # only the response to the write was lost
            after = update(self._decode_ledger(before))
            written = canonical_json.dump(after)
            if self.put(self.ledger_key, written, previous=before):
                return after
            self.pause(pause_seconds)
        raise Problems.from_message(
            (
                f"cannot write s3://{self.bucket}/{self.ledger_key}: other runs changed it during each of "
                f"{len(PAUSES_SECONDS) + 1} attempts, or S3 does not show it yet"
            ),
            hint="wait a few minutes, and see who else is deploying: orchestrator releases",
        )

    def _fetch_ledger(self) -> StoredObject | None:
        """Fetch the ledger, or None if there is none."""
        return self.fetch(self.ledger_key)

    def load_site(self, bucket: str, digest: str) -> Site | None:
        """Load the index of a site that was shipped to ``bucket``; return None if the index is missing.

        The site has no local folder.  Raises Problems if the index cannot be read.
        """
        key = f"sites/{bucket}/{digest}.json"
        stored = self.fetch(key)
        return None if stored is None else canonical_json.load(stored.data, Site, f"s3://{self.bucket}/{key}")

    def fetch(self, key: str) -> StoredObject | None:
        """Read an object; return None if it or the bucket does not exist: neither a read nor a listing shows it.

        Raises Problems if AWS refuses, or S3 does not return an existing object after all pauses.
        """
        is_known = key in self._written_keys
        return self._load(
            key,
            lambda request: read_object(self._caller, "get_object", request, is_known=is_known, pause=self.pause),
        )

    def fetch_once(self, key: str) -> StoredObject | None:
        """Read an object as ``fetch`` does, but without waiting for one that S3 does not show yet."""
        return self._load(key, lambda request: self._caller.call("s3", "get_object", request))

    def _load(self, key: str, read: Callable[[dict[str, Any]], Any]) -> StoredObject | None:
        try:
            response = read({"Bucket": self.bucket, "Key": key})
            data = b"" if response is None else response["Body"].read()
        except AwsError as error:
            if error.code in NOT_FOUND_CODES:
                return None
            raise self._store_problem("read", key, error) from None
        except BODY_READ_ERRORS as error:  # the response was cut, or its bytes are not those of the checksum
            raise Problems.from_message(
                f"cannot read s3://{self.bucket}/{key}: its content was not fully received ({type(error).__name__})",
                hint="run the command again; if the message appears again, delete that object",
            ) from None
        return None if response is None else StoredObject(data, response["ETag"], *_read_times(response))

    def has(self, key: str) -> bool:
        """Return whether an object exists.  Raises Problems if AWS refuses."""
        try:
            return object_exists(self._caller, {"Bucket": self.bucket, "Key": key})
        except AwsError as error:
            if error.code in NOT_FOUND_CODES:
                return False
            raise self._store_problem("read", key, error) from None

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
        self._written_keys.add(key)
        return True

    def delete(self, key: str, previous: StoredObject) -> None:
        """Delete an object unless another version than ``previous`` is there.  Raises Problems if AWS refuses."""
        self._written_keys.discard(key)
        try:
            request = {"Bucket": self.bucket, "Key": key, "IfMatch": previous.etag}
            self._caller.call("s3", "delete_object", request)
        except AwsError as error:
            if error.code not in NOT_FOUND_CODES | CONFLICT_CODES:
                raise self._store_problem("delete", key, error) from None

    def _decode_ledger(self, stored: StoredObject | None) -> Ledger:
        if stored is None:
            return Ledger()
        place = f"s3://{self.bucket}/{self.ledger_key}"
        try:
            ledger = canonical_json.load(stored.data, Ledger, place)
            if not 1 <= ledger.version <= LEDGER_VERSION:
                message = (
                    f"{place}: version {ledger.version} is not supported; this orchestrator supports up to version "
                    f"{LEDGER_VERSION}"
                )
                raise Problems.from_message(message)
            return ledger
        except Problems as error:
            list_versions_command = f"aws s3api list-object-versions --bucket {self.bucket} --prefix {self.ledger_key}"
            hint = (
                "nothing was changed; unless a newer orchestrator wrote the ledger, restore an earlier version: "
                f"{list_versions_command}"
            )
            raise Problems([replace(problem, hint=hint) for problem in error.problems]) from None

    def _store_problem(self, operation: str, key: str, error: AwsError) -> Problems:
        hint = error.advice or FATAL_ERROR_HINTS.get(error.code) or (DENIED_HINT if error.is_denied else None)
        return Problems.from_message(f"cannot {operation} s3://{self.bucket}/{key}: {error}", hint=hint)


def _read_times(response: Any) -> tuple[float | None, float | None]:
    """Return when an object was written, and when S3 sent the response, in Unix seconds."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    written_at = response.get("LastModified")
    try:
        read_at = parsedate_to_datetime(date).timestamp()
    except ValueError:
        read_at = None
    return written_at.timestamp() if written_at is not None else None, read_at
