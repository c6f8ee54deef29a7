"""What another region, environment or project name leaves behind: plans name it, its price and how to remove it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Faults
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import Plan
from tests import performed_calls
from tests.planning import existing_resources
from tests.proofs import real_stack

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
BUCKET---
{apiVersion: orchestrator/v1, kind: Secret, metadata: {name: app}, spec: {data: {Key: {generate: {}}}}}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec: {version: "16", instanceClass: db.t4g.micro, database: shop, username: shop}
"""
BUCKET = """\
---
{apiVersion: orchestrator/v1, kind: Bucket, metadata: {name: files}, spec: {name: "shop-files-${project.environment}"}}
"""
MANIFESTS = MANIFESTS.replace("BUCKET", BUCKET)
PRICE = "USD a month)"


def plan(folder: Path, text: str, environment: str = "prod", *, applies: bool = False) -> Plan:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(text)
    desired = pipeline.load_desired(folder, environment)
    clients = Clients.for_scope(desired.scope)
    if applies:
        outcomes = performed_calls.apply(pipeline.plan(desired, clients=clients), ignore_event, clients=clients)
        assert real_stack.list_failures(outcomes) == []
    return pipeline.plan(desired, clients=clients).plan


def list_notes(made: Plan) -> list[str]:
    return [note for note in made.notes if "left behind" in note.lower() or "former" in note]


class TestLeftBehind:
    def test_another_region(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is named by every plan, not only by the first, and not while nothing is elsewhere."""
        first_region = MANIFESTS.replace(BUCKET, "")
        with real_stack.emulated_aws():
            existing_resources.make_bucket()  # the account has a bucket there, so that the region is searched
            assert list_notes(plan(tmp_path, first_region, applies=True)) == []

            for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
                monkeypatch.setenv(name, "eu-central-1")
            moved = first_region.rpartition("---")[0].replace("region: eu-west-1", "region: eu-central-1")
            notes = [*list_notes(plan(tmp_path, moved)), *list_notes(plan(tmp_path, moved, applies=True))]

        assert len(notes) == 2
        for note in notes:
            assert note.startswith("Left behind in eu-west-1: rds_instance shop-prod-main, rds_subnet_group ")
            assert ", secretsmanager_secret shop-prod-app (about " in note
            assert float(note.split("(about ")[1].split()[0]) > 10
            assert "set `region: eu-west-1` again" in note
            assert "`orchestrator destroy -e prod`" in note

    def test_another_environment(self, tmp_path: Path) -> None:
        (tmp_path / "environments").mkdir()
        layer = tmp_path / "environments" / "staging.yaml"
        layer.write_text("")
        bucket = MANIFESTS.rpartition("---")[0]  # without the database, which takes longer
        with real_stack.emulated_aws():
            plan(tmp_path, bucket, "staging", applies=True)
            assert list_notes(plan(tmp_path, bucket, "prod")) == []

            layer.rename(layer.with_name("test.yaml"))
            (note,) = list_notes(plan(tmp_path, bucket, "test"))

        assert note.startswith("Left behind by the environment staging, which the manifests do not declare: s3_bucket")
        assert "secretsmanager_secret shop-staging-app (about 0.51 USD a month)" in note
        assert "`orchestrator destroy -e staging`" in note

    def test_another_project(self, tmp_path: Path) -> None:
        secret = MANIFESTS.split("---")
        text = "---".join([secret[0], secret[2]])
        with real_stack.emulated_aws():
            plan(tmp_path, text, applies=True)
            other = text.replace("name: app", "name: other")
            assert list_notes(plan(tmp_path, other.replace("name: shop", "name: store"))) == []

            (note,) = list_notes(plan(tmp_path, text.replace("name: shop", "name: store")))

        assert "The project shop has components with the same names: secretsmanager_secret shop-prod-app" in note
        assert PRICE in note
        assert "To keep them, set `name: shop` again" in note

    @pytest.mark.parametrize("operation", ["tag:GetResources"])
    def test_what_cannot_be_searched_is_said(self, tmp_path: Path, operation: str) -> None:
        moved = MANIFESTS.replace("region: eu-west-1", "region: eu-central-1")
        with real_stack.emulated_aws() as emulator:
            plan(tmp_path, MANIFESTS.rpartition("---")[0], applies=True)
            emulator.faults = Faults(denied=(operation,))
            notes = plan(tmp_path, moved).notes

        assert [note for note in notes if "former region" in note] == [
            "The search for resources of a former region or name failed: tag:GetResources (AccessDeniedException)."
        ]
