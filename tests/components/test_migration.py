"""A migration runs once for a build, before the service is switched to it; after a snapshot where data may be lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.artefacts import Artefacts, Image
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.manifest import expand
from orchestrator.planning import pipeline
from orchestrator.planning.events import ChangeFinished, Event, OutputLine, ignore_event
from orchestrator.problems import Problems
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import Actuation, DesiredState, Outcome
from tests import performed_calls
from tests.components import manifest_stacks
from tests.components.test_containerservice_image import RELEASES
from tests.proofs.real_stack import emulated_aws

API = "containerservice.api"
SCRIPT = """
import os, pathlib, sys
with pathlib.Path("ran").open("a") as ran:
    ran.write(os.environ["ORCHESTRATOR_RELEASE"] + "\\n")
if pathlib.Path("broken").exists():
    sys.exit("relation orders already exists")
"""
MANIFEST = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}


class Shop:
    """A checkout whose service has a migration."""

    def __init__(self, folder: Path, aws: Emulator) -> None:
        self.folder, self.aws = folder, aws
        self.clients = Clients("eu-west-1", attempts=1)
        (folder / "migrate.py").write_text(SCRIPT)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        spec = {
            "image": {"repository": "shop-api", "build": {"context": "."}},
            "migrate": {"command": [sys.executable, "migrate.py"], "folder": "."},
        }
        bucket = manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases, versioning: true}")
        documents = [RELEASES, manifest_stacks.make_document("ContainerService", "api", json.dumps(spec)), bucket]
        (folder / "stack.yaml").write_text("---\n".join(documents))

    def desired(self, digest: str, tag: str) -> DesiredState:
        shipped = Artefacts(images={API: Image(tag, digest=digest)})
        return expand.expand(pipeline.validate(self.folder, "prod"), shipped)

    def push(self, tag: str) -> str:
        """What a build would have put there; its digest."""
        given = {"repositoryName": "shop-api", "imageTag": tag, "imageManifest": json.dumps({**MANIFEST, "name": tag})}
        return str(self.clients.call("ecr", "put_image", given)["image"]["imageId"]["imageDigest"])

    def deploy(self, digest: str, tag: str) -> tuple[dict[str, Outcome], list[str]]:
        """Outcomes by address, and the addresses in the order in which they ended."""
        order: list[str] = []

        def tell(event: Event) -> None:
            if isinstance(event, ChangeFinished):
                order.append(event.address)

        planned = pipeline.plan(self.desired(digest, tag), clients=self.clients)
        outcomes = performed_calls.apply(planned, tell, clients=self.clients)
        return {outcome.address: outcome for outcome in outcomes}, order

    def ran(self) -> list[str]:
        """The builds for which it ran."""
        file = self.folder / "ran"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """With a repository, to be pushed to."""
    with emulated_aws() as running:
        found = Shop(tmp_path, running)
        asked = pipeline.plan(
            pipeline.load_desired(tmp_path, "prod"), targets=("ecr_repository.api",), clients=found.clients
        )
        performed_calls.apply(asked, ignore_event, clients=found.clients)
        yield found


def test_it_runs_once_for_a_build_before_the_switch(shop: Shop) -> None:
    """Again for another build; a failure leaves the service as it is; and the way back runs nothing."""
    first, second = shop.push("tag1"), shop.push("tag2")
    outcomes, order = shop.deploy(first, "tag1")
    assert {one.actuation for one in outcomes.values()} <= {Actuation.SUCCEEDED, Actuation.UNCHANGED}
    assert order.index("migration.api") < order.index("apprunner_service.api")
    shop.deploy(first, "tag1")
    assert shop.ran() == ["tag1"]

    (shop.folder / "broken").touch()
    outcomes, _ = shop.deploy(second, "tag2")
    assert outcomes["migration.api"].actuation is Actuation.FAILED
    assert "relation orders already exists" in outcomes["migration.api"].reason
    assert outcomes["apprunner_service.api"].actuation is Actuation.SKIPPED
    (shop.folder / "broken").unlink()
    shop.deploy(second, "tag2")
    assert shop.ran() == ["tag1", "tag2", "tag2"], "it did not end well, so it runs again"

    outcomes, _ = shop.deploy(first, "tag1")
    assert outcomes["apprunner_service.api"].actuation is Actuation.SUCCEEDED
    assert shop.ran() == ["tag1", "tag2", "tag2"]


SHOWS = """
import os, sys
print("migrating", os.environ["COLOUR"], os.environ["STEP"], os.environ["ConnectionStrings__Main"], flush=True)
print("error: relation orders already exists")
print("connected with", os.environ["ConnectionStrings__Main"][::-1][::-1])
sys.exit(3)
"""
SECRET = """
data:
  ConnectionStrings:Main: "Host=db;Password=correct-horse-battery"  # orchestrator: not-a-secret
  Jwt:Key: {generate: {length: 32}}
