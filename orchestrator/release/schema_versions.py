"""Determine the schema version that each database has reached, from completed migrations only.

A release that did not complete says what it intended, not what happened.  Its version counts only with evidence: the
mark that a completed migration leaves in the release bucket, or the changes that the release recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.release import Ledger, Release
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.manifest_documents import document_handle
from orchestrator.vocabulary import Component

MIGRATIONS_PREFIX = "migrations"


def read_schema_versions(ledger: Ledger, store: LedgerStore) -> Mapping[str, int]:
    """Return the schema version by component.  It only increases: a rollback ships older code, not an older schema.

    Raises Problems if the release bucket cannot be read.
    """
    versions: dict[str, int] = {}
    for release in ledger.releases:
        reached = release.vector.schemas.items() if release.is_complete else _migrated_versions(ledger, release, store)
        for handle, version in reached:
            versions[handle] = max(version, versions.get(handle, version))
    return versions


def add_declared_versions(versions: Mapping[str, int], components: tuple[Component, ...]) -> Mapping[str, int]:
    """Return ``versions`` with the versions that the components of a completed release declare."""
    declared = {
        component.handle: int(component.spec["schema"]["version"])
        for component in components
        if component.kind == "ContainerService" and component.spec.get("schema")
    }
    return {**versions, **{handle: max(version, versions.get(handle, 0)) for handle, version in declared.items()}}


def supported_versions(schema: Mapping[str, Any]) -> tuple[int, int]:
    """Return the oldest and the newest schema version that a service runs on, by its ``schema``."""
    runs_on = schema.get("runsOn") or {}
    return int(runs_on.get("from", schema["version"])), int(runs_on.get("to", schema["version"]))


def _migrated_versions(ledger: Ledger, release: Release, store: LedgerStore) -> Iterator[tuple[str, int]]:
    """Yield the versions that a release which did not complete is known to have reached."""
    changed_addresses = {change.partition(" ")[2] for change in release.changes}
    for document in ledger.documents_of(release):
        spec, handle = document.value.get("spec", {}), document_handle(document)
        if document.value["kind"] != "ContainerService" or "schema" not in spec:
            continue
        name = handle.partition(".")[2]
        # Without `migrate`, the application migrates when it starts.
        suffix = f"migration.{name}" if "migrate" in spec else f"_service.{name}"
        has_evidence = any(address.endswith(suffix) for address in changed_addresses)
        if has_evidence or _has_migration_mark(release, handle, spec, store):
            yield handle, int(spec["schema"]["version"])


def _has_migration_mark(release: Release, handle: str, spec: Mapping[str, Any], store: LedgerStore) -> bool:
    image = release.vector.images.get(handle)
    if image is None or "migrate" not in spec:
        return False
    name = handle.partition(".")[2]
    return store.has(f"{MIGRATIONS_PREFIX}/{store.environment}/{name}/{image.tag}")
