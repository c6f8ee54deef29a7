"""A project that deploys in a second: buckets and a secret, on the emulated AWS."""

from __future__ import annotations

import textwrap
from pathlib import Path

from orchestrator.aws import Clients
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore
from orchestrator.release import Ledger, checkout
from orchestrator.release.deploy import Deployment, Ended
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import Store
from orchestrator.release.ship import Prove

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


def proved(*_: object) -> tuple[()]:
    """Nothing here answers HTTP."""
    return ()


class Shop:
    """A checkout of the project and the run of somebody who deploys it."""

    def __init__(self, folder: Path, clients: Clients, proving: Prove = proved) -> None:
        self.folder = folder
        self.clients = clients
        self.proving = proving
        self.values: dict[str, object] = {"issuer": "one", "versioning": "false", "keep": 20, "on_failure": "rollback"}

    @property
    def store(self) -> Store:
        return Store(self.clients, BUCKET, "prod")

    @property
    def ledger(self) -> Ledger:
        return self.store.read()

    def write(self, **values: object) -> None:
        """Change the manifests, as a commit would."""
        self.values |= values
        (self.folder / "shop.yaml").write_text(textwrap.dedent(MANIFESTS % self.values))

    def run(self, clients: Clients | None = None) -> Deployment:
        through = clients or self.clients
        store = Store(through, BUCKET, "prod")
        return Deployment(store, Origin("ana", "c0ffee"), through, ignore, proving=self.proving)

    def wanted(self) -> checkout.Wanted:
        return checkout.of(self.folder, "prod", self.clients)

    def deploy(self, **values: object) -> Ended:
        """Commit, plan and deploy."""
        self.write(**values)
        asked = self.wanted()
        planned = pipeline.plan(asked.desired, clients=self.clients)
        return self.run().deploy(planned, asked, lambda cause: None)

    def issuer(self) -> str:
        """What the secret says, as the application would read it."""
        return str(self.secret()["Issuer"])

    def secret(self) -> dict[str, str]:
        import json

        answer = self.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})
        found: dict[str, str] = json.loads(answer["SecretString"])
        return found

    def versioned(self) -> bool:
        """Whether the bucket of files keeps old versions."""
        answer = self.clients.call("s3", "get_bucket_versioning", {"Bucket": "shop-files"})
        return bool(answer.get("Status") == "Enabled")
