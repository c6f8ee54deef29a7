"""A project that deploys in a second: buckets and a secret, on the emulated AWS."""

from __future__ import annotations

import textwrap
from pathlib import Path

from orchestrator.aws import Clients
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import Ledger, checkout
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.ship import Prober

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  releases: {bucket: bucket.releases, keep: %(keep)d, onFailure: %(on_failure)s}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: "shop-releases-${project.environment}", versioning: true, deletionPolicy: delete}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, versioning: %(versioning)s, deletionPolicy: delete, prefixes: [ml-models]}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  deletionPolicy: delete
  data:
    Issuer: %(issuer)s
    Key: {generate: {length: 32}}
"""
BUCKET = "shop-releases-prod"


def skip_probe(*_: object) -> tuple[()]:
    """Nothing here answers HTTP."""
    return ()


class ShopProject:
    """A checkout of the project and the run of somebody who deploys it."""

    def __init__(self, folder: Path, clients: Clients, prove: Prober = skip_probe) -> None:
        self.folder = folder
        self.clients = clients
        self.prove = prove
        self.values: dict[str, object] = {"issuer": "one", "versioning": "false", "keep": 20, "on_failure": "rollback"}

    @property
    def store(self) -> LedgerStore:
        return LedgerStore(self.clients, BUCKET, "prod")

    @property
    def ledger(self) -> Ledger:
        return self.store.read()

    def write(self, **values: object) -> None:
        """Change the manifests, as a commit would."""
        self.values |= values
        (self.folder / "shop.yaml").write_text(textwrap.dedent(MANIFESTS % self.values))

    def make_deployment(self, clients: Clients | None = None) -> Deployment:
        aws_clients = clients or self.clients
        store = LedgerStore(aws_clients, BUCKET, "prod")
        return Deployment(store, Origin("ana", "c0ffee"), aws_clients, ignore_event, prober=self.prove)

    def read_checkout(self) -> checkout.ReleaseCandidate:
        return checkout.load(self.folder, "prod", self.clients)

    def deploy(self, **values: object) -> DeployResult:
        """Commit, plan and deploy."""
        self.write(**values)
        checkout = self.read_checkout()
        planned = pipeline.plan(checkout.desired, clients=self.clients)
        return self.make_deployment().deploy(planned, checkout, lambda cause: None)

    def read_issuer(self) -> str:
        """What the secret says, as the application would read it."""
        return str(self.read_secret()["Issuer"])

    def read_secret(self) -> dict[str, str]:
        import json

        response = self.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})
        secret_values: dict[str, str] = json.loads(response["SecretString"])
        return secret_values

    def is_versioned(self) -> bool:
        """Whether the bucket of files keeps old versions."""
        response = self.clients.call("s3", "get_bucket_versioning", {"Bucket": "shop-files"})
        return bool(response.get("Status") == "Enabled")
