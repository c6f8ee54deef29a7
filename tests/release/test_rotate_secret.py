"""Rotation of generated values, with a real PostgreSQL that knows which password is in force.

A version's id is the request's token (Secrets Manager API Reference, PutSecretValue), so it can name the rotation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.emulator import Emulator, Faults, start
from orchestrator.emulator.database_engine import find_binaries
from orchestrator.emulator.faults import Rule
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import checkout
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.secret_rotation import Rotation, find_rotation
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import Project

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
RELEASES = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases, versioning: true, deletionPolicy: delete}
"""
PASSWORD = "Database:main:Password"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start(settle_seconds=0, run_services=True) as running:
        yield running


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """The project, deployed, with a signing key that keeps its previous value."""
    emulator.reset()
    with aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        manifest = made.folder / "shop.yaml"
        text = manifest.read_text().replace(
            "    Dsn:", "    Jwt:Key: {generate: {length: 40, keepPrevious: true}}\n    Dsn:"
        )
        text = text.replace('"123456789012"}', '"123456789012", releases: {bucket: bucket.releases}}')
        manifest.write_text(text + RELEASES)
        made.succeed("deploy", "--auto-approve")
        yield made
        emulator.faults = Faults()


def values(project: Project) -> dict[str, str]:
    text = project.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})["SecretString"]
    loaded: dict[str, str] = json.loads(text)
    return loaded


def can_connect(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            return False
        raise
    return True


def deploy_rotation(project: Project, failures: list[tuple[ProbeResult, ...]]) -> DeployResult:
    """Rotate everything, in front of services whose first answers are ``failures``."""
    manifest = pipeline.validate(project.folder, "prod")
    rotation = Rotation("20261130T120000", ("Jwt:Key", PASSWORD))
    candidate = checkout.from_manifest(manifest, project.clients, rotations={"secret.app": rotation})
    planned = pipeline.plan(candidate.desired, clients=project.clients)
    store = LedgerStore(project.clients, "shop-releases", "prod")

    def prober(*_: object) -> Any:
        return failures.pop(0) if failures else ()

    deployment = Deployment(store, Origin("ana", "c0ffee"), project.clients, ignore_event, prober=prober)
    return deployment.deploy(planned, candidate, lambda cause: None)


def test_new_values_are_in_force_and_the_key_before_is_kept(project: Project) -> None:
    """One command; the old password is refused, nothing secret is printed, and the next plan has nothing to do."""
    old, old_dsn = values(project), project.dsn()

    printed = project.succeed("secret", "rotate", "app", "--auto-approve")

    new = values(project)
    assert all(new[key] != old[key] for key in ("Jwt:Key", PASSWORD))
    assert (new["Jwt:KeyPrevious"], new["Jwt__KeyPrevious"]) == (old["Jwt:Key"], old["Jwt:Key"])
    assert (can_connect(old_dsn), can_connect(project.dsn())) == (False, True)
    assert "No changes" in project.succeed("plan")
    assert not any(value in printed for document in (old, new) for value in document.values() if len(value) > 30)
    assert 'rotation: "" →' in printed

    project.succeed("secret", "rotate", "app", "--key", "Jwt:Key", "--auto-approve")

    newest = values(project)
    changed = {key for key in newest if newest[key] != new[key]}
    assert changed == {"Jwt:Key", "Jwt__Key", "Jwt:KeyPrevious", "Jwt__KeyPrevious"}
    assert can_connect(project.dsn())

    code, printed = project.run("secret", "rotate", "app", "--key", "Dsn", "--auto-approve")
    assert (code, f"keys that can be rotated: Jwt:Key, {PASSWORD}" in printed) == (1, True)
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("retentionDays: 7", "retentionDays: 9"))
    code, printed = project.run("secret", "rotate", "app", "--auto-approve")
    assert (code, "a deploy would change rds_instance.main" in printed) == (1, True)
    assert values(project) == newest


def test_what_does_not_work_is_taken_back(emulator: Emulator, project: Project) -> None:
    """The secret and the database have their old values again, wherever it stopped, and the plan is empty."""
    old, old_dsn = values(project), project.dsn()
    failure = ProbeResult(Probe("containerservice.api", "api.example", "/health"), False, "status 500")

    assert deploy_rotation(project, [(failure,)]).status == "returned"
    assert (values(project), can_connect(old_dsn)) == (old, True)
    assert "No changes" in project.succeed("plan")

    refusal = Rule("error", service="rds", operation="ModifyDBInstance", status=400, code="InvalidParameterValue")
    emulator.faults = Faults(rules=(refusal,))
    code, printed = project.run("secret", "rotate", "app", "--auto-approve")
    emulator.faults = Faults()

    assert code == 5, printed
    assert (values(project), can_connect(old_dsn)) == (old, True)
    finish_stopped_rotation(project)


def finish_stopped_rotation(project: Project) -> None:
    """A new version without a new password: the plan says so, because the version's id names the rotation."""
    document = {**values(project), PASSWORD: "n" * 32}
    token = "t" * 32 + "-r-20261130T130000"
    request = {"SecretId": "shop-app", "SecretString": json.dumps(document), "ClientRequestToken": token}
    version = project.clients.call("secretsmanager", "put_secret_value", request)["VersionId"]
    assert find_rotation(version) == "20261130T130000"

    assert 'credentials.rotation: "" → "20261130T130000"' in project.succeed("plan", "--verbose")
    project.succeed("deploy", "--auto-approve")

    assert can_connect(project.dsn())
    assert "n" * 32 in project.dsn()
    assert "No changes" in project.succeed("plan")
