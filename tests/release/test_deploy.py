"""Deploys and rollbacks of a project on the emulated AWS: what stands, what is written down, what is held back."""

from __future__ import annotations

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease, rollback
from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.render import deploy_view
from tests.release.aged_clients import AgedClients
from tests.release.shop_project import BUCKET, ShopProject

PLACE = {"Bucket": BUCKET, "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}


def back(shop: ShopProject, number: int | None = None, *words: str, reason: str = "") -> DeployResult:
    """Go back, as ``orchestrator rollback`` does."""
    way = rollback.prepare(shop.ledger, rollback.choose_release(shop.ledger, number), words, shop.store)
    planned = pipeline.plan(way.candidate.desired, clients=shop.clients)
    return shop.make_deployment().rollback(planned, way, reason, lambda cause: None)


def failing(*_: object) -> tuple[ProbeResult, ...]:
    """A service that does not answer as it should."""
    return (
        ProbeResult(Probe("containerservice.api", "shop.example", "/health"), False, "status 500, expected 200", 1.0),
    )


def test_a_deploy_is_written_down(shop: ShopProject) -> None:
    ended = shop.deploy()

    made = shop.ledger.releases[-1]
    assert (ended.status, ended.current_release_number, made.number, made.by, made.commit) == (
        "released",
        1,
        1,
        "ana",
        "c0ffee",
    )
    assert made.vector.secrets.keys() == {"secret.app"}
    assert "create s3_bucket.files" in made.changes


def test_nothing_new_is_no_release(shop: ShopProject) -> None:
    shop.deploy()

    assert shop.deploy().status == "unchanged"
    assert len(shop.ledger.releases) == 1


def test_everything_comes_back_with_one_command(shop: ShopProject) -> None:
    shop.deploy(issuer="one", versioning="true")
    first = shop.read_secret()
    shop.deploy(issuer="two", versioning="false")
    assert (shop.read_issuer(), shop.is_versioned()) == ("two", False)

    ended = back(shop)

    assert (ended.status, ended.current_release_number) == ("released", 3)
    assert (shop.read_secret(), shop.is_versioned()) == (first, True)
    assert shop.ledger.releases[-1].of == 1
    assert shop.ledger.releases[-1].vector == shop.ledger.releases[0].vector


def test_a_secret_comes_back_as_the_version_it_was(shop: ShopProject) -> None:
    """No value is read or written: the version's label moves."""
    shop.deploy(issuer="one")
    before = shop.ledger.releases[-1].vector.secrets
    shop.deploy(issuer="two")

    back(shop)

    versions = shop.clients.call("secretsmanager", "describe_secret", {"SecretId": "shop-app"})["VersionIdsToStages"]
    current = [version for version, stages in versions.items() if "AWSCURRENT" in stages]
    assert current == [before["secret.app"]]
    assert len(versions) == len(set(versions)) >= 2


def test_only_the_parts_that_are_named_come_back(shop: ShopProject) -> None:
    shop.deploy(issuer="one", versioning="true")
    shop.deploy(issuer="two", versioning="false")

    back(shop, 1, "files")

    assert (shop.read_issuer(), shop.is_versioned()) == ("two", True)


def point(shop: ShopProject, version: str) -> None:
    """Upload a model and make it the current one, as ``ml.upload_model`` does."""
    model = {"Bucket": "shop-files", "Key": f"ml-models/{version}/model.onnx", "Body": b"weights"}
    shop.clients.call("s3", "put_object", model)
    pointer = {"Bucket": "shop-files", "Key": "ml-models/current.json", "Body": f'{{"version": "{version}"}}'.encode()}
    shop.clients.call("s3", "put_object", pointer)


def test_a_model_comes_back_by_its_pointer(shop: ShopProject) -> None:
    shop.deploy(issuer="one")
    point(shop, "m1")
    shop.deploy(issuer="two")
    point(shop, "m2")
    shop.deploy(issuer="three")

    back(shop, 2, "model")

    stored = shop.clients.call("s3", "get_object", {"Bucket": "shop-files", "Key": "ml-models/current.json"})
    assert stored["Body"].read() == b'{"version": "m1"}'
    assert shop.read_issuer() == "three"
    point(shop, "m3")
    assert shop.deploy().status == "released", "a deploy leaves the pointer alone, and records it"
    assert shop.ledger.releases[-1].vector.models == {"bucket.files": "m3"}


def test_what_was_rolled_back_stays_away_until_it_changes(shop: ShopProject) -> None:
    shop.deploy(issuer="one", versioning="true")
    shop.deploy(issuer="two", versioning="true")
    back(shop, reason="wrong issuer")

    merged = shop.deploy(issuer="two", versioning="false")  # something unrelated, on top of the bad commit
    assert (merged.status, shop.read_issuer(), shop.is_versioned()) == ("released", "one", False)
    assert any("wrong issuer" in note for note in shop.read_checkout().desired.notes)

    shop.deploy(issuer="three")  # the fix
    assert shop.read_issuer() == "three"
    assert shop.ledger.pins == ()


def test_a_plan_after_a_rollback_is_empty(shop: ShopProject) -> None:
    """The same bad commit is at HEAD still, and it is held back."""
    shop.deploy(issuer="one")
    shop.deploy(issuer="two")
    back(shop)

    assert pipeline.plan(shop.read_checkout().desired, clients=shop.clients).plan.pending_changes == ()


def test_a_deploy_that_does_not_prove_well_goes_back(shop: ShopProject) -> None:
    shop.deploy(issuer="one", versioning="true")
    first = shop.read_secret()
    calls: list[int] = []
    shop.prove = lambda *asked: failing() if not calls and not calls.append(1) else ()  # type: ignore[func-returns-value]

    ended = shop.deploy(issuer="two", versioning="false")

    assert (ended.status, ended.current_release_number) == ("returned", 3)
    assert "status 500" in ended.cause
    assert (shop.read_secret(), shop.is_versioned()) == (first, True)
    assert [release.result for release in shop.ledger.releases] == ["unproved", "failed", "unproved"]
    assert shop.deploy().status == "unchanged", "the failed commit is held back"


def test_a_project_may_stop_instead(shop: ShopProject) -> None:
    shop.deploy(issuer="one", on_failure="stop")
    shop.prove = failing

    ended = shop.deploy(issuer="two")

    assert (ended.status, ended.current_release_number, shop.read_issuer()) == ("failed", None, "two")


def test_a_first_release_that_fails_has_none_to_go_back_to(shop: ShopProject) -> None:
    """Its report speaks of no old release."""
    shop.prove = failing

    ended = shop.deploy()

    told = deploy_view.build_view(ended, 2.0, retry_command="orchestrator deploy", list_command="orchestrator releases")
    assert (ended.status, ended.current_release_number) == ("failed", None)
    assert (
        told.headline
        == "Deploy failed after 2.0s: the first release is incomplete, and there is no earlier release to roll back to."
    )
    assert told.next_command == "orchestrator deploy"


def test_a_deploy_that_was_killed_is_gone_back_from(shop: ShopProject) -> None:
    """Its intent is in the ledger, so the default is the release before it, not the one before that."""
    shop.deploy(issuer="one")
    shop.deploy(issuer="two")
    shop.write(issuer="three")
    asked = shop.read_checkout()
    shop.make_deployment()._record_start(pipeline.plan(asked.desired, clients=shop.clients), asked, None)

    assert rollback.choose_release(shop.ledger, None).number == 2


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (9, (), "release 9 does not exist"),
        (1, ("sites", "secret.ap"), "unknown part `secret.ap`"),
        (1, ("model",), "does not differ"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(shop: ShopProject, number: int, words: tuple[str, ...], said: str) -> None:
    shop.deploy(issuer="one")
    shop.deploy(issuer="two")

    with pytest.raises(Problems, match=said):
        back(shop, number, *words)


def test_before_the_first_release_there_is_nothing_to_go_back_to(shop: ShopProject) -> None:
    with pytest.raises(Problems, match="there are no releases yet"):
        rollback.choose_release(shop.ledger, None)


def test_two_do_not_deploy_at_once(shop: ShopProject) -> None:
    shop.deploy()

    with bucket_lease.acquire(shop.store, "ana", "deploy"):  # noqa: SIM117 - the inner one raises
        with (
            pytest.raises(Problems, match=r"is locked by ana \(deploy\)"),
            bucket_lease.acquire(shop.store, "ben", "x"),
        ):
            pass
    with bucket_lease.acquire(shop.store, "ben", "deploy"):
        pass


def test_a_dead_runs_lease_ends_by_itself(shop: ShopProject) -> None:
    shop.deploy()
    s3_time = AgedClients()

    with bucket_lease.acquire(shop.store, "ana", "deploy"):
        s3_time.advance(bucket_lease.LEASE_TTL_SECONDS)
        with bucket_lease.acquire(shop.store.with_caller(s3_time), "ben", "deploy"):
            pass


@pytest.mark.parametrize("goes", [False, True])
def test_a_lease_that_vanished_is_lost_unless_its_bucket_may_go(shop: ShopProject, goes: bool) -> None:
    """A run whose time is over asks; where nobody came, the lease is its own again."""
    shop.clients.call("s3", "create_bucket", PLACE)
    now = [1000.0]

    with bucket_lease.acquire(shop.store, "ana", "destroy", clock=lambda: now[0], allow_missing=goes) as held:
        now[0] += 1000
        assert held.is_held()
        shop.clients.call("s3", "delete_object", {"Bucket": BUCKET, "Key": bucket_lease.lease_key(shop.store)})
        assert held.is_held(), "it is asked for once its time is over"
        now[0] += 1000
        assert held.is_held() is goes


def test_the_ledger_keeps_as_many_releases_as_the_project_says(shop: ShopProject) -> None:
    for issuer in ("a", "b", "c", "d"):
        shop.deploy(issuer=issuer, keep=2)

    ledger = shop.ledger
    assert [release.number for release in ledger.releases] == [3, 4]
    assert set(ledger.manifests) == {release.vector.manifests for release in ledger.releases}
    assert all(ledger.documents_of(release) for release in ledger.releases)


@pytest.mark.parametrize("body", [b"", b'{"releases": [{"numb', b'{"releases": 5}', b"[]", b"\xff\xfe"])
def test_a_ledger_that_is_damaged_is_not_written_over(shop: ShopProject, body: bytes) -> None:
    """It is told where it lies and how it comes back: the bucket keeps its versions."""
    shop.clients.call("s3", "create_bucket", PLACE)
    shop.store.put("ledger/prod.json", body, previous=None)

    for attempt in (shop.deploy, shop.store.read):
        with pytest.raises(Problems, match=r"s3://shop-releases-prod/ledger/prod.json") as told:
            attempt()
    assert "an earlier version" in str(told.value)
    assert shop.store.fetch("ledger/prod.json").data == body  # type: ignore[union-attr]
