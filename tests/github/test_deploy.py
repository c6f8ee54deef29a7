"""deploy.yml, run end to end: what AWS has afterwards, and who is told."""

from __future__ import annotations

import pytest

from orchestrator.aws import Clients
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import Store
from tests.github.shop import PROJECT, Shop, bucket
from tests.state.desk import Desk

pytestmark = pytest.mark.slow


def test_a_merge_is_deployed_and_proved(shop: Shop) -> None:
    run = shop.deploy()

    assert run.code == 0, run.log
    assert {"shop-web", "shop-releases"} <= shop.buckets()
    assert (run.outputs["result"], run.outputs["release"]) == ("released", "1")
    (deployment,) = shop.hub.deployments.values()
    assert (deployment["sha"], deployment["environment"]) == (shop.head, "prod")
    assert shop.hub.states(deployment["id"]) == ["in_progress", "success"]
    assert shop.hub.told[deployment["id"]][-1]["environment_url"] == run.outputs["url"]
    assert run.outputs["url"].startswith("https://")
    assert "1 of 1 probes passed" in run.summary
    assert shop.ledger.releases[-1].commit == shop.head
    assert shop.hub.comments == {}


def test_what_was_reviewed_goes_ahead(shop: Shop) -> None:
    """Even what would never go without a review: a change of what holds data."""
    shop.write({"manifests/files.yaml": bucket("files", versioning="false")})
    shop.commit("Keep files")
    shop.deploy()
    number = shop.propose({"manifests/files.yaml": bucket("files", versioning="true")})
    shop.plan(number)
    shop.merge(number)

    run = shop.deploy()

    assert run.outputs["result"] == "released", run.log
    assert "this very plan was reviewed" in run.log
    assert versioned(shop.clients)


def versioned(clients: Clients) -> bool:
    answer = clients.call("s3", "get_bucket_versioning", {"Bucket": "shop-files"})
    return bool(answer.get("Status") == "Enabled")


def test_what_moved_since_the_review_stops_if_it_is_not_safe(shop: Shop) -> None:
    """A colleague changed what holds data meanwhile: the merge would put it back, and nobody has seen that."""
    shop.write({"manifests/files.yaml": bucket("files", versioning="true")})
    shop.commit("Keep files")
    shop.deploy()
    number = shop.propose({"manifests/photos.yaml": bucket("photos")})
    shop.plan(number)
    shop.clients.call(
        "s3", "put_bucket_versioning", {"Bucket": "shop-files", "VersioningConfiguration": {"Status": "Suspended"}}
    )
    shop.merge(number)

    run = shop.deploy()

    assert (run.code, run.outputs["result"]) == (1, "stopped")
    assert "exit status 6" in run.log
    assert "shop-photos" not in shop.buckets()
    (comment,) = [one for one in shop.hub.comments_on(number) if "not deployed" in one["body"]]
    assert "s3\\_bucket.files: update (versioning) was in no reviewed plan; it holds data" in comment["body"]
    assert shop.hub.states(max(shop.hub.deployments)) == ["in_progress", "failure"]

    agreed = shop.dispatch("deploy.yml", {"digest": run.outputs["digest"]})

    assert agreed.outputs["result"] == "released", agreed.log
    assert "shop-photos" in shop.buckets()
    assert versioned(shop.clients)
    (comment,) = [one for one in shop.hub.comments_on(number) if "orchestrator:deploy" in one["body"]]
    assert "stands" in comment["body"]


def test_what_moved_and_is_safe_goes_ahead(shop: Shop) -> None:
    shop.deploy()
    number = shop.propose({"manifests/photos.yaml": bucket("photos")})
    shop.plan(number)
    shop.merge(number)
    shop.write({"manifests/files.yaml": bucket("files")})
    shop.commit("Push without a review")

    run = shop.deploy()

    assert run.outputs["result"] == "released", run.log
    assert {"shop-files", "shop-photos"} <= shop.buckets()


def test_a_strict_project_wants_every_change_reviewed(shop: Shop) -> None:
    shop.deploy()
    strict = PROJECT.replace("approval: safe", "approval: strict")
    shop.write({"manifests/project.yaml": strict, "manifests/files.yaml": bucket("files")})
    shop.commit("Push without a review")

    run = shop.deploy()

    assert run.outputs["result"] == "stopped"
    assert "shop-files" not in shop.buckets()


