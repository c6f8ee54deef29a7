"""plan.yml, run end to end: what a pull request is told, and that nothing is done."""

from __future__ import annotations

import json
import re

import pytest

from orchestrator.github import review_evidence, reviewed_plan
from tests.github import fake_github
from tests.github.shop_repository import WEB, ShopRepository, bucket_manifest


def test_a_pull_request_gets_one_comment_and_keeps_it(shop: ShopRepository) -> None:
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    opened = shop.run_plan(number)

    assert opened.code == 0, opened.log
    (first,) = shop.hub.list_comments(number)
    assert "s3_bucket.files" in first["body"]
    assert shop.list_write_operations() == []

    shop.open_pull_request({"manifests/photos.yaml": bucket_manifest("photos")}, number=number)
    changed = shop.run_plan(number)

    (second,) = shop.hub.list_comments(number)
    assert second["id"] == first["id"]
    assert "s3_bucket.photos" in second["body"]
    assert changed.outputs["digest"] != opened.outputs["digest"]
    assert changed.outputs["digest"] in second["body"]
    assert changed.outputs["vetoed"] == "false"


def test_a_change_of_pages_alone_is_not_no_change(shop: ShopRepository) -> None:
    """The most frequent pull request of a team with a site: it is built without credentials, and compared."""
    web = WEB.replace("dir: ../dist", "dir: ../built, folder: ../web, build: [sh, build.sh]")
    shop.write(
        {
            "manifests/web.yaml": web,
            "web/build.sh": "mkdir -p ../built; cp *.html ../built/",
            "web/index.html": "one",
            ".gitignore": "built\n",
        }
    )
    shop.commit("Build the site")
    assert shop.run_deploy().outputs["result"] == "released"
    number = shop.open_pull_request({"web/index.html": "two", "web/about.html": "new"})

    run = shop.run_plan(number)

    assert run.code == 0, run.log
    (comment,) = shop.hub.list_comments(number)
    lines = [line for line in comment["body"].splitlines() if line and not line.startswith("<!--")]
    title, summary = lines[:2]
    assert "1 to update" in title
    assert "Site: files 1 to add, 1 to change" in summary
    assert "pinned: none" in summary
    assert shop.run_deploy().outputs["result"] == "unchanged"
    shop.merge(number)
    merged = shop.run_deploy()
    assert "this exact plan was reviewed" in merged.log


def test_a_site_that_cannot_be_built_is_no_plan(shop: ShopRepository) -> None:
    """The merge would fail in the same way: the comment has what the compiler printed."""
    web = WEB.replace("dir: ../dist", "dir: ../built, folder: ../web, build: [sh, build.sh]")
    number = shop.open_pull_request(
        {"manifests/web.yaml": web, "web/build.sh": "echo 'src/App.tsx(2,27): error TS2322: wrong'; exit 2"}
    )

    run = shop.run_plan(number)

    assert run.code == 1
    (comment,) = shop.hub.list_comments(number)
    assert "the build of bucket.web failed" in comment["body"].replace("\\", "")
    assert "error TS2322: wrong" in comment["body"]
    assert shop.hub.newest_status(shop.hub.pulls[number]["head"]["sha"])["state"] == "failure"


def test_the_digest_is_shown_on_the_commit(shop: ShopRepository) -> None:
    """And the run keeps the whole plan, in an artefact whose name proves which comment it wrote."""
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    run = shop.run_plan(number)

    status = shop.hub.newest_status(shop.hub.pulls[number]["head"]["sha"])
    assert (status["state"], status["context"]) == ("success", "orchestrator/prod")
    assert run.outputs["digest"] in status["description"]
    plan = json.loads((shop.runner.artifacts / run.outputs["artifact"] / "plan.json").read_text())
    assert plan["digest"] == run.outputs["digest"]
    assert (shop.runner.artifacts / run.outputs["artifact"] / "plan.html").exists()
    (comment,) = shop.hub.list_comments(number)
    assert run.outputs["artifact"] == review_evidence.artifact_name("prod", comment["body"])
    assert "s3_bucket.files" in run.summary


