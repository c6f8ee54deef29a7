"""A project with two environments, a service, a site and a model: `prod` gets what `staging` has proved."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.artefacts.images import registry_push
from orchestrator.aws import Clients
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import Ledger, checkout, rollback
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.release.promotion import PromotionRequest
from tests import performed_calls
from tests.proofs.real_stack import clients

BASE = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  releases: {bucket: bucket.releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: "shop-releases-${project.environment}", versioning: true}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: "shop-web-${project.environment}", spa: {dir: dist}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: "shop-files-${project.environment}", prefixes: [ml-models]}
"""
SERVICE = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: "shop-${project.environment}-api", build: {context: image}}
  environment: {STAGE: "${project.environment}"}
  health: {path: /health, releaseHeader: X-Release}
  schema: {version: %(schema)s}
"""
PROD = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {promotion: %(promotion)s}
"""
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


class PromotedProject:
    """A checkout of the project, and the runs that deploy it."""

    def __init__(self, folder: Path, *, has_service: bool = True) -> None:
        self.folder = folder
        self.has_service = has_service
        self.clients: Clients = clients()
        self.commits = 0
        self.values: dict[str, object] = {"schema": 1, "promotion": "{from: staging}"}
        (folder / "environments").mkdir()
        (folder / "environments" / "staging.yaml").write_text("")
        self.commit("one")

    def commit(self, version: str, **values: object) -> None:
        """Change the image, the site and the manifests, as a commit would."""
        self.values |= values
        self.commits += 1
        files = {
            "shop.yaml": BASE + (SERVICE % self.values if self.has_service else ""),
            "environments/prod.yaml": PROD % self.values,
            "image/Dockerfile": f"FROM scratch\nENV VERSION={version}\n",
            "dist/index.html": f"<script src=assets/app-{_hash(version)[:8]}.js>",
            f"dist/assets/app-{_hash(version)[:8]}.js": version,
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def store(self, environment: str) -> LedgerStore:
        return LedgerStore(self.clients, f"shop-releases-{environment}", environment)

    def ledger(self, environment: str) -> Ledger:
        return self.store(environment).read()

    def load(self, environment: str, request: PromotionRequest | None = None) -> checkout.ReleaseCandidate:
        manifest = pipeline.validate(self.folder, environment)
        return checkout.from_manifest(manifest, self.clients, request=request)

    def deploy(self, environment: str, request: PromotionRequest | None = None, *, passes: bool = True) -> DeployResult:
        """Deploy; the first probes are answered as ``passes`` says, those of a restored release well."""
        if environment == "staging" and self.has_service:
            self.push()
        candidate = self.load(environment, request)
        planned = pipeline.plan(candidate.desired, clients=self.clients)
        return self.deployment(environment, passes=passes).deploy(planned, candidate, lambda cause: None)

    def roll_back(self, environment: str) -> DeployResult:
        ledger, store = self.ledger(environment), self.store(environment)
        target = rollback.prepare(ledger, rollback.choose_release(ledger, None), (), store)
        planned = pipeline.plan(target.candidate.desired, clients=self.clients)
        return self.deployment(environment).rollback(planned, target, "wrong prices", lambda cause: None)

    def deployment(self, environment: str, *, passes: bool = True) -> Deployment:
        answers = iter([passes])

        def prove(probes: tuple[Probe, ...]) -> tuple[ProbeResult, ...]:
            has_passed = next(answers, True)
            return tuple(ProbeResult(probe, has_passed, "" if has_passed else "returned 500", 0.1) for probe in probes)

        origin = Origin("ana", f"c0ffee{self.commits}")
        return Deployment(self.store(environment), origin, self.clients, ignore_event, prober=prove)

    def push(self) -> str:
        """Push what a build of the checkout pushes to staging, SBOM included, and return the image's digest."""
        candidate = self.load("staging")
        planned = pipeline.plan(candidate.desired, targets=["ecr_repository.api"], clients=self.clients)
        performed_calls.apply(planned, clients=self.clients)
        tag = candidate.artefacts.images["containerservice.api"].tag
        [data] = self.clients.call("ecr", "get_authorization_token", {})["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        host = urlsplit(data["proxyEndpoint"]).netloc
        with registry_push.open_repository(host, "shop-staging-api", (user, password)) as repository:

            def push(text: str, tag: str | None, **fields: Any) -> tuple[str, int]:
                blobs = [{"digest": repository.push_blob(blob), "size": len(blob)} for blob in (b"{}", text.encode())]
                manifest = {"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": blobs[0], "layers": blobs[1:]}
                body = json.dumps({**manifest, **fields}).encode()
                return repository.push_manifest(body, MEDIA_TYPE, tag), len(body)

            if tag in self.list_images("staging").values():
                return next(digest for digest, name in self.list_images("staging").items() if name == tag)
            digest, size = push(f"layer of {tag}", tag)
            subject = {"digest": digest, "size": size, "mediaType": MEDIA_TYPE}
            push(f"SBOM of {tag}", None, subject=subject, artifactType="application/vnd.cyclonedx+json")
            return digest

    def list_images(self, environment: str) -> dict[str, str]:
        """The images of an environment: the tag by the digest, "" without a tag."""
        images = self.clients.call("ecr", "list_images", {"repositoryName": f"shop-{environment}-api"})["imageIds"]
        return {str(image["imageDigest"]): str(image.get("imageTag", "")) for image in images}

    def read_page(self, environment: str) -> str:
        body = self.clients.call("s3", "get_object", {"Bucket": f"shop-web-{environment}", "Key": "index.html"})["Body"]
        return str(body.read().decode())

    def read_image(self, environment: str) -> str:
        """The digest that the service runs."""
        for summary in self.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]:
            service = self.clients.call("apprunner", "describe_service", {"ServiceArn": summary["ServiceArn"]})[
                "Service"
            ]
            repository = service["SourceConfiguration"]["ImageRepository"]
            if repository["ImageConfiguration"]["RuntimeEnvironmentVariables"]["STAGE"] == environment:
                return str(repository["ImageIdentifier"].partition("@")[2])
        return ""

    def upload_model(self, environment: str, version: str) -> None:
        """What `upload_model` leaves: the files of a version, then the pointer."""
        bucket = f"shop-files-{environment}"
        for key in (f"ml-models/{version}/model.json", f"ml-training/{version}/learned.json"):
            self.clients.call("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": version.encode()})
        pointer = json.dumps({"version": version}).encode()
        self.clients.call("s3", "put_object", {"Bucket": bucket, "Key": "ml-models/current.json", "Body": pointer})

    def read_model(self, environment: str) -> str:
        """The version in use, whose files are there."""
        bucket = f"shop-files-{environment}"
        body = self.clients.call("s3", "get_object", {"Bucket": bucket, "Key": "ml-models/current.json"})["Body"]
        version = str(json.loads(body.read())["version"])
        for key in (f"ml-models/{version}/model.json", f"ml-training/{version}/learned.json"):
            body = self.clients.call("s3", "get_object", {"Bucket": bucket, "Key": key})["Body"]
            assert body.read().decode() == version
        return version


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