@pytest.mark.timeout(300)
def test_eight_merges_in_a_row(shop: Shop, service: Desk) -> None:
    """Each was planned against a main that others changed since; one run deploys all, the next finds no change.

    The state service, which let these jobs in by their OIDC tokens, shows eight commits and what became of each.
    """
    shop.deploy()
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: strict")})
    shop.commit("Be strict")
    numbers = [shop.propose({f"manifests/b{index}.yaml": bucket(f"b{index}")}) for index in range(8)]
    for number in numbers[:2]:
        shop.plan(number)
    for number in numbers[2:]:
        shop.review(number)
    assert [one.number for one in service.store.pull_requests("shop/prod")] == numbers[:2]
    merges = [shop.merge(number) for number in numbers]

    first = shop.deploy(pushed=merges[0])
    between = [follow(shop, service, sha) for sha in merges[1:-1]]
    last = shop.deploy()

    assert [run.outputs["result"] for run in (first, last)] == ["released", "unchanged"], first.log
    assert between == [0] * 6
    assert {f"shop-b{index}" for index in range(8)} <= shop.buckets()
    assert len(shop.ledger.releases) == 2
    told = {one.id: one for one in service.store.runs().items}
    became = {one.commit: one for one in told.values() if one.status == "superseded"}
    assert set(became) == set(merges[:-1])
    assert {told[one.superseded_by].commit for one in became.values()} == {merges[-1]}
    done = [one for one in told.values() if one.commit == merges[-1]]
    assert [one.status for one in done] == ["succeeded"] * 8
    assert [one.release for one in done if one.outcomes] == [2]
    assert {one.pull_request for one in done} == {numbers[-1]}
    assert all(one.url.startswith("https://github.com/shop/shop/actions/runs/") for one in done)
    assert service.store.pull_requests("shop/prod") == ()
    shown = service.asks().get("/history").text
    assert [sha for sha in merges if sha[:7] not in shown] == []
    assert shown.count("superseded") >= 7


def follow(shop: Shop, service: Desk, sha: str) -> int:
    """What `deploy.yml` runs for a push that others have followed, without a runner around it; its exit code."""
    shop.begins("push", "refs/heads/main")
    found = shop.tool(
        shop.folder,
        *("deploy", "-e", "prod"),
        GITHUB_ACTIONS="true",
        GITHUB_EVENT_NAME="push",
        GITHUB_SERVER_URL="https://github.com",
        GITHUB_SHA=sha,
        ORCHESTRATOR_STATE_URL=service.address,
    )
    return found.returncode


def test_a_killed_runner_is_healed_by_the_next_merge(shop: Shop) -> None:
    shop.deploy()
    shop.write({f"manifests/b{index}.yaml": bucket(f"b{index}") for index in range(3)})
    shop.commit("Three more")
    process = shop.begin_deploy(kill_after_writes=6)
    assert process != 0
    shop.lease_expires()

    shop.write({"manifests/b3.yaml": bucket("b3")})
    shop.commit("And one more")
    run = shop.deploy()

    assert run.outputs["result"] == "released", run.log
    assert {f"shop-b{index}" for index in range(4)} <= shop.buckets()
    lost, healed = sorted(shop.hub.deployments)[-2:]
    assert shop.hub.states(lost) == ["in_progress", "error"]
    assert shop.hub.states(healed) == ["in_progress", "success"]
    assert (
        Store(shop.clients, "shop-releases", "prod").fetch(
            bucket_lease.key(Store(shop.clients, "shop-releases", "prod"))
        )
        is None
    )


def test_a_failure_is_told_on_the_merged_pull_request(shop: Shop) -> None:
    """First cause, done and not done, and what to type next."""
    shop.deploy()
    number = shop.propose({"manifests/files.yaml": bucket("files")})
    shop.plan(number)
    shop.merge(number)
    shop.deny("s3:PutBucketVersioning")

    run = shop.deploy()

    assert run.code == 1
    assert run.outputs["result"] == "failed"  # what holds data is not removed to go back
    (comment,) = [one for one in shop.hub.comments_on(number) if "orchestrator:deploy" in one["body"]]
    assert "**First cause:** s3\\_bucket.files" in comment["body"]
    assert "s3:PutBucketVersioning" in comment["body"]
    assert "**Failed (1)**" in comment["body"]
    assert "**Not done (2)**\n\n- `s3_bucket_policy.files`" in comment["body"]
    assert "orchestrator deploy" in comment["body"]
    assert shop.hub.states(max(shop.hub.deployments)) == ["in_progress", "failure"]


@pytest.mark.parametrize("words", ["deploy -e staging", "rollback -f nowhere", "drift --answer revert -e staging"])
def test_nothing_begins_where_there_is_nothing_to_deploy(shop: Shop, words: str) -> None:
    """GitHub hears of no deployment that could never be: its page would show it for ever."""
    run = shop.tool(shop.folder, *words.split())

    assert run.returncode == 1
    assert words.rpartition(" ")[2] in run.stderr
    assert "Traceback" not in run.stderr
    assert shop.hub.deployments == {}


def test_github_being_down_does_not_stop_a_deploy(shop: Shop) -> None:
    """Where no review is asked for, nothing of GitHub is needed."""
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: none")})
    shop.commit("Trust everybody")
    shop.hub.stumble = lambda request: (403, {"message": "Resource not accessible by integration"})

    run = shop.deploy()

    assert run.outputs["result"] == "released", run.log
    assert "::warning::GitHub refused" in run.log
