"""Verify that the rows of a database and the files of its buckets belong together. Only reads."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.runs.database_access import find_connection, find_live
from orchestrator.runs.database_tunnel import VIA_DIRECT, open_route
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.recovery.file_references import ReferenceReport
    from orchestrator.vocabulary import DesiredState

MAX_LISTED_KEYS = 20


def verify_data(settings: Settings, name: str, ca_file: str, report: Path | None, via: str = VIA_DIRECT) -> int:
    """Compare the ``fileReferences`` of the Database ``name`` with the buckets, and return the exit code.

    UNHEALTHY if a row refers to a missing file. Files without a row are listed, and are no failure. Raises Problems
    if the manifest names no references, or something cannot be read.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    clients = Clients.for_scope(desired.scope)
    database = find_live(desired, clients, name)
    component = next(item for item in desired.components if item.handle == database.resource.component)
    references = component.spec.get("fileReferences") or ()
    if not references:
        raise Problems.from_message(
            f"{component.handle} has no file references",
            hint="add `fileReferences` to the manifest, with a query and a bucket",
        )
    with open_route(desired, database.resource, via, clients, settings.terminal.print_err) as route:
        target = find_connection(database, clients, ca_file, route)
        results = [(item, _compare(desired, clients, target, item)) for item in references]
    for reference, result in results:
        _print_result(settings, reference, result)
    if report is not None:
        _write_report(report, results)
    return ExitCode.UNHEALTHY if any(result.missing for _, result in results) else ExitCode.OK


def _compare(
    desired: DesiredState, clients: Clients, target: ConnectionTarget, reference: Mapping[str, Any]
) -> ReferenceReport:
    from orchestrator.recovery.file_references import compare_references

    bucket = next(
        item.physical
        for item in desired.resources
        if item.type == "s3_bucket" and f"bucket.{item.name}" == reference["bucket"]
    )
    # The rows first: a file that is uploaded meanwhile has no row yet, and is no reference that leads nowhere.
    values = _read_values(target, str(reference["query"]))
    keys = _list_keys(clients, bucket, str(reference["prefix"]))
    return compare_references(values, keys, str(reference["base"]))


def _read_values(target: ConnectionTarget, sql: str) -> list[str | None]:
    """Return the single column of a query. Raises Problems if it is no SELECT of one column."""
    from orchestrator.postgresql.connection import query_column

    return query_column(target, sql)


def _list_keys(clients: Clients, bucket: str, prefix: str) -> list[str]:
    from orchestrator.aws import AwsError

    try:
        pages = clients.pages("s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix})
    except AwsError as error:
        raise Problems.from_message(f"cannot list s3://{bucket}/{prefix}: {error}", hint=error.advice or None) from None
    return [item["Key"] for page in pages for item in page.get("Contents") or () if not item["Key"].endswith("/")]


def _print_result(settings: Settings, reference: Mapping[str, Any], result: ReferenceReport) -> None:
    print_out = settings.terminal.print_out
    place = f"{reference['bucket']}/{reference['prefix']}"
    empty = f", {format_count(result.empty, 'row')} without a file" if result.empty else ""
    print_out(f"{reference['query']}")
    print_out(
        f"  {format_count(result.references, 'file')} referenced{empty}, {result.files} found in {place}: "
        f"{len(result.missing)} missing, {len(result.unused)} without a row"
    )
    for key, count in list(result.missing.items())[:MAX_LISTED_KEYS]:
        print_out(f"  missing: {sanitise(key)} ({format_count(count, 'row')})")
    for key in result.unused[:MAX_LISTED_KEYS]:
        print_out(f"  without a row: {sanitise(key)}")
    hidden = max(0, len(result.missing) - MAX_LISTED_KEYS) + max(0, len(result.unused) - MAX_LISTED_KEYS)
    if hidden:
        print_out(f"  ... and {hidden} more; --report lists all of them")


def _write_report(path: Path, results: list[tuple[Mapping[str, Any], ReferenceReport]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("bucket", "key", "state", "rows"))
        for reference, result in results:
            writer.writerows((reference["bucket"], key, "missing", rows) for key, rows in result.missing.items())
            writer.writerows((reference["bucket"], key, "without a row", 0) for key in result.unused)
