"""Write the samples of this version: ``python -m tests.earlier_versions``.  Refuses to write over samples."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orchestrator
from orchestrator.emulator import start
from orchestrator.model_registry import registry
from orchestrator.storage.local import LocalFileStorage
from tests.cli import state_service
from tests.storage.test_model_registry import version as model_version

SAMPLES = Path(__file__).parent / "samples"
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012", releases: {bucket: bucket.releases}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases-prod, versioning: true}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web-prod, versioning: true, spa: {dir: ../web}}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {name: shop-prod, data: {"Jwt:SecretKey": {generate: {length: 64}}}}
"""
READ_LEDGER = """
import boto3, sys
response = boto3.client("s3").get_object(Bucket="shop-releases-prod", Key="ledger/prod.json")
sys.stdout.write(response["Body"].read().decode())
"""


def main() -> None:
    target = SAMPLES / orchestrator.__version__
    if target.exists():
        sys.exit(f"{target} exists: samples are never written again")
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name, start() as emulator:
        _record(Path(name), target, {**os.environ, **emulator.environment})
    sums = {
        str(path.relative_to(SAMPLES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(SAMPLES.rglob("*"))
        if path.is_file()
    }
    (SAMPLES.parent / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n")


def _record(folder: Path, target: Path, environment: Mapping[str, str]) -> None:
    def run(*command: str, **variables: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env={**environment, **variables}, check=True, capture_output=True, text=True
        )
        return done.stdout

    cli = (sys.executable, "-m", "orchestrator")
    for name, text in {
        "manifests/shop.yaml": MANIFESTS,
        "web/index.html": "one",
        ".gitignore": ".orchestrator",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    commit = ("git", "-c", "user.name=Ana", "-c", "user.email=ana@shop.example", "commit", "-qam")
    for command in (("git", "init", "-q", "."), ("git", "add", "-A"), (*commit, "First")):
        run(*command)
    run(*cli, "plan", "--out", str(target / "plan.json"))
    run(*cli, "deploy", "--auto-approve", "--without-record")
    shutil.copy(next((folder / ".orchestrator" / "journal").glob("*.jsonl")), target / "journal.jsonl")
    (folder / "web" / "index.html").write_text("two")
    run(*commit, "Second")
    with state_service.run_service(folder) as (service, token):
        service_variables = {"ORCHESTRATOR_STATE_URL": service.address, "ORCHESTRATOR_STATE_TOKEN": token}
        run(*cli, "deploy", "--auto-approve", **service_variables)
        run(*cli, "rollback", "--auto-approve", "--reason", "wrong prices", **service_variables)
        url = str(service.store.engine.url)
    (target / "history.jsonl").write_text(run(*cli, "history", "export", "--database", url))
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        (target / "state.sql").write_text("\n".join(connection.iterdump()) + "\n")
    (target / "ledger.json").write_text(run(sys.executable, "-c", READ_LEDGER))
    bucket = target / "bucket"
    registry.publish(LocalFileStorage(bucket), folder / "v1", model_version(folder / "v1", "v1"), None)
    shutil.rmtree(bucket / ".storage")


if __name__ == "__main__":
    main()
