"""What the release bucket is trusted with: nothing in it is assumed to be there, and a 404 is no proof of absence.

Amazon S3, PutBucketVersioning: after versioning is enabled for the first time, "you might encounter intermittent HTTP
404 NoSuchKey errors for requests to objects created or updated after enabling versioning".
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from orchestrator.aws import Clients
from orchestrator.aws.s3_object import PAUSES_SECONDS
from orchestrator.emulator import Emulator
from orchestrator.emulator.faults import Faults, Rule
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from tests.release.aged_clients import AgedClients
from tests.release.shop_project import BUCKET, ShopProject
from tests.release.site_project import OLD_STATE, SiteProject
from tests.release.test_deploy import failing


def unseen(times: int, operation: str = "GetObject") -> Faults:
    """S3 does not show an object for that many reads."""
    return Faults(rules=(Rule("error", "s3", operation, limit=times, status=404, code="NoSuchKey"),))


def empty_release_bucket(shop: ShopProject) -> None:
    """Delete every version of everything that the release bucket holds."""
    for page in shop.clients.pages("s3", "list_object_versions", {"Bucket": BUCKET}):
        for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
            request = {"Bucket": BUCKET, "Key": item["Key"], "VersionId": item["VersionId"]}
            shop.clients.call("s3", "delete_object", request)


def delete_archive(shop: ShopProject) -> None:
    """Delete the indexes and bodies of the sites, and keep the ledger."""
    for page in shop.clients.pages("s3", "list_objects_v2", {"Bucket": BUCKET}):
        for item in page.get("Contents", ()):
            if item["Key"].startswith(("sites/", "bodies/")):
                shop.clients.call("s3", "delete_object", {"Bucket": BUCKET, "Key": item["Key"]})


@pytest.mark.parametrize("has_ledger", [False, True])
def test_a_deploy_puts_back_what_restores_it(halfway: SiteProject, has_ledger: bool) -> None:
    """It said "Release 1 stands" and had kept nothing: the next failure could not be rolled back."""
    delete_archive(halfway) if has_ledger else empty_release_bucket(halfway)
    halfway.web.build(dict(halfway.web.read_pages()))
    halfway.deploy(issuer="one", versioning="true")

    halfway.prove = failing
    calls: list[int] = []
    halfway.prove = lambda *_: failing() if not calls and not calls.append(1) else ()  # type: ignore[func-returns-value]
    halfway.web.build({**halfway.web.read_pages(), "index.html": "broken"})

    assert halfway.deploy(issuer="two").status == "returned"
    assert halfway.live_state() == OLD_STATE


def test_a_deploy_says_what_it_put_back(halfway: SiteProject) -> None:
    halfway.web.build(dict(halfway.web.read_pages()))
    halfway.deploy(issuer="one", versioning="true")
    delete_archive(halfway)

    said = halfway.deploy().warnings

    assert any(
        "that were missing in s3://" in warning and "that a rollback of bucket.web needs" in warning for warning in said
    )
    assert halfway.deploy().warnings == ()


def test_a_lease_that_is_not_shown_is_not_lost(shop: ShopProject, emulator: Emulator) -> None:
    """One 404 in a heart-beat stopped a run that nobody had disturbed."""
    shop.deploy()
    now = [1000.0]
    with bucket_lease.acquire(shop.store, "ana", "deploy", clock=lambda: now[0]) as held:
        now[0] += 60
        emulator.faults = unseen(1)
        held._renew()
        assert held.is_held()
        now[0] += 90
        assert held.is_held(), "the next renewal finds it"


def test_a_lease_is_lost_to_another_token_or_to_its_time(shop: ShopProject, emulator: Emulator) -> None:
    shop.deploy()
    now = [1000.0]
    with bucket_lease.acquire(shop.store, "ana", "deploy", clock=lambda: now[0]) as held:
        now[0] += 1000
        emulator.faults = unseen(1)
        assert not held.is_held()
    now, s3_time = [1000.0], AgedClients()
    with bucket_lease.acquire(shop.store, "ana", "deploy", clock=lambda: now[0]) as held:
        now[0] += 1000
        s3_time.advance(bucket_lease.LEASE_TTL_SECONDS)
        with bucket_lease.acquire(shop.store.with_caller(s3_time), "ben", "deploy"):
            assert not held.is_held()


def make_store(shop: ShopProject, pauses: list[float]) -> LedgerStore:
    return LedgerStore(shop.clients, BUCKET, "prod", pauses.append)


@pytest.mark.parametrize("read", ["exists", "has", "read"])
def test_an_expired_session_is_said_as_that(shop: ShopProject, emulator: Emulator, read: str) -> None:
    """S3 answers HEAD requests without a body, so with "400 Bad Request" (API reference, HeadBucket)."""
    shop.deploy()
    emulator.faults = Faults(session_expires_after_seconds=0.0)
    reads: dict[str, Callable[[], object]] = {
        "exists": shop.store.exists,
        "has": lambda: shop.store.has("x"),
        "read": shop.store.read,
    }

    with pytest.raises(Problems, match="ExpiredToken") as raised:
        reads[read]()

    assert "The session has expired" in (raised.value.problems[0].hint or "")


def test_a_lock_that_is_not_shown_is_waited_for(shop: ShopProject, emulator: Emulator) -> None:
    """A conditional write says that a lease is there: who holds it is read again, with pauses."""
    shop.deploy()
    pauses: list[float] = []
    with bucket_lease.acquire(shop.store, "ana", "deploy"):
        emulator.faults = unseen(3)
        with (
            pytest.raises(Problems, match=r"locked by ana \(deploy\)"),
            bucket_lease.acquire(make_store(shop, pauses), "ben", "deploy"),
        ):
            pass
    assert pauses == list(PAUSES_SECONDS[:3])


def test_a_ledger_that_is_not_shown_is_never_an_empty_one(shop: ShopProject, emulator: Emulator) -> None:
    """It was written five times in a second as if it were new; `releases` said "There is no release yet"."""
    shop.deploy()
    pauses: list[float] = []
    store, expected = make_store(shop, pauses), shop.ledger
    emulator.faults = unseen(4)
    assert store.read() == expected
    emulator.faults = unseen(4)
    assert store.write(lambda ledger: replace(ledger, retained=("x",))).releases == expected.releases
    emulator.faults = Faults()
    assert shop.ledger == replace(expected, retained=("x",))
    assert pauses == [*PAUSES_SECONDS[:4]] * 2


def test_a_ledger_that_stays_unseen_is_not_written_over(shop: ShopProject, emulator: Emulator) -> None:
    shop.deploy()
    expected = shop.ledger
    emulator.faults = unseen(10_000)

    with pytest.raises(Problems, match="exists, but S3 returned 404 for a minute"):
        make_store(shop, []).write(lambda ledger: replace(ledger, retained=("x",)))

    emulator.faults = Faults()
    assert shop.ledger == expected


def test_what_this_run_wrote_is_read_again(shop: ShopProject, emulator: Emulator) -> None:
    shop.deploy()
    pauses: list[float] = []
    store = make_store(shop, pauses)
    store.put("models/x.json", b"1", previous=None)
    emulator.faults = unseen(2)

    stored = store.fetch("models/x.json")

    assert (stored.data if stored else None, len(pauses)) == (b"1", 2)
    assert store.fetch("models/never.json") is None


def test_a_write_whose_response_was_lost_is_not_made_twice(shop: ShopProject, emulator: Emulator) -> None:
    """The client repeats it, and S3 answers 412 to the repetition: the object is what was written."""
    shop.deploy()
    emulator.faults = Faults(rules=(Rule("reset_after", "s3", "PutObject", limit=1),))

    ledger = make_store(shop, []).write(lambda ledger: replace(ledger, retained=(*ledger.retained, "x")))

    assert ledger.retained == ("x",)
    assert shop.ledger.retained == ("x",)


def test_a_release_bucket_of_another_account_is_neither_read_nor_written(shop: ShopProject, emulator: Emulator) -> None:
    """Its name was freed, and somebody else took it and let everybody in: S3 refuses, and the message says why."""
    shop.deploy()
    expected = shop.ledger
    store = LedgerStore(Clients("eu-west-1", account="999999999999"), BUCKET, "prod", lambda _: None)

    def refuse(use: Callable[[], object]) -> str:
        with pytest.raises(Problems, match=r"AccessDenied|403") as raised:
            use()
        return raised.value.problems[0].hint or ""

    previous = shop.store.fetch(store.ledger_key)
    assert previous is not None
    hints = {
        refuse(use)
        for use in (
            store.exists,
            store.read,
            lambda: store.has(store.ledger_key),
            lambda: store.put("x", b"x", previous=None),
            lambda: store.delete(store.ledger_key, previous),
            lambda: bucket_lease.acquire(store, "ana", "deploy").__enter__(),
        )
    }
    assert all("belongs to that account: aws sts get-caller-identity" in hint for hint in hints)
    assert len(hints) == 1
    assert shop.ledger == expected
