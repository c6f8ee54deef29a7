"""Read the versions of a release ledger that its bucket keeps, and choose the one to go back to. Only reads AWS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from orchestrator import canonical_json
from orchestrator.aws.reader import AwsCaller
from orchestrator.aws.s3_object import read_object
from orchestrator.problems import Problems
from orchestrator.recovery.database_backups import format_time
from orchestrator.recovery.file_restore import FileCopy, ObjectVersion, list_versions
from orchestrator.release import LEDGER_VERSION, Ledger
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.resources import AwsReader


class LedgerVersion(Struct, frozen=True):
    """One version of the ledger; ``ledger`` is None if it was deleted then, or cannot be read (``problem``)."""

    version: ObjectVersion
    ledger: Ledger | None
    problem: str = ""

    @property
    def description(self) -> str:
        """Return when it was written and what is in it."""
        numbers = [release.number for release in self.ledger.releases] if self.ledger else []
        content = f"releases {numbers[0]} to {numbers[-1]}" if numbers else self.problem or "no releases"
        return f"{self.version.version_id}  {format_time(self.version.modified)}  {content}"


def read_versions(aws: AwsReader, caller: AwsCaller, store: LedgerStore) -> tuple[LedgerVersion, ...]:
    """Return the versions of the environment's ledger, the newest first. Raises AwsError."""
    object_versions = [
        item for item in list_versions(aws, store.bucket, store.ledger_key) if item.key == store.ledger_key
    ]
    ordered = sorted(object_versions, key=lambda item: (item.modified, item.is_latest), reverse=True)
    return tuple(_read_version(caller, store, item) for item in ordered)


def _read_version(caller: AwsCaller, store: LedgerStore, version: ObjectVersion) -> LedgerVersion:
    if version.is_deletion:
        return LedgerVersion(version, None, "deleted")
    request = {"Bucket": store.bucket, "Key": version.key, "VersionId": version.version_id}
    place = f"s3://{store.bucket}/{version.key}"
    try:
        response = read_object(caller, "get_object", request, is_known=True)
        ledger = canonical_json.load(response["Body"].read(), Ledger, place)
    except Problems as error:
        return LedgerVersion(version, None, f"not readable: {error.problems[0].message.removeprefix(place)}".strip())
    is_known = 1 <= ledger.version <= LEDGER_VERSION
    return LedgerVersion(
        version, ledger if is_known else None, "" if is_known else f"unsupported format version {ledger.version}"
    )


def choose_version(
    versions: Iterable[LedgerVersion], *, identifier: str = "", moment: datetime | None = None
) -> LedgerVersion:
    """Return the version with an identifier, the newest at a moment, or else the newest before today's.

    Raises Problems if there is none that can be read.
    """
    candidates = [
        item
        for item in versions
        if not item.version.is_latest
        and (not identifier or item.version.version_id == identifier)
        and (moment is None or item.version.modified <= moment)
    ]
    chosen = candidates[:1] if moment is not None or identifier else [item for item in candidates if item.ledger][:1]
    if not chosen:
        raise Problems.from_message(
            "the release bucket contains no matching earlier version of the ledger",
            hint="list the versions with --list",
        )
    if chosen[0].ledger is None:
        raise Problems.from_message(
            f"this version cannot be used: {chosen[0].problem}", hint="list the versions with --list"
        )
    return chosen[0]


def build_copy(chosen: LedgerVersion, versions: Iterable[LedgerVersion]) -> FileCopy:
    """Return the copy that makes a version the current one, on condition that nobody has written since."""
    current = next((item.version for item in versions if item.version.is_latest), None)
    return FileCopy(chosen.version, "" if current is None or current.is_deletion else current.etag)
