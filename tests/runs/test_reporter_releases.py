"""Deploys, rollbacks and destroys that tell the state service: with it, and without it and handed in later."""

from __future__ import annotations

import html
import json
import re
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.state.client.payloads import current_timestamp
from orchestrator.state.protocol.records import ModelVersion
from orchestrator.state.protocol.records import Run as Told
from tests.cli.conftest import Run
from tests.cli.state_service import ENVIRONMENT_KEY, UNREACHABLE_URL, RunningService, list_journals, list_write_calls
from tests.release.shop_project import MANIFESTS

VALUES = {"versioning": "false", "keep": 20, "on_failure": "rollback"}


@pytest.fixture
def ship(run: Run, manifests: Path, aws: Emulator) -> Callable[..., Any]:
    """A verb of somebody who agrees; ``issuer`` is what the checkout says."""

    def verb(words: str, issuer: str = "one") -> Any:
        (manifests / "shop.yaml").write_text(MANIFESTS % {**VALUES, "issuer": issuer})
        name, *more = shlex.split(words)
        return run(name, *more, "--auto-approve")

    return verb


@pytest.fixture
def upload(service: RunningService, by_hand: Callable[..., Any]) -> Callable[[str], None]:
    """What an upload of a model leaves: the pointer, and a word to the service."""

    def made(version: str) -> None:
        for key, said in ((f"{version}/model.json", {}), ("current.json", {"version": version})):
            body = json.dumps(said).encode()
            by_hand("s3", "put_object", Bucket="shop-files", Key=f"ml-models/{key}", Body=body)
        service.store.record_model_version(
            ModelVersion(ENVIRONMENT_KEY, "products", version, current_timestamp(), "ana", current=True), "ana"
        )

    return made


def runs(service: RunningService) -> list[Told]:
    """Oldest first."""
    return list(reversed(service.store.list_runs().items))


def current(service: RunningService) -> list[str]:
    return [one.version for one in service.store.list_model_versions(ENVIRONMENT_KEY) if one.current]


def test_what_was_deployed_and_gone_back_to_is_told(
    service: RunningService, ship: Callable[..., Any], upload: Callable[[str], None]
) -> None:
    """Runs, releases with what they are made of, drift, and the model that is in use after going back to it."""
    assert ship("deploy").code == 0
    upload("m1")
    assert ship("deploy", "two").code == 0
    upload("m2")
    assert current(service) == ["m2"]
    back = ship("rollback --only model --reason 'takes rings for chains'", "two")
    assert back.code == 0, back

    told = runs(service)
    assert [(one.verb, one.status, one.release) for one in told] == [
        ("deploy", "succeeded", 1),
        ("deploy", "succeeded", 2),
        ("rollback", "succeeded", 3),
    ]
    assert told[2].reason == "takes rings for chains"
    assert [one.address for one in told[2].outcomes] == ["s3_model.files"]
    assert current(service) == ["m1"]
    releases = {one.release.number: one for one in service.store.list_releases(ENVIRONMENT_KEY).items}
    assert [(number, releases[number].run) for number in (1, 2, 3)] == [(n, told[n - 1].id) for n in (1, 2, 3)]
    assert releases[3].release.of == 2
    assert all(url.startswith("https://") for release in releases.values() for url in release.addresses)
    content = service.store.get_release_content(ENVIRONMENT_KEY, 2)
    assert content is not None
    assert {document.value["kind"] for document in content.documents} >= {"Bucket", "Secret"}
    environment = service.store.get_environment(ENVIRONMENT_KEY)
    assert environment is not None
    assert environment.release is not None
    assert (environment.release.release.number, environment.health) == (3, "healthy")
    assert [report.drifted for report in service.store.list_drift_reports(ENVIRONMENT_KEY).items] == [0, 0, 0]
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None
    assert list_journals() == []


