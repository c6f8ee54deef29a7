"""The schema version is what a completed migration left, never what a failed release intended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.problems import Position, Problems
from orchestrator.release import Ledger, Release, Vector
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.release.schema_versions import add_declared_versions, read_schema_versions
from orchestrator.vocabulary import Component
from tests.release.service_project import API, ServiceProject


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> ServiceProject:
    """One release, at schema 1."""
    project = ServiceProject(tmp_path, emulator)
    project.set_schema(1)
    project.deploy(version="1")
    return project


def fail_once(shop: ServiceProject) -> None:
    """Let the next probe fail, and all later ones pass."""
    calls: list[int] = []
    failed = ProbeResult(Probe(API, "shop.example", "/health"), False, "status 500, expected 200", 1.0)

    def prove(*_: object) -> tuple[ProbeResult, ...]:
        calls.append(1)
        return (failed,) if len(calls) == 1 else ()

    shop.prove = prove


def test_a_migration_that_failed_does_not_count(shop: ServiceProject) -> None:
    """Its release is rolled back, and so is every later one that fails; nobody is refused a rollback for it."""
    shop.set_schema(2, "{from: 1, to: 2}")
    shop.break_migration(is_broken=True)

    failed = shop.deploy(version="2")
    assert (failed.status, "the migration failed" in failed.cause) == ("returned", True), failed
    assert read_schema_versions(shop.ledger, shop.store) == {API: 1}

    shop.break_migration(is_broken=False)
    shop.set_schema(1)
    assert shop.deploy(version="1", colour="blue").status == "released"
    fail_once(shop)
    assert shop.deploy(version="3").status == "returned"
    assert shop.roll_back(1).status == "released"
    assert shop.read_service()[1] == "red"


def test_a_migration_that_completed_counts_though_its_release_failed(shop: ServiceProject) -> None:
    """And after the rollback too: the database stays at the schema that it reached."""
    shop.set_schema(2, "{from: 1, to: 2}")
    fail_once(shop)

    ended = shop.deploy(version="2")

    assert ended.status == "failed"
    assert ended.rollback_result is not None
    assert "supports database schema 1 to 1, but the database is at 2" in ended.rollback_result.cause
    assert read_schema_versions(shop.ledger, shop.store) == {API: 2}


def test_a_rollback_keeps_the_schema_that_the_database_reached(shop: ServiceProject) -> None:
    """Release 1 runs on schema 2 as well: it comes back, recorded with the schema of the database, not its own."""
    shop.set_schema(1, "{from: 1, to: 2}")
    shop.deploy(version="1", colour="blue")
    shop.set_schema(2, "{from: 1, to: 2}")
    shop.deploy(version="2")

    assert shop.roll_back(2).status == "released"

    assert shop.ledger.releases[-1].vector.schemas == {API: 2}
    with pytest.raises(Problems, match="the database is at 2"):
        shop.roll_back(1)


@pytest.mark.parametrize("is_migrated", [False, True])
def test_a_run_that_was_killed_is_known_by_its_mark(shop: ServiceProject, is_migrated: bool) -> None:
    """The mark in the release bucket says whether the migration completed before the run died."""
    shop.set_schema(2, "{from: 1, to: 2}")
    shop.write(version="2")
    candidate = shop.read_checkout()
    planned = pipeline.plan(candidate.desired, clients=shop.clients)
    started = shop.make_deployment()._record_start(planned, candidate, None)
    if is_migrated:
        shop.store.put(f"migrations/prod/api/{started.vector.images[API].tag}", b"", previous=None)

    assert read_schema_versions(shop.ledger, shop.store) == {API: 2 if is_migrated else 1}


def test_no_field_of_an_unfinished_release_is_read_back_as_a_fact(shop: ServiceProject) -> None:
    """Whatever a failed release intended, in any field of its vector, the next one is recorded with what AWS holds."""
    ledger = shop.ledger
    intended = Vector(
        "none", {API: ledger.releases[0].vector.images[API]}, {"bucket.web": "0" * 64}, {"secret.app": "never"},
        {"bucket.files": "never"}, {API: 9},
    )  # fmt: skip
    failed = replace(ledger.releases[0], number=2, vector=intended, result="failed", changes=())
    shop.store.write(lambda current: replace(current, releases=(*current.releases, failed)))

    assert shop.deploy(colour="blue").status == "released"

    first, last = ledger.releases[0].vector, shop.ledger.releases[-1].vector
    assert replace(last, manifests="") == replace(first, manifests="")


def test_a_failed_deploy_of_the_same_vector_is_rolled_back_to_it(shop: ServiceProject) -> None:
    """A deploy that only mends drift intends the current release: its failure does not lead to an older one."""
    from orchestrator.release import rollback

    shop.deploy(colour="blue")
    failed = replace(shop.ledger.releases[-1], number=3, result="failed")
    shop.store.write(lambda current: replace(current, releases=(*current.releases, failed)))

    assert rollback.choose_release(shop.ledger, None).number == 2


DATABASE = """
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec: {database: shop, username: shop, version: "17", deletionPolicy: delete}
"""


def test_the_snapshots_before_what_may_cost_data_are_in_the_release(
    shop: ServiceProject, capsys: pytest.CaptureFixture[str]
) -> None:
    """`releases` names the snapshot that the data can be restored from, also of a migration that failed.

    A class that is changed, undone and changed again has a snapshot each time: the first says nothing of the last.
    """
    shop.extra = DATABASE
    shop.set_schema(1)
    shop.service_options = shop.service_options.replace("folder: .}", "folder: ., destructive: true}")
    shop.service_options += "access: [database.main]\n"
    shop.break_migration(is_broken=True)
    shop.deploy(version="3")
    shop.break_migration(is_broken=False)
    assert shop.deploy(version="4").status == "released"
    for instance_class in ("db.t4g.small", "db.t4g.micro", "db.t4g.small"):
        shop.extra = DATABASE.replace("version:", f"instanceClass: {instance_class}, apply: immediately, version:")
        assert shop.deploy().status == "released"

    snapshots = [name for release in shop.ledger.releases for name in release.snapshots]
    taken = shop.clients.call("rds", "describe_db_snapshots", {"SnapshotType": "manual"})["DBSnapshots"]
    assert {item["DBSnapshotIdentifier"] for item in taken} == set(snapshots)
    assert len(set(snapshots)) == 5
    last = shop.ledger.releases[-1].snapshots
    assert [name.partition("-before-")[2] for name in last] == ["class-db-t4g-small-2"]
    capsys.readouterr()
    assert main(["releases", "-f", str(shop.folder), "-e", "prod"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in snapshots:
        assert name in shown.partition("database snapshots taken before the deploy:")[2]


def release(number: int, **schemas: int) -> Release:
    vector = Vector("m1", schemas={f"containerservice.{name}": version for name, version in schemas.items()})
    return Release(number, "2026-01-01T00:00:00Z", "ana", "c1", vector, "healthy")


class NoBucket:
    """Nothing is looked up for releases that completed."""

    def call(self, *_: object) -> Any:
        raise AssertionError

    pages = call


def test_a_version_never_goes_down() -> None:
    """Whatever a later release was recorded with: an older schema is what no rollback leaves."""
    ledger = Ledger((release(1, api=1), release(2, api=3, jobs=7), release(3, api=2)))
    store = LedgerStore(NoBucket(), "shop-releases", "prod")
    versions = read_schema_versions(ledger, store)
    declared = {"schema": {"version": 2}}
    components = tuple(
        Component(kind, name, declared, Position("x.yaml", 1, 1))
        for kind, name in (("ContainerService", "api"), ("ContainerService", "new"), ("Cdn", "web"))
    )

    assert versions == {API: 3, "containerservice.jobs": 7}
    assert add_declared_versions(versions, components) == {
        API: 3, "containerservice.jobs": 7, "containerservice.new": 2,
    }  # fmt: skip
