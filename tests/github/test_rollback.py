"""rollback.yml, run end to end."""

from __future__ import annotations

import pytest

from orchestrator.state.client.api_client import StateClient
from orchestrator.state.client.journal import submit
from tests.github.shop_repository import ROLES, ShopRepository, bucket_manifest
from tests.state.api_service import ApiService


@pytest.mark.slow
def test_a_bad_build_stays_away_from_an_unrelated_merge(shop: ShopRepository, service: ApiService) -> None:
    """The state service is away for the way back; with that run's journal it knows of all four runs."""
    shop.run_deploy()
    shop.write({"dist/index.html": "<h1>bad</h1>"})
    shop.commit("Break the page")
    shop.run_deploy()

    # The state service is down: a deploy would wait for it, a way back does not.
    away = {**ROLES, "ORCHESTRATOR_STATE_URL": "http://127.0.0.1:9"}
    back = shop.run_dispatched("rollback.yml", {"reason": "wrong prices"}, vars=away)

    assert back.outputs["result"] == "released", back.log
    assert "Continuing without it" in back.log
    assert "Plan for shop/prod: 1 to update" in back.log  # it is shown before it is carried out
    (journal,) = (shop.runner.artifacts / "journal-prod").glob("*.jsonl")  # for the service, when it is back
    assert "wrong prices" in journal.read_text()
    assert shop.read_front_page() == "<h1>one</h1>"
    shop.write({"manifests/files.yaml": bucket_manifest("files")})
    shop.commit("Something else")
    run = shop.run_deploy()
    assert run.outputs["result"] == "released", run.log
    assert "shop-files" in shop.list_buckets()
    assert shop.read_front_page() == "<h1>one</h1>"
    with StateClient(service.address, service.issue_token("propose", "write")) as client:
        submit(journal, client)
    told = [(one.verb, one.status, one.release, one.reason) for one in reversed(service.store.list_runs().items)]
    assert told == [
        ("deploy", "succeeded", 1, ""),
        ("deploy", "succeeded", 2, ""),
        ("rollback", "succeeded", 3, "wrong prices"),
        ("deploy", "succeeded", 4, ""),
    ]
    assert [one.release.of for one in service.store.list_releases("shop/prod").items] == [None, 1, None, None]


@pytest.mark.slow
def test_only_the_plan(shop: ShopRepository) -> None:
    """For whoever wants to see it first: nothing is done, and nobody is told of a deployment."""
    shop.run_deploy()
    shop.write({"dist/index.html": "<h1>bad</h1>"})
    shop.commit("Break the page")
    shop.run_deploy()
    told = dict(shop.hub.deployments)

    run = shop.run_dispatched("rollback.yml", {"plan-only": "true"})

    assert run.outputs["result"] == "planned", run.log
    assert "to release 1" in run.summary
    assert "s3_site.web" in run.summary
    assert shop.read_front_page() == "<h1>bad</h1>"
    assert shop.hub.deployments == told


@pytest.mark.slow
def test_an_input_that_is_none_is_refused(shop: ShopRepository) -> None:
    """Whatever GitHub let through."""
    shop.run_deploy()
    run = shop.run_dispatched("rollback.yml", {"release": "1; true"})

    assert run.code == 1
    assert "invalid release" in run.log
    assert len(shop.ledger.releases) == 1