"""


def test_a_mark_that_s3_does_not_return_yet_is_a_mark(shop: Shop) -> None:
    """S3 may answer 404 for 15 minutes after versioning was switched on (API reference of PutBucketVersioning).

    A migration that ran would run again; a listing shows its mark.
    """
    shop.aws.faults = Faults(unseen_reads={"object": 9})
    first = shop.push("tag1")
    shop.deploy(first, "tag1")

    shop.deploy(first, "tag1")

    assert "HeadObject" in {call.operation for call in shop.aws.calls if call.fault == "unseen"}
    assert shop.ran() == ["tag1"]


@pytest.mark.parametrize("selected", [None, {"ConnectionStrings__Main": "secret.app[ConnectionStrings:Main]"}])
def test_it_gets_what_the_service_gets_and_shows_no_secret(shop: Shop, selected: object) -> None:
    """Its own secrets or those it names, and the variables; line by line while it runs, without the values."""
    (shop.folder / "migrate.py").write_text(SHOWS)
    spec = {
        "image": {"repository": "shop-api", "build": {"context": "."}},
        "environment": {"COLOUR": "red"},
        "secrets": ["secret.app"] if selected is None else [],
        "migrate": {
            "command": [sys.executable, "migrate.py"],
            "environment": {"STEP": "two"},
            **({"secrets": selected} if selected else {}),
        },
    }
    bucket = manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases}")
    secret = manifest_stacks.make_document("Secret", "app", SECRET)
    documents = [RELEASES, manifest_stacks.make_document("ContainerService", "api", json.dumps(spec)), bucket, secret]
    (shop.folder / "stack.yaml").write_text("---\n".join(documents))
    lines: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, OutputLine):
            lines.append(event.line)

    planned = pipeline.plan(shop.desired(shop.push("tag1"), "tag1"), clients=shop.clients)
    outcomes = {item.address: item for item in performed_calls.apply(planned, tell, clients=shop.clients)}
    failed = outcomes["migration.api"]

    assert failed.actuation is Actuation.FAILED
    assert "migrating red two ***" in lines
    assert "connected with ***" in lines
    assert "first error (line 2): error: relation orders already exists" in failed.reason
    [file] = {line.partition(": ")[2] for line in lines if line.startswith("Complete output")}
    for text in (failed.reason, Path(file).read_text(), *lines):
        assert "correct-horse-battery" not in text
    assert "exited with status 3" in failed.reason
    assert f"(cd {shop.folder} && {sys.executable} migrate.py)" in failed.reason
    assert failed.steps_done == 1, "the value was read, and nothing was recorded as migrated"


@pytest.mark.parametrize("destructive", [False, True])
def test_a_snapshot_comes_first_where_data_may_be_lost(tmp_path: Path, destructive: bool) -> None:
    """Of each database that the service may use; the migration waits for them, and the service for it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    spec = {
        "image": {"repository": "shop-api", "build": {"context": "."}},
        "access": ["database.main"],
        "migrate": {"command": ["migrate"], "destructive": destructive},
    }
    documents = [
        RELEASES,
        manifest_stacks.make_document("ContainerService", "api", json.dumps(spec)),
        manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases}"),
        manifest_stacks.make_document("Database", "main", "{database: shop, username: shop, version: '16'}"),
    ]
    (tmp_path / "stack.yaml").write_text("---\n".join(documents))
    made = {one.address: one for one in pipeline.load_desired(tmp_path, "prod").resources}
    how = made["migration.api"].spec["how"]
    snapshots = (how.value if isinstance(how, WriteOnly) else how)["snapshots"]

    assert snapshots == ([made["rds_instance.main"].physical] if destructive else [])
    assert {"rds_instance.main", "ecr_image.api"} <= made["migration.api"].depends_on
    assert "migration.api" in made["apprunner_service.api"].depends_on


def test_a_migration_that_would_never_run_is_refused(tmp_path: Path) -> None:
    """With an image that is built elsewhere there is no build to run it for; this was once silent."""
    spec = {"image": {"prebuilt": "public.ecr.aws/nginx/nginx:1.27"}, "migrate": {"command": ["migrate"]}}
    documents = [
        RELEASES,
        manifest_stacks.make_document("ContainerService", "api", json.dumps(spec)),
        manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases}"),
    ]
    (tmp_path / "stack.yaml").write_text("---\n".join(documents))

    with pytest.raises(Problems) as refused:
        pipeline.load_desired(tmp_path, "prod")

    assert [problem.message for problem in refused.value.problems] == [
        "spec.migrate runs once for each build, and spec.image has no `build`: it would never run"
    ]
