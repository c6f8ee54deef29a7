"""There is always a way back, and what is said about it is true: one answer for `releases` and `rollback`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.release import rollback
from orchestrator.render import deploy_view
from orchestrator.state.client import release_payloads
from orchestrator.state.protocol import records
from orchestrator.state.server.store import Store
from tests.release.manifests import WEB
from tests.release.service_project import API, ServiceProject
from tests.release.shop_project import ShopProject
from tests.release.test_deploy import back, failing

KEY = "shop/prod"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def service(tmp_path: Path, emulator: Emulator) -> ServiceProject:
    """Three releases of a service and a site."""
    project = ServiceProject(tmp_path, emulator)
    project.extra = WEB
    for number in ("1", "2", "3"):
        project.build_site(f"site {number}")
        project.deploy(version=number)
    return project


@pytest.fixture
def run(service: ServiceProject, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(line: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*shlex.split(line), "-f", str(service.folder), "-e", "prod"])
        shown = capsys.readouterr()
        return code, " ".join((shown.out + shown.err).split())

    return command


def delete_image(shop: ServiceProject, number: int) -> None:
    release = shop.ledger.find(number)
    assert release is not None
    ids = [{"imageDigest": release.vector.images[API].digest}]
    shop.clients.call("ecr", "batch_delete_image", {"repositoryName": "shop-api", "imageIds": ids})


def test_a_site_comes_back_without_the_image_of_its_release(service: ServiceProject, run: Run) -> None:
    """The image of release 2 is gone; its site is whole."""
    image = service.read_service()[0]
    delete_image(service, 2)

    assert run("rollback --to 2 --auto-approve")[0] == 1
    code, shown = run("rollback --to 2 --only site --auto-approve")

    assert code == 0, shown
    assert (service.read_page(), service.read_service()[0]) == ("site 2", image)


def test_a_rollback_names_what_it_skips_and_takes_the_next(service: ServiceProject, run: Run) -> None:
    delete_image(service, 2)

    code, shown = run("rollback --auto-approve")

    assert code == 0, shown
    assert "Skipped: release 2 cannot be restored: image sha256:" in shown
    assert service.read_page() == "site 1"


def test_a_rollback_that_finds_none_names_every_reason(service: ServiceProject, run: Run) -> None:
    delete_image(service, 1)
    delete_image(service, 2)

    code, shown = run("rollback --auto-approve")

    assert (code, service.read_page()) == (1, "site 3")
    assert "release 2 cannot be restored" in shown
    assert "release 1 cannot be restored" in shown


def test_the_list_and_the_command_agree(service: ServiceProject, run: Run) -> None:
    """What `releases` calls restorable is restored, what it does not is refused, and its advice works when typed."""
    service.set_schema(2, "{from: 2, to: 2}")
    service.deploy(version="4")
    service.service_options = ""
    service.deploy(version="5")
    delete_image(service, 2)
    rows = {row["number"]: row for row in json.loads(run("releases --format json")[1])}
    for number, row in rows.items():
        release = service.ledger.find(number)
        assert release is not None
        refusals = rollback.find_obstacles(service.ledger, release, service.store, Reader(service.clients))
        assert row["restorable"] == (refusals == ())
        code, _ = run(f"rollback --to {number} --plan")
        assert (code == 0) == row["restorable"] or row["is_standing"], number
    assert not rows[2]["restorable"]

    advice = re.search(r"To roll back: orchestrator (rollback .*? --to \d+)", run("releases")[1])
    assert advice is not None
    number = int(advice[1].rpartition(" ")[2])
    code, shown = run(f"rollback --to {number} --auto-approve")
    assert code == 0, shown


def test_the_releases_page_agrees_with_the_list(service: ServiceProject, run: Run, tmp_path: Path) -> None:
    """A run reports its newest releases; what the ledger drops is known at once, what is deleted by the next check."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")

    def report(number: int) -> dict[int, bool]:
        made_by = (
            records.Run(f"r{number}", KEY, "deploy", "ana", "c", "2026-12-01T10:00:00Z", release=number)
            if number
            else None
        )
        reader = Reader(service.clients)
        for item in release_payloads.build_release_payloads(
            service.ledger, KEY, made_by, service.store, reader, service.folder, max_releases=1
        ):
            store.record_release(item.record, item.content, "ci")
        return {item.release.number: item.restorable for item in store.list_releases(KEY).items}

    assert report(0) == {1: True, 2: True, 3: True}
    service.deploy(version="4", keep=3)
    assert report(4) == {1: False, 2: True, 3: True, 4: True}
    delete_image(service, 2)

    page = report(0)
    listed = {row["number"]: row["restorable"] for row in json.loads(run("releases --format json")[1])}

    assert page == {**listed, 1: False}
    assert listed == {2: False, 3: True, 4: True}
    dropped = store.get_release(KEY, 1)
    assert dropped is not None
    assert "the ledger no longer lists it" in dropped.obstacle
    store.engine.dispose()


