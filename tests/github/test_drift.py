"""drift.yml, run end to end: found by the clock, told in one issue, and answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.github import fake_github
from tests.github.shop_repository import ShopRepository, bucket_manifest
from tests.github.workflow_runner import WorkflowResult
from tests.state.api_service import ApiService

pytestmark = pytest.mark.slow

OLD_DATABASE = """\
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec: {database: shop, username: shop, version: "13", extendedSupport: true}
"""
FILES, GONE = "manifests/files.yaml", "manifests/gone.yaml"


def by_clock(shop: ShopRepository) -> WorkflowResult:
    return shop.run_scheduled("drift.yml")


def suspend(shop: ShopRepository) -> None:
    versioning = {"Bucket": "shop-files", "VersioningConfiguration": {"Status": "Suspended"}}
    shop.clients.call("s3", "put_bucket_versioning", versioning)


def deployed(shop: ShopRepository) -> None:
    shop.write({FILES: bucket_manifest("files", versioning="true")})
    shop.commit("Keep files")
    assert shop.run_deploy().code == 0


def the_issue(shop: ShopRepository) -> dict[str, Any]:
    (found,) = [one for one in shop.hub.issues.values() if one["title"].startswith("Drift in ")]
    return found


def test_found_accepted_healed(shop: ShopRepository, service: ApiService) -> None:
    """One issue all along; the pull request changes one word, and takes out what is gone; merging it heals.

    The state service hears of each look.
    """
    shop.write({GONE: bucket_manifest("gone")})
    deployed(shop)
    assert by_clock(shop).outputs["drifted"] == "false"
    assert shop.hub.issues == {}

    suspend(shop)
    shop.clients.call("s3", "delete_bucket", {"Bucket": "shop-gone"})
    found = by_clock(shop)
    assert found.code == 0, found.log
    assert the_issue(shop)["title"] == "Drift in shop/prod"
    assert "versioning: true" in the_issue(shop)["body"]
    again = by_clock(shop)
    assert again.outputs["issue"] == the_issue(shop)["html_url"]

    accepted = shop.run_dispatched("drift.yml", {"answer": "accept", "targets": "s3_bucket.files, bucket.gone"})
    assert accepted.code == 0, accepted.log
    (pull,) = shop.hub.pulls.values()
    assert pull["head"]["ref"] == "orchestrator/drift-prod"
    assert "accepted in bucket.files spec.versioning" in pull["body"]
    before, after = (
        shop.hub.run_git("show", f"main:{FILES}"),
        shop.hub.run_git("show", f"{pull['head']['ref']}:{FILES}"),
    )
    assert after == before.replace("versioning: true", "versioning: false")
    changed = shop.hub.run_git("diff", "--name-status", "main", pull["head"]["ref"])
    assert changed.split() == ["M", FILES, "D", GONE]

    shop.merge_branch(pull["number"])
    healed = by_clock(shop)
    assert healed.outputs["drifted"] == "false", healed.log
    assert the_issue(shop)["state"] == "closed"
    assert "Resolved" in shop.hub.list_comments(the_issue(shop)["number"])[-1]["body"]
    deployed_, *looks = reversed(service.store.list_drift_reports("shop/prod").items)
    assert (deployed_.drifted, [one.drifted for one in looks]) == (0, [0, 4, 4, 4, 0])
    (field,) = next(one for one in looks[2].resources if one.address == "s3_bucket.files").fields
    assert (field.path, field.since) == ("versioning", looks[1].at)


def test_dates_are_raised_in_an_issue_of_their_own(shop: ShopRepository) -> None:
    """PostgreSQL 13 with extended support is charged since 2026-03-01, and remains so until it is upgraded."""
    shop.write({"manifests/database.yaml": OLD_DATABASE})
    shop.commit("Keep an old database")

    first = by_clock(shop)
    the_issue(shop)["labels"] = []  # people edit labels; they identify no issue
    again = by_clock(shop)

    assert (first.code, again.code) == (0, 0), first.log
    (dates,) = [one for one in shop.hub.issues.values() if one["title"] == "AWS dates of shop/prod"]
    assert first.outputs["dates-issue"] == again.outputs["dates-issue"] == dates["html_url"]
    assert "extended support of PostgreSQL 13 is charged per vCPU and hour" in dates["body"]
    assert shop.hub.list_comments(dates["number"]) == []
    assert again.outputs["issue"] == the_issue(shop)["html_url"]


def test_reverted_and_drifted_again(shop: ShopRepository) -> None:
    """AWS is put back and the same issue closed; when it drifts again the same issue is opened."""
    deployed(shop)
    suspend(shop)
    by_clock(shop)

    reverted = shop.run_dispatched("drift.yml", {"answer": "revert"})

    assert reverted.code == 0, reverted.log
    versioning = shop.clients.call("s3", "get_bucket_versioning", {"Bucket": "shop-files"})
    assert versioning["Status"] == "Enabled"
    assert the_issue(shop)["state"] == "closed"

    suspend(shop)
    by_clock(shop)
    assert the_issue(shop)["state"] == "open"
    assert "again" in shop.hub.list_comments(the_issue(shop)["number"])[-1]["body"]


def test_what_cannot_be_looked_at_heals_nothing(shop: ShopRepository) -> None:
    """An issue is closed only by a look at everything; nobody else's issue is taken for ours."""
    deployed(shop)
    suspend(shop)
    by_clock(shop)
    number = the_issue(shop)["number"]
    stolen = {**the_issue(shop), "number": 99, "user": fake_github.ANA}
    shop.hub.issues[99] = stolen
    shop.deny_actions("s3:GetBucketVersioning")

    run = by_clock(shop)

    assert run.code == 0, run.log
    assert shop.hub.issues[number]["state"] == "open"
    assert "not checked" in shop.hub.issues[number]["body"]
    assert shop.hub.issues[99] == stolen


def test_an_answer_that_is_none_is_refused(shop: ShopRepository) -> None:
    deployed(shop)
    run = shop.run_dispatched("drift.yml", {"answer": "accept", "targets": "$(true)"})

    assert run.code == 1
    assert "invalid list of targets" in run.log
    assert shop.hub.pulls == {}


def test_a_missing_role_is_named(shop: ShopRepository) -> None:
    """Before AWS is asked anything; by the clock such a repository does nothing at all."""
    run = shop.run_dispatched("drift.yml", {"answer": "report"}, vars={})
    assert run.code == 1
    assert "orchestrator bootstrap github" in run.log
    assert shop.hub.tokens == []

    assert shop.run_scheduled("drift.yml", vars={}).steps == {}
