"""A base image whose tag somebody has moved: the plan says that it moved, what it was, and how to decide oneself.

Docker's reference, "FROM": a tag names whatever its owner has pushed last; a digest names one image for ever.
"""

from __future__ import annotations

import json
import subprocess
import sys

from orchestrator.artefacts.collect import collect_artefacts
from orchestrator.aws.ecr_digests import create_digest_finder
from orchestrator.cli.main import main
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import checkout
from tests import performed_calls
from tests.release.shop_project import ShopProject

BASE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/base:1"
SERVICE = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec: {image: {repository: shop-api, build: {context: api}}}
"""
MANIFEST = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}


def push(shop: ShopProject, repository: str, tag: str, content: str) -> str:
    """Put an image into the emulated ECR, as a builder does; return its digest."""
    manifest = json.dumps({**MANIFEST, "content": content})
    request = {"repositoryName": repository, "imageTag": tag, "imageManifest": manifest}
    return str(shop.clients.call("ecr", "put_image", request)["image"]["imageId"]["imageDigest"])


def plan_in_a_new_process(shop: ShopProject) -> str:
    """A process asks for the digest of a tag once."""
    words = ["plan", "-f", str(shop.folder), "-e", "prod"]
    command = [sys.executable, "-c", "from orchestrator.cli.main import main; main()", *words]
    return " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_a_base_that_moved_is_named_in_the_plan(shop: ShopProject) -> None:
    shop.write()
    manifest_file = next(shop.folder.glob("*.yaml"))
    manifest_file.write_text(manifest_file.read_text() + SERVICE)
    (shop.folder / "api").mkdir()
    (shop.folder / "api" / "Dockerfile").write_text(f"FROM {BASE}\n")
    shop.clients.call("ecr", "create_repository", {"repositoryName": "base"})
    before = push(shop, "base", "1", "January")
    manifest = pipeline.validate(shop.folder, "prod")
    image = collect_artefacts(manifest.components, create_digest_finder(shop.clients)).images["containerservice.api"]
    desired = checkout.load(shop.folder, "prod", shop.clients).desired
    repository = pipeline.plan(desired, targets=("ecr_repository.api",), clients=shop.clients)
    performed_calls.apply(repository, ignore_event, clients=shop.clients)
    push(shop, "shop-api", image.tag, "built in January")
    assert main(["deploy", "--auto-approve", "-f", str(shop.folder), "-e", "prod"]) == 0

    assert shop.ledger.releases[-1].bases == {"containerservice.api": {BASE: before}}
    assert "moved since" not in plan_in_a_new_process(shop)

    after = push(shop, "base", "1", "February")
    assert (
        f"containerservice.api: the base image {BASE} moved since release 1 ({before[:19]} → {after[:19]}), so the "
        f"image is built again. To decide when a base changes, pin it: {BASE}@{before}"
    ) in plan_in_a_new_process(shop)