def test_the_values_of_a_secret_come_back_to_the_process(service: ServiceProject, run: Run) -> None:
    """Secrets Manager had the old value, the process the new one: its service has to start again to read it."""
    service.service_options = "secrets: [secret.app]\n"
    service.deploy(issuer="two")
    fingerprint = read_fingerprint(service)
    service.deploy(issuer="three")
    assert read_fingerprint(service) != fingerprint

    code, shown = run("rollback --only secrets --auto-approve")

    assert code == 0, shown
    assert (service.read_issuer(), read_fingerprint(service)) == ("two", fingerprint)
    assert service.read_page() == "site 3"


def read_fingerprint(shop: ServiceProject) -> str:
    """Return the fingerprint of the secret that the process was started with."""
    [summary] = shop.clients.call("apprunner", "list_services", {})["ServiceSummaryList"]
    service = shop.clients.call("apprunner", "describe_service", {"ServiceArn": summary["ServiceArn"]})["Service"]
    configuration = service["SourceConfiguration"]["ImageRepository"]["ImageConfiguration"]
    return str(configuration["RuntimeEnvironmentVariables"]["ORCHESTRATOR_APP_FINGERPRINT"])


def test_returns_do_not_push_releases_out_of_the_ledger(shop: ShopProject) -> None:
    """`keep` counts what can be restored: two failed deploys pushed release 1 out, though nothing new was released."""
    shop.deploy(issuer="one", keep=2)
    shop.deploy(issuer="two")
    for _ in range(3):
        assert back(shop, 1).status == "released"
        assert back(shop, 2).status == "released"

    shop.store.write(lambda ledger: replace(ledger, pins=()))
    for issuer in ("three", "four"):
        shop.deploy(issuer=issuer)
        assert len({release.vector.manifests for release in shop.ledger.releases}) == 2
    assert {release.number for release in shop.ledger.releases} == {9, 10}


def test_a_build_that_fails_is_no_release(service: ServiceProject) -> None:
    """Nothing was changed: no entry, no rollback of the whole stack, and the report says so."""
    before = service.ledger
    (service.folder / "image" / "Dockerfile").write_text("FROM scratch\nCOPY nothing-there /\n")
    candidate = service.read_checkout()
    planned = pipeline.plan(candidate.desired, clients=service.clients)

    ended = service.make_deployment().deploy(planned, candidate, lambda cause: None)

    assert (ended.status, ended.current_release_number, ended.rollback_result) == ("failed", 3, None)
    assert service.ledger == before
    view = deploy_view.build_view(ended, 1.0, retry_command="orchestrator deploy", list_command="orchestrator releases")
    assert view.headline.startswith(
        "Deploy failed after 1.0s: ecr_image.api could not be created. Nothing was changed: release 3 is"
    )
    assert view.next_command == "orchestrator deploy"


def test_a_model_that_stays_live_keeps_no_release_from_coming_back(shop: ShopProject) -> None:
    """The release before went unseen for the one before that, because only the pointer of its model was there."""
    shop.deploy(issuer="one")
    pointer = {"Bucket": "shop-files", "Key": "ml-models/current.json", "Body": b'{"version": "7"}'}
    shop.clients.call("s3", "put_object", pointer)
    shop.deploy(issuer="two")
    remaining = [failing()]
    shop.prove = lambda *_: remaining.pop() if remaining else ()

    assert shop.deploy(issuer="three").status == "returned"

    assert (shop.ledger.releases[-1].of, shop.read_issuer()) == (2, "two")


def test_a_release_that_can_no_longer_come_back_is_told_before_it_is_needed(service: ServiceProject, run: Run) -> None:
    """By the drift run, which looks by the clock: the one that a rollback takes first, and the current one."""
    assert "can no longer be restored" not in run("drift")[1]
    delete_image(service, 1)
    assert "can no longer be restored" not in run("drift")[1], "release 2 is whole, so a rollback works"
    delete_image(service, 2)

    code, shown = run("drift")
    assert code == 2
    assert "release 2 can no longer be restored: image sha256:" in shown
    assert "Release 3" not in shown
    assert "to restore the missing parts of the current release" in shown
    assert json.loads(run("drift --format json")[1])["lost_releases"][0].startswith("release 2 can no longer")

    service.deploy(version="4")
    assert "can no longer be restored" not in run("drift")[1]
