"""deploy.yml, run end to end: what AWS has afterwards, and who is told."""

from __future__ import annotations

import json
import shutil

import pytest

from orchestrator.aws import Clients
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from tests.artefacts import test_node_packages as node_projects
from tests.github.shop_repository import PROJECT, WEB, ShopRepository, bucket_manifest
from tests.state.api_service import ApiService

pytestmark = pytest.mark.slow


def test_a_merge_is_deployed_and_proved(shop: ShopRepository) -> None:
    run = shop.run_deploy()

    assert run.code == 0, run.log
    assert {"shop-web", "shop-releases"} <= shop.list_buckets()
    assert (run.outputs["result"], run.outputs["release"]) == ("released", "1")
    (deployment,) = shop.hub.deployments.values()
    assert (deployment["sha"], deployment["environment"]) == (shop.head, "prod")
    assert shop.hub.deployment_states(deployment["id"]) == ["in_progress", "success"]
    assert shop.hub.deployment_statuses[deployment["id"]][-1]["environment_url"] == run.outputs["url"]
    assert run.outputs["url"].startswith("https://")
    assert "1 of 1 probes passed" in run.summary
    assert shop.ledger.releases[-1].commit == shop.head
    assert shop.hub.comments == {}


def test_a_site_that_node_builds_is_built_on_a_fresh_runner(shop: ShopRepository) -> None:
    """The repository has the lock file and no node_modules, as every repository; the runner installs by it."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    web = WEB.replace("dir: ../dist", "dir: ../web/dist, folder: ../web, build: [npm, run, build]")
    vendor = node_projects.LOCKS / "vendor" / "pages"
    scripts = {"build": "node vendor/pages/pages.js"}  # a commit of the test loses mode bits
    shop.write(
        {
            "manifests/web.yaml": web,
            ".gitignore": "node_modules\ndist\n",
            "web/.nvmrc": "22\n",
            "web/package.json": json.dumps({**node_projects.PACKAGE, "scripts": scripts}),
            "web/package-lock.json": (node_projects.LOCKS / "npm" / "package-lock.json").read_text(),
            **{f"web/vendor/pages/{file.name}": file.read_text() for file in vendor.iterdir()},
        }
    )
    shop.commit("Build the site")

    run = shop.run_deploy()

    assert run.outputs.get("result") == "released", run.log
    assert shop.read_front_page() == "built"
    assert run.outputs["node-version-file"] == "web/.nvmrc"


def test_what_was_reviewed_goes_ahead(shop: ShopRepository) -> None:
    """Even what would never go without a review: a change of what holds data."""
    shop.write({"manifests/files.yaml": bucket_manifest("files", versioning="false")})
    shop.commit("Keep files")
    shop.run_deploy()
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files", versioning="true")})
    shop.review_pull_request(number)
    shop.merge(number)

    run = shop.run_deploy()

    assert run.outputs["result"] == "released", run.log
    assert "this exact plan was reviewed" in run.log
    assert versioned(shop.clients)


def versioned(clients: Clients) -> bool:
    answer = clients.call("s3", "get_bucket_versioning", {"Bucket": "shop-files"})
    return bool(answer.get("Status") == "Enabled")


def test_what_moved_since_the_review_stops_if_it_is_not_safe(shop: ShopRepository) -> None:
    """A colleague changed what holds data meanwhile: the merge would put it back, and nobody has seen that."""
    shop.write({"manifests/files.yaml": bucket_manifest("files", versioning="true")})
    shop.commit("Keep files")
    shop.run_deploy()
    number = shop.open_pull_request({"manifests/photos.yaml": bucket_manifest("photos")})
    shop.review_pull_request(number)
    shop.clients.call(
        "s3", "put_bucket_versioning", {"Bucket": "shop-files", "VersioningConfiguration": {"Status": "Suspended"}}
    )
    shop.merge(number)

    run = shop.run_deploy()

    assert (run.code, run.outputs["result"]) == (1, "stopped")
    assert "exit status 6" in run.log
    assert "shop-photos" not in shop.list_buckets()
    (comment,) = [one for one in shop.hub.list_comments(number) if "not deployed" in one["body"]]
    assert "s3\\_bucket.files: update (versioning) was not reviewed; it contains data" in comment["body"]
    assert shop.hub.deployment_states(max(shop.hub.deployments)) == ["in_progress", "failure"]

    agreed = shop.run_dispatched("deploy.yml", {"digest": run.outputs["digest"]})

    assert agreed.outputs["result"] == "released", agreed.log
    assert "shop-photos" in shop.list_buckets()
    assert versioned(shop.clients)
    (comment,) = [one for one in shop.hub.list_comments(number) if "orchestrator:deploy" in one["body"]]
    assert "Deployed release 2" in comment["body"]


def test_what_moved_and_is_safe_goes_ahead(shop: ShopRepository) -> None:
    shop.run_deploy()
    number = shop.open_pull_request({"manifests/photos.yaml": bucket_manifest("photos")})
    shop.review_pull_request(number)
    shop.merge(number)
    shop.write({"manifests/files.yaml": bucket_manifest("files")})
    shop.commit("Push without a review")

    run = shop.run_deploy()

    assert run.outputs["result"] == "released", run.log
    assert {"shop-files", "shop-photos"} <= shop.list_buckets()


def test_a_strict_project_wants_every_change_reviewed(shop: ShopRepository) -> None:
    shop.run_deploy()
    strict = PROJECT.replace("approval: safe", "approval: strict")
    shop.write({"manifests/project.yaml": strict, "manifests/files.yaml": bucket_manifest("files")})
    shop.commit("Push without a review")

    run = shop.run_deploy()

    assert run.outputs["result"] == "stopped"
    assert "shop-files" not in shop.list_buckets()


@pytest.mark.timeout(300)
def test_merges_in_a_row(shop: ShopRepository, service: ApiService) -> None:
    """Each was planned against a main that others changed since; one run deploys all, the next finds no change.

    The state service, which let these jobs in by their OIDC tokens, shows five commits and what became of each.
    """
    shop.run_deploy()
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: strict")})
    shop.commit("Be strict")
    numbers = [shop.open_pull_request({f"manifests/b{index}.yaml": bucket_manifest(f"b{index}")}) for index in range(5)]
    for number in numbers[:2]:
        shop.run_plan(number)
    for number in numbers[2:]:
        shop.review_pull_request(number)
    assert [one.number for one in service.store.list_pull_requests("shop/prod")] == numbers[:2]
    merges = [shop.merge(number) for number in numbers]

    first = shop.run_deploy(pushed=merges[0])
    between = [follow(shop, service, sha) for sha in merges[1:-1]]
    last = shop.run_deploy()

    assert [run.outputs["result"] for run in (first, last)] == ["released", "unchanged"], first.log
    assert between == [0] * 3
    assert {f"shop-b{index}" for index in range(5)} <= shop.list_buckets()
    assert len(shop.ledger.releases) == 2
    told = {one.id: one for one in service.store.list_runs().items}
    became = {one.commit: one for one in told.values() if one.status == "superseded"}
    assert set(became) == set(merges[:-1])
    assert {told[one.superseded_by].commit for one in became.values()} == {merges[-1]}
    done = [one for one in told.values() if one.commit == merges[-1]]
    assert [one.status for one in done] == ["succeeded"] * 5
    assert [one.release for one in done if one.outcomes] == [2]
    assert {one.pull_request for one in done} == {numbers[-1]}
    assert all(one.url.startswith("https://github.com/shop/shop/actions/runs/") for one in done)
    assert service.store.list_pull_requests("shop/prod") == ()
    shown = service.open_client().get("/history").text
    assert [sha for sha in merges if sha[:7] not in shown] == []
    assert shown.count("superseded") >= 4


def follow(shop: ShopRepository, service: ApiService, sha: str) -> int:
    """What `deploy.yml` runs for a push that others have followed, without a runner around it; its exit code."""
    shop.set_job_claims("push", "refs/heads/main")
    found = shop.run_tool(
        shop.folder,
        *("deploy", "-e", "prod"),
        GITHUB_ACTIONS="true",
        GITHUB_EVENT_NAME="push",
        GITHUB_SERVER_URL="https://github.com",
        GITHUB_SHA=sha,
        ORCHESTRATOR_STATE_URL=service.address,
    )
    return found.returncode


def test_a_killed_runner_is_healed_by_the_next_merge(shop: ShopRepository) -> None:
    shop.run_deploy()
    shop.write({f"manifests/b{index}.yaml": bucket_manifest(f"b{index}") for index in range(3)})
    shop.commit("Three more")
    process = shop.kill_deploy(kill_after_writes=6)
    assert process != 0
    shop.expire_lease()

    shop.write({"manifests/b3.yaml": bucket_manifest("b3")})
    shop.commit("And one more")
    run = shop.run_deploy()

    assert run.outputs["result"] == "released", run.log
    assert {f"shop-b{index}" for index in range(4)} <= shop.list_buckets()
    lost, healed = sorted(shop.hub.deployments)[-2:]
    assert shop.hub.deployment_states(lost) == ["in_progress", "error"]
    assert shop.hub.deployment_states(healed) == ["in_progress", "success"]
    assert (
        LedgerStore(shop.clients, "shop-releases", "prod").fetch(
            bucket_lease.lease_key(LedgerStore(shop.clients, "shop-releases", "prod"))
        )
        is None
    )


def test_a_failure_is_told_on_the_merged_pull_request(shop: ShopRepository) -> None:
    """First cause, done and not done, and what to type next."""
    shop.run_deploy()
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    shop.review_pull_request(number)
    shop.merge(number)
    shop.deny_actions("s3:PutBucketVersioning")

    run = shop.run_deploy()

    assert run.code == 1
    assert run.outputs["result"] == "returned"  # what holds data is retained
    (comment,) = [one for one in shop.hub.list_comments(number) if "orchestrator:deploy" in one["body"]]
    assert "**Root cause:** s3\\_bucket.files" in comment["body"]
    assert "s3:PutBucketVersioning" in comment["body"]
    assert "**Failed (1)**" in comment["body"]
    assert "**Skipped (2)**\n\n- `s3_bucket_policy.files`" in comment["body"]
    assert "orchestrator deploy" in comment["body"]
    assert shop.hub.deployment_states(max(shop.hub.deployments)) == ["in_progress", "failure"]


@pytest.mark.parametrize("words", ["deploy -e staging", "rollback -f nowhere", "drift --answer revert -e staging"])
def test_nothing_begins_where_there_is_nothing_to_deploy(shop: ShopRepository, words: str) -> None:
    """GitHub hears of no deployment that could never be: its page would show it for ever."""
    run = shop.run_tool(shop.folder, *words.split())

    assert run.returncode == 1
    assert words.rpartition(" ")[2] in run.stderr
    assert "Traceback" not in run.stderr
    assert shop.hub.deployments == {}


def test_github_being_down_does_not_stop_a_deploy(shop: ShopRepository) -> None:
    """Where no review is asked for, nothing of GitHub is needed."""
    shop.write({"manifests/project.yaml": PROJECT.replace("approval: safe", "approval: none")})
    shop.commit("Trust everybody")
    shop.hub.inject_failure = lambda request: (403, {"message": "Resource not accessible by integration"})

    run = shop.run_deploy()

    assert run.outputs["result"] == "released", run.log
    assert "::warning::GitHub request failed" in run.log
