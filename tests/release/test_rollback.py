"""A site, a secret and a bucket's settings go back together: all of it or nothing, and with few calls."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import Vector, live_versions, pins, restorability
from orchestrator.release.ledger_store import LedgerStore
from tests.release.failing_clients import FailingClients
from tests.release.site_checkout import V1, V2
from tests.release.site_project import NEW_STATE, OLD_STATE, SiteProject


@pytest.fixture
def shop(twice: SiteProject) -> SiteProject:
    return twice


def test_all_of_it_comes_back(shop: SiteProject) -> None:
    assert shop.live_state() == NEW_STATE

    ended = shop.roll_back()

    assert (ended.status, shop.live_state()) == ("released", OLD_STATE)
    assert shop.web.read_pages()["about.html"] == V1["about.html"]
    assert "contact.html" not in shop.web.read_pages()


def test_no_body_is_uploaded_again(shop: SiteProject) -> None:
    shop.roll_back()

    puts = [call for call in shop.emulator.calls if call.operation == "PutObject"]
    copies = [call for call in shop.emulator.calls if call.operation == "CopyObject"]
    assert len(copies) == 2 + 1  # index.html and about.html; and the index of what is left, which ages from now
    assert len(puts) <= 5  # the mark, and the ledger with its lease


def test_and_forward_again(shop: SiteProject) -> None:
    """The release that was left can be gone back to by its number."""
    shop.roll_back()

    assert shop.roll_back(number=2).status == "released"
    assert shop.live_state() == NEW_STATE


def test_a_fault_at_any_step_ends_in_the_old_or_the_new(shop: SiteProject) -> None:
    """And what is said is what is."""
    number, ends = 0, set()
    while True:
        number += 1
        faulty = FailingClients(number)
        ended = shop.roll_back(faulty, number=1)
        ends.add((ended.status, bool(faulty.failed_call)))
        if ended.status == "returned":
            assert shop.live_state() == NEW_STATE, faulty.failed_call
            assert shop.ledger.releases[-1].vector == shop.ledger.find(2).vector  # type: ignore[union-attr]
        else:
            assert shop.live_state() == OLD_STATE, faulty.failed_call
            assert ended.status == "released", (faulty.failed_call, ended.cause)
        if not faulty.failed_call:
            break
        if ended.status == "released":
            shop.roll_back(number=2)
    assert number > 6
    assert ("returned", True) in ends


def test_what_cannot_come_back_says_why(shop: SiteProject) -> None:
    shop.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "assets/app-1a2b3c4d.js"})

    found = restorability.find_missing(shop.ledger, shop.ledger.releases[0], shop.store, reader(shop))

    assert found == ("s3://shop-web lacks 1 of the site's files, such as assets/app-1a2b3c4d.js",)
    assert restorability.find_missing(shop.ledger, shop.ledger.releases[1], shop.store, reader(shop)) == ()


def test_a_bad_site_stays_away_until_it_changes(shop: SiteProject) -> None:
    shop.roll_back()

    with pytest.raises(Problems, match="it is not known which of its components caused the problem") as refused:
        shop.deploy(versioning="true")  # the bad build is in the checkout still
    assert refused.value.exit_code == 6
    shop.store.write(lambda ledger: replace(ledger, pins=pins.blame(ledger.pins, ["bucket.web"])))
    shop.deploy(versioning="true")
    assert shop.web.read_pages()["index.html"] == V1["index.html"]
    shop.web.build(V2 | {"index.html": "fixed <script src=assets/app-5e6f7a8b.js>"})
    shop.deploy()
    assert shop.web.read_pages()["index.html"].startswith("fixed")
    assert not [pin for pin in shop.ledger.pins if pin.part.startswith("site:")]


def reader(shop: SiteProject) -> Any:
    from orchestrator.aws import Reader

    return Reader(shop.clients)


def test_the_vector_says_what_stands(shop: SiteProject) -> None:
    asked = shop.read_checkout()
    live = pipeline.plan(asked.desired, clients=shop.clients).live

    found = live_versions.read_vector(asked, live, shop.clients)

    assert isinstance(found, Vector)
    assert isinstance(shop.store, LedgerStore)
    assert found == shop.ledger.releases[-1].vector


@pytest.mark.parametrize(
    ("word", "stands"),
    [
        ("site", (OLD_STATE[0], *NEW_STATE[1:])),
        ("secrets", (NEW_STATE[0], OLD_STATE[1], NEW_STATE[2])),
        ("bucket.files", (*NEW_STATE[:2], OLD_STATE[2])),
    ],
)
def test_only_what_is_named_comes_back(shop: SiteProject, word: str, stands: tuple[Any, ...]) -> None:
    """The rest stays as it is, in AWS and in the vector; and only what came back is held back."""
    ended = shop.roll_back(None, 1, word)

    assert (ended.status, shop.live_state()) == ("released", stands)
    first, second, made = (one.vector for one in shop.ledger.releases)
    kept = {"sites": second.sites, "secrets": second.secrets} | {
        kind: getattr(first, kind) for kind in ("sites", "secrets") if kind.startswith(word[:4])
    }
    assert (made.sites, made.secrets) == (kept["sites"], kept["secrets"])
    kinds = {"site": {"site"}, "secrets": {"secret", "manifest"}, "bucket.files": {"manifest"}}
    assert {pin.part.partition(":")[0] for pin in shop.ledger.pins} == kinds[word]