def test_a_wrong_manifest_is_told_at_its_line(shop: ShopRepository) -> None:
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files", versioning="perhaps")})
    run = shop.run_plan(number)

    assert run.code == 1
    assert "::error file=manifests/files.yaml,line=7,col=15::" in run.log
    (comment,) = shop.hub.list_comments(number)
    assert "manifests/files.yaml:7:15" in comment["body"]
    assert shop.hub.newest_status(shop.hub.pulls[number]["head"]["sha"])["state"] == "failure"
    assert shop.emulator.calls == []
    assert shop.hub.tokens == []  # nobody asked for credentials

    shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")}, number=number)
    shop.review_pull_request(number)
    (healed,) = shop.hub.list_comments(number)
    assert healed["id"] == comment["id"]
    assert "to create" in healed["body"]


def test_a_fork_gets_a_plan_and_no_credentials(shop: ShopRepository) -> None:
    """It is told on the run's page: the token of a fork cannot write, and none is asked for."""
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")}, fork=True)
    run = shop.run_plan(number, token=fake_github.READ_TOKEN)

    assert run.code == 0, run.log
    assert "s3_bucket.files" in run.summary
    assert shop.hub.requests == []
    assert shop.hub.tokens == []
    assert shop.emulator.calls == []


def test_a_repository_without_roles_gets_a_plan_too(shop: ShopRepository) -> None:
    """Before `orchestrator bootstrap github` there is nobody to be."""
    run = shop.run_plan(shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")}), vars={})

    assert run.code == 0, run.log
    assert "s3_bucket.files" in run.summary
    assert shop.emulator.calls == []


def test_a_newer_push_is_not_talked_over(shop: ShopRepository) -> None:
    """A run that was slower than the next push leaves the comment to that push's run."""
    number = shop.open_pull_request({"manifests/files.yaml": bucket_manifest("files")})
    late = dict(shop.hub.pulls[number])
    shop.open_pull_request({"manifests/photos.yaml": bucket_manifest("photos")}, number=number)
    shop.review_pull_request(number)
    (before,) = shop.hub.list_comments(number)
    told = dict(before)

    shop.run_plan(number, pull_request=late)

    assert shop.hub.list_comments(number) == [told]


def test_a_vetoed_plan_fails_its_check(shop: ShopRepository) -> None:
    shop.run_deploy()
    number = shop.open_pull_request({"manifests/web.yaml": None})
    run = shop.run_plan(number)

    assert run.code == 1
    assert run.outputs["vetoed"] == "true"
    (comment,) = shop.hub.list_comments(number)
    assert "**Vetoed" in comment["body"]
    assert shop.hub.newest_status(shop.hub.pulls[number]["head"]["sha"])["state"] == "failure"


@pytest.mark.slow
def test_a_thousand_resources_in_one_comment(shop: ShopRepository) -> None:
    """Cut at the borders of its sections; nothing is lost: the artefact has all, and the comment leads to it."""
    many = "---\n".join(bucket_manifest(f"b{index:03}") for index in range(334))
    number = shop.open_pull_request({"manifests/many.yaml": many})
    run = shop.run_plan(number)

    assert run.code == 0, run.log
    (comment,) = shop.hub.list_comments(number)
    body = comment["body"]
    assert len(body.encode()) < 60_000
    assert body.count("<details>") == body.count("</details>") > 10
    assert body.count("```") % 2 == 0
    assert "1012 to create" in body[:200]
    assert [index for index in range(334) if f"bucket.b{index:03}" not in body] == []
    plan = json.loads((shop.runner.artifacts / run.outputs["artifact"] / "plan.json").read_text())
    assert (len(plan["changes"]), plan["digest"]) == (1012, run.outputs["digest"])
    assert "the artefact linked below" in body
    assert re.search(r"artefact of \[this run\]\(https://\S+/actions/runs/\w+#artifacts\)", body)
    view = reviewed_plan.parse_marker(body)
    assert view is not None
    assert (view.digest, view.changes) == (plan["digest"], {})  # too many to list: compared as a whole on merge
    assert run.outputs["artifact"] == review_evidence.artifact_name("prod", body)
    assert plan["digest"] in shop.hub.newest_status(shop.hub.pulls[number]["head"]["sha"])["description"]
    posted = shop.hub.requests.index(f"POST /issues/{number}/comments")
    assert f"GET /issues/{number}/comments" in shop.hub.requests[posted:]  # what GitHub kept is read back
