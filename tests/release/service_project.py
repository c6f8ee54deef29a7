"""A project with a service, whose images are pushed without a builder, on the emulated AWS."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import checkout, rollback
from orchestrator.release.deploy import DeployResult
from tests import performed_calls
from tests.proofs.real_stack import clients
from tests.release.shop_project import ShopProject

SERVICE_MANIFEST = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, deletionPolicy: delete, build: {context: image}}
  environment: {COLOUR: %(colour)s}
"""
MIGRATION = """
import pathlib, sys
if pathlib.Path("broken").exists():
    sys.exit("relation orders already exists")
"""
IMAGE_MANIFEST = {
    "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [],
}  # fmt: skip
API = "containerservice.api"


class ServiceProject(ShopProject):
    """The project with a service; ``extra`` manifests are deployed beside it."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        super().__init__(folder, clients())
        self.emulator = emulator
        self.values |= {"colour": "red", "version": "1"}
        self.service_options = ""
        self.extra = ""
        (folder / "migrate.py").write_text(MIGRATION)

    def write(self, **values: object) -> None:
        super().write(**values)
        (self.folder / "image").mkdir(exist_ok=True)
        (self.folder / "image" / "Dockerfile").write_text(f"FROM scratch\nENV VERSION={self.values['version']}\n")
        manifest = textwrap.dedent(SERVICE_MANIFEST) % self.values + textwrap.indent(self.service_options, "  ")
        (self.folder / "service.yaml").write_text(manifest + self.extra)
        self.push()

    def push(self) -> str:
        """Push what a build of the checkout would push, and return its tag."""
        candidate = checkout.load(self.folder, "prod", self.clients)
        tag = str(next(item.spec["tag"] for item in candidate.desired.resources if item.address == "ecr_image.api"))
        planned = pipeline.plan(candidate.desired, targets=["ecr_repository.api"], clients=self.clients)
        performed_calls.apply(planned, ignore_event, clients=self.clients)
        images = self.clients.call("ecr", "list_images", {"repositoryName": "shop-api"})["imageIds"]
        if tag not in {image.get("imageTag") for image in images}:
            manifest = json.dumps({**IMAGE_MANIFEST, "name": tag})
            request = {"repositoryName": "shop-api", "imageTag": tag, "imageManifest": manifest}
            self.clients.call("ecr", "put_image", request)
        return tag

    def set_schema(self, version: int, runs_on: str = "") -> None:
        """Declare a database schema, and the migration that leads to it."""
        more = f", runsOn: {runs_on}" if runs_on else ""
        command = json.dumps([sys.executable, "migrate.py"])
        self.service_options = f"schema: {{version: {version}{more}}}\nmigrate: {{command: {command}, folder: .}}\n"

    def break_migration(self, *, is_broken: bool) -> None:
        """Make the migration fail at its first statement, or work."""
        flag = self.folder / "broken"
        flag.touch() if is_broken else flag.unlink(missing_ok=True)

    def build_site(self, text: str) -> None:
        (self.folder / "dist").mkdir(exist_ok=True)
        (self.folder / "dist" / "index.html").write_text(text)

    def read_page(self) -> str:
        page = self.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": "index.html"})["Body"]
        return str(page.read().decode())

    def read_service(self) -> tuple[str, str]:
        """Return the image tag and the colour that the service runs with."""
        [summary] = self.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
        service = self.clients.call("apprunner", "describe_service", {"ServiceArn": summary["ServiceArn"]})["Service"]
        repository = service["SourceConfiguration"]["ImageRepository"]
        variables = repository["ImageConfiguration"]["RuntimeEnvironmentVariables"]
        return repository["ImageIdentifier"], variables["COLOUR"]

    def roll_back(self, number: int | None = None, *words: str, reason: str = "") -> DeployResult:
        target = rollback.prepare(self.ledger, rollback.choose_release(self.ledger, number), words, self.store)
        planned = pipeline.plan(target.candidate.desired, clients=self.clients)
        return self.make_deployment().rollback(planned, target, reason, lambda cause: None)