def test_what_is_held_back_is_on_the_page_with_its_command(
    service: RunningService, ship: Callable[..., Any], run: Run
) -> None:
    """And the command works as it is printed; afterwards nothing is held back there either."""

    def page() -> str:
        return httpx.get(f"{service.address}/e/{ENVIRONMENT_KEY}").text

    assert [ship("deploy", issuer).code for issuer in ("one", "two")] == [0, 0]
    assert "Pinned parts" not in page()
    assert ship("rollback --reason 'wrong <prices>'", "two").code == 0
    shown = page()
    assert shown.index("Pinned parts") < shown.index("<dt>Release</dt>"), "it comes first"
    assert "wrong &lt;prices&gt;" in shown
    command = re.search(r"<code>(orchestrator unpin -e prod [^<]+)</code>", shown)
    assert command is not None
    unpinned = run(*html.unescape(command[1]).split()[1:])
    assert unpinned.code == 0, unpinned.err
    assert "Pinned parts" not in page()


def test_without_the_service_a_deploy_stops_and_a_rollback_does_not(
    aws: Emulator, service: RunningService, ship: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each leaves a journal; handed in, twice and in the wrong order, the service knows all of it."""
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", UNREACHABLE_URL)
    stopped = ship("deploy")
    assert (stopped.code, list_write_calls(aws), list_journals()) == (1, [], [])
    assert "nothing was changed" in stopped.err
    assert "--without-record" in stopped.err
    for issuer in ("one", "two"):
        assert ship("deploy --without-record", issuer).code == 0
    back = ship("rollback", "two")
    assert back.code == 0, back
    assert "Continuing without it; this run keeps a journal in" in back.err

    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", service.address)
    assert len(list_journals()) == 3
    for journal in (*reversed(list_journals()), *list_journals()):
        assert main(["history", "import", str(journal)]) == 0
    assert sorted((one.verb, one.status, one.release) for one in runs(service)) == [
        ("deploy", "succeeded", 1),
        ("deploy", "succeeded", 2),
        ("rollback", "succeeded", 3),
    ]
    for one in runs(service):
        assert [event.sequence for event in service.events(one.id)] == list(range(1, one.sequence + 1))
    assert sorted(one.release.number for one in service.store.list_releases(ENVIRONMENT_KEY).items) == [1, 2, 3]
    environment = service.store.get_environment(ENVIRONMENT_KEY)
    assert environment is not None
    assert environment.release is not None
    assert environment.release.release.number == 3


def test_a_destroy_is_told(service: RunningService, ship: Callable[..., Any], aws: Emulator) -> None:
    """What it deleted, and that it was vetoed before; it takes its turn like any other."""
    ship("apply")
    fence = service.acquire_lease("bo")
    refused = ship("destroy")
    service.store.revoke_lease(ENVIRONMENT_KEY, "bo")
    vetoed = ship("destroy")
    token = vetoed.out.split("--allow ")[1].split()[0]
    assert fence
    assert (refused.code, vetoed.code, ship(f"destroy --allow {token}").code) == (1, 3, 0)

    told = [one for one in runs(service) if one.verb == "destroy"]
    assert [one.status for one in told] == ["interrupted", "succeeded"]
    assert told[0].cause.startswith("vetoed: ")
    assert {one.action for one in told[1].outcomes} == {"delete"}
    assert {one.actuation for one in told[1].outcomes} == {"succeeded"}
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None


def test_a_deploy_that_waits_gives_way_to_a_newer_one(
    service: RunningService, ship: Callable[..., Any], aws: Emulator
) -> None:
    """Nothing is left to do for it, which is no failure; it says which run deploys its commit with its own."""
    service.acquire_lease("bo")

    def newer() -> None:
        while not service.store.get_lease(ENVIRONMENT_KEY).waiting:
            time.sleep(0.02)
        service.store.begin_run(
            Told("newer", ENVIRONMENT_KEY, "deploy", "ci", "c0ffee", current_timestamp()), "ci", can_wait=True
        )

    overtaking = threading.Thread(target=newer, daemon=True)
    overtaking.start()
    shown = ship("deploy --wait")
    overtaking.join(5)

    assert shown.code == 0, shown.err
    assert "Superseded: run newer deploys a newer commit. Nothing was changed." in shown.out
    assert list_write_calls(aws) == []
    became = {one.id: (one.status, one.superseded_by) for one in service.store.list_runs().items}
    assert became.pop("newer") == ("queued", "")
    assert list(became.values()) == [("superseded", "newer"), ("running", "")]
    assert list_journals() == []
