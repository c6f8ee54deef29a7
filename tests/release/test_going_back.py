"""A site, a secret and a bucket's settings go back together: all of it or nothing, and with few calls."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.planning import pipeline
from orchestrator.release import Vector, live_versions, restorability
from orchestrator.release.ledger_store import Store
from tests.release.failing import Failing
from tests.release.web import V1, V2
from tests.release.whole import NEW, OLD, WithSite


@pytest.fixture
def shop(twice: WithSite) -> WithSite:
    return twice


def test_all_of_it_comes_back(shop: WithSite) -> None:
    assert shop.stands() == NEW

    ended = shop.back()

    assert (ended.end, shop.stands()) == ("released", OLD)
    assert shop.web.served()["about.html"] == V1["about.html"]
    assert "contact.html" not in shop.web.served()


def test_no_body_is_uploaded_again(shop: WithSite) -> None:
    shop.back()

    puts = [call for call in shop.emulator.calls if call.operation == "PutObject"]
    copies = [call for call in shop.emulator.calls if call.operation == "CopyObject"]
    assert len(copies) == 2  # index.html and about.html
    assert len(puts) <= 5  # the mark, and the ledger with its lease


def test_and_forward_again(shop: WithSite) -> None:
    """The release that was left can be gone back to by its number."""
    shop.back()

    assert shop.back(number=2).end == "released"
    assert shop.stands() == NEW


def test_a_fault_at_any_step_ends_in_the_old_or_the_new(shop: WithSite) -> None:
    """And what is said is what is."""
    number, ends = 0, set()
    while True:
        number += 1
        faulty = Failing(number)
        ended = shop.back(faulty, number=1)
        ends.add((ended.end, bool(faulty.failed)))
        if ended.end == "returned":
            assert shop.stands() == NEW, faulty.failed
            assert shop.ledger.releases[-1].vector == shop.ledger.find(2).vector  # type: ignore[union-attr]
        else:
            assert shop.stands() == OLD, faulty.failed
            assert ended.end == "released", (faulty.failed, ended.cause)
        if not faulty.failed:
            break
        if ended.end == "released":
            shop.back(number=2)
    assert number > 6
    assert ("returned", True) in ends


def test_what_cannot_come_back_says_why(shop: WithSite) -> None:
    shop.clients.call("s3", "delete_object", {"Bucket": "shop-web", "Key": "assets/app-1a2b3c4d.js"})

    found = restorability.obstacles(shop.ledger, shop.ledger.releases[0], shop.store, reader(shop))

    assert found == ("1 of its files are gone from s3://shop-web, such as assets/app-1a2b3c4d.js",)
    assert restorability.obstacles(shop.ledger, shop.ledger.releases[1], shop.store, reader(shop)) == ()


def test_a_bad_site_stays_away_until_it_changes(shop: WithSite) -> None:
    shop.back()

    shop.deploy(versioning="true")  # the bad build is in the checkout still
    assert shop.web.served()["index.html"] == V1["index.html"]
    shop.web.build(V2 | {"index.html": "fixed <script src=assets/app-5e6f7a8b.js>"})
    shop.deploy()
    assert shop.web.served()["index.html"].startswith("fixed")
    assert not [pin for pin in shop.ledger.pins if pin.part.startswith("site:")]


def reader(shop: WithSite) -> Any:
    from orchestrator.aws import Reader

    return Reader(shop.clients)


def test_the_vector_says_what_stands(shop: WithSite) -> None:
    asked = shop.wanted()
    live = pipeline.plan(asked.desired, clients=shop.clients).live

    found = live_versions.vector(asked, live, shop.clients)

    assert isinstance(found, Vector)
    assert isinstance(shop.store, Store)
    assert found == shop.ledger.releases[-1].vector


@pytest.mark.parametrize(
    ("word", "stands"),
    [
        ("site", (OLD[0], *NEW[1:])),
        ("secrets", (NEW[0], OLD[1], NEW[2])),
        ("bucket.files", (*NEW[:2], OLD[2])),
    ],
)
def test_only_what_is_named_comes_back(shop: WithSite, word: str, stands: tuple[Any, ...]) -> None:
    """The rest stays as it is, in AWS and in the vector; and only what came back is held back."""
    ended = shop.back(None, 1, word)

    assert (ended.end, shop.stands()) == ("released", stands)
    first, second, made = (one.vector for one in shop.ledger.releases)
    kept = {"sites": second.sites, "secrets": second.secrets} | {
        kind: getattr(first, kind) for kind in ("sites", "secrets") if kind.startswith(word[:4])
    }
    assert (made.sites, made.secrets) == (kept["sites"], kept["secrets"])
    kinds = {"site": {"site"}, "secrets": {"secret"}, "bucket.files": {"manifest"}}
    assert {pin.part.partition(":")[0] for pin in shop.ledger.pins} == kinds[word]
