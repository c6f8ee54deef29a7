"""A release that added something with data can be left: the data stays and is named, the rest goes back.

Two guards that are each right contradicted each other: deleting data takes two keys, and a rollback has none.
"""

from __future__ import annotations

import pytest

from orchestrator.cli.main import main
from orchestrator.planning import pipeline
from orchestrator.release.probe import Probe, ProbeResult
from tests.release.shop_project import ShopProject
from tests.release.test_deploy import back

BUCKET = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: more}
spec: {name: shop-more}
"""
SECRET = """
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: more}
spec: {name: shop-more, data: {Key: {generate: {length: 32}}}}
"""


def has_bucket(shop: ShopProject) -> bool:
    return "shop-more" in {item["Name"] for item in shop.clients.call("s3", "list_buckets", {})["Buckets"]}


def add(shop: ShopProject, manifest: str) -> None:
    (shop.folder / "more.yaml").write_text(manifest)


@pytest.mark.parametrize("manifest", [BUCKET, SECRET], ids=["bucket", "secret"])
def test_a_deploy_that_added_data_and_failed_is_rolled_back(shop: ShopProject, manifest: str) -> None:
    """It was refused with "this would delete ... and all its data", and the bad release stayed live."""
    shop.deploy(issuer="one")
    add(shop, manifest)
    failed = ProbeResult(Probe("cdn.web", "shop.example", "/"), False, "status 500, expected 200", 1.0)
    remaining = [(failed,)]
    shop.prove = lambda *_: remaining.pop() if remaining else ()

    ended = shop.deploy(issuer="two")

    assert (ended.status, shop.read_issuer()) == ("returned", "one"), ended
    assert any("shop-more" in address for address in shop.ledger.retained)
    candidate = shop.read_checkout()
    planned = pipeline.plan(candidate.desired, clients=shop.clients).plan
    assert (planned.pending_changes, planned.is_vetoed) == ((), False)
    assert any(note.startswith("Retained: shop-more") for note in planned.notes)


def test_a_release_that_added_data_is_left_by_hand_and_its_revert_deploys(shop: ShopProject) -> None:
    """Both the rollback and the revert were vetoed; declared again, the bucket is an ordinary one."""
    shop.deploy(issuer="one")
    add(shop, BUCKET)
    shop.deploy(issuer="two")
    key = {"Bucket": "shop-more", "Key": "order", "Body": b"1"}
    shop.clients.call("s3", "put_object", key)

    assert back(shop).status == "released"
    assert (shop.read_issuer(), has_bucket(shop)) == ("one", True)

    add(shop, "")
    assert shop.deploy(issuer="three").status == "released", "the commit was reverted"
    assert has_bucket(shop)
    assert shop.ledger.retained

    add(shop, BUCKET)
    assert shop.deploy(issuer="four").status == "released"
    assert shop.ledger.retained == ()
    add(shop, "")
    shop.write(issuer="five")
    planned = pipeline.plan(shop.read_checkout().desired, clients=shop.clients)
    assert planned.plan.is_vetoed, "removing it from the manifests is still a decision of its own"


def test_the_command_says_what_it_retains(shop: ShopProject, capsys: pytest.CaptureFixture[str]) -> None:
    shop.deploy(issuer="one")
    add(shop, BUCKET)
    shop.deploy(issuer="two")

    code = main(["rollback", "-f", str(shop.folder), "-e", "prod", "--auto-approve"])
    shown = " ".join(capsys.readouterr().out.split())

    assert (code, "Retained: shop-more." in shown) == (0, True), shown
