"""In a project with releases, only deploy and rollback change images, sites and models; what else did is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.release import rollback
from tests import performed_calls
from tests.proofs.real_stack import clients
from tests.release.manifests import WEB
from tests.release.service_project import API, ServiceProject

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> ServiceProject:
    """One release with a service and a site."""
    project = ServiceProject(tmp_path, emulator)
    project.extra = WEB
    project.build_site("one")
    project.deploy(version="1")
    return project


@pytest.fixture
def run(shop: ServiceProject, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that people type; return its exit code and what the terminal shows."""

    def command(name: str, *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([name, *arguments, "-f", str(shop.folder), "-e", "prod"])
        shown = capsys.readouterr()
        return code, " ".join((shown.out + shown.err).split())

    return command


def test_apply_leaves_image_and_site_and_changes_the_rest(shop: ServiceProject, run: Run) -> None:
    """An apply that shipped them would leave `releases` naming a release that nobody is served."""
    image = shop.read_service()[0]
    shop.write(version="2", colour="blue", versioning="true")
    shop.build_site("two")

    code, shown = run("apply", "--auto-approve")

    assert code == 0, shown
    assert f"This command does not change the image of {API}, the site of bucket.web" in shown
    assert "run: orchestrator deploy" in shown
    assert (shop.read_service(), shop.read_page(), shop.is_versioned()) == ((image, "blue"), "one", True)
    assert run("apply", "--auto-approve")[0] == 0

    assert run("deploy", "--auto-approve")[0] == 0
    assert (shop.read_service()[0] != image, shop.read_page()) == (True, "two")


def test_a_reviewed_plan_that_ships_is_refused_with_the_command(shop: ServiceProject, run: Run) -> None:
    """`apply plan.json` does what was reviewed or stops."""
    shop.write(version="2")
    assert run("plan", "--out", str(shop.folder / "plan.json"))[0] in {0, 2}
    digest = json.loads((shop.folder / "plan.json").read_text())["digest"]

    code, shown = run("apply", str(shop.folder / "plan.json"))

    assert code == 1
    assert f"the reviewed plan changes the image of {API}, which only `orchestrator deploy` can change" in shown
    assert f"orchestrator deploy --expect {digest}" in shown


def test_a_service_that_is_not_deployed_yet_needs_a_deploy(shop: ServiceProject, run: Run) -> None:
    """Its first image is a release; the other components can still be applied."""
    shop.extra += """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: worker}
spec: {image: {prebuilt: "public.ecr.aws/docker/library/busybox:1.37"}}
"""
    shop.write(versioning="true")

    code, shown = run("apply", "--auto-approve")

    assert (code, "containerservice.worker is not deployed yet" in shown) == (1, True), shown
    assert run("apply", "--auto-approve", "--target", "bucket.files")[0] == 0
    assert shop.is_versioned()


def ship_outside(shop: ServiceProject, version: str) -> None:
    """Ship another image past the ledger, as an older orchestrator's apply or another tool does."""
    shop.write(version=version)
    planned = pipeline.plan(shop.read_checkout().desired, clients=shop.clients)
    performed_calls.apply(planned, ignore_event, clients=clients())


def test_what_changed_outside_is_recorded_by_the_next_deploy(shop: ServiceProject) -> None:
    """`releases` would name release 1 as current while another image answers."""
    ship_outside(shop, "2")

    recorded = shop.deploy()

    first, last = shop.ledger.releases
    assert (recorded.status, last.number) == ("released", 2)
    assert last.vector.images[API] != first.vector.images[API]
    assert last.reason == f"changed outside of a deploy: image {API}"
    assert recorded.warnings[0] == f"since release 1, image {API} changed outside of a deploy"
    assert shop.deploy().status == "unchanged"


def test_a_rollback_undoes_what_changed_outside(shop: ServiceProject) -> None:
    """`rollback --to 1` said "nothing to do" while other code answered; and the other code is held back."""
    image = shop.read_service()[0]
    ship_outside(shop, "2")
    target = rollback.prepare(shop.ledger, shop.ledger.releases[0], (), shop.store)
    planned = pipeline.plan(target.candidate.desired, clients=shop.clients)

    ended = shop.make_deployment().rollback(planned, rollback.observe(target, planned), "", lambda cause: None)

    assert (ended.status, shop.read_service()[0]) == ("released", image)
    assert [pin.part for pin in shop.ledger.pins] == [f"image:{API}"]
    assert shop.deploy().status == "unchanged"


def test_a_rollback_to_what_is_served_changes_nothing(shop: ServiceProject, run: Run) -> None:
    code, shown = run("rollback", "--to", "1", "--auto-approve")

    assert (code, "Release 1 is already current. Nothing was changed." in shown) == (0, True), shown
    assert len(shop.ledger.releases) == 1
