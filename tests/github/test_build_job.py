"""The job that builds the sites: what it may do and see, and what the job that deploys makes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.demo import build_store
from orchestrator.problems import Problems
from orchestrator.runs import site_builds
from orchestrator.runs.settings import Settings
from tests.github.shop_repository import WEB, ShopRepository
from tests.github.workflow_runner import WORKFLOWS

BUILD = """
import os, pathlib, sys
if pathlib.Path("web/broken").exists():
    print("src/App.tsx(2,27): error TS2322: wrong")
    sys.exit(2)
counted = pathlib.Path(os.environ["COUNTED"])
counted.write_text((counted.read_text() if counted.exists() else "") + "x")
pathlib.Path("out").mkdir(exist_ok=True)
names = [name for name in os.environ if name.startswith(("AWS_", "ACTIONS_", "GITHUB_TOKEN", "GH_", "ORCHESTRATOR_"))]
pathlib.Path("out/index.html").write_text("saw " + " ".join(sorted(names)))
"""


def read_jobs(workflow: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"]
    return jobs


def list_writing_jobs() -> list[tuple[str, str]]:
    """(workflow, job) of each job that runs a command which deploys a checkout, and so may build."""
    return [
        (path.name, name)
        for path in sorted(WORKFLOWS.glob("*.yml"))
        for name, job in read_jobs(path.name).items()
        for step in job.get("steps", ())
        if re.search("orchestrator github (deploy|plan .*--built|promote)", str(step.get("run")))
        or step.get("env", {}).get("ORCHESTRATOR_ANSWER") == "revert"
    ]


def test_every_deploy_has_a_build_job_with_nothing_to_steal() -> None:
    """No right but to read the code, no secret, no role; the job with the role takes over what that one has built.

    GitHub: a job gets an OIDC token only with ``id-token: write`` ("OpenID Connect", security hardening).
    """
    assert list_writing_jobs() == [
        ("deploy.yml", "deploy"),
        ("drift.yml", "revert"),
        ("plan.yml", "plan"),
        ("promote.yml", "promote"),
    ]
    for workflow, name in list_writing_jobs():
        jobs = read_jobs(workflow)
        build = json.dumps(jobs["build"])
        assert jobs["build"]["permissions"] == {"contents": "read"}
        assert "environment" not in jobs["build"], "secrets of an environment"
        for word in ("secrets.", "github.token", "configure-aws-credentials", "id-token"):
            assert word not in build
        assert jobs[name]["needs"] == "build"
        assert "--built" in json.dumps(jobs[name]["steps"])
        assert jobs[name]["permissions"]["id-token"] == "write"
        checkouts = [step for job in jobs.values() for step in job["steps"] if "checkout@" in str(step.get("uses"))]
        assert {step["with"]["persist-credentials"] for step in checkouts} == {False}


SERVICE = """
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, build: {context: ../api}}
"""


def set_build(shop: ShopRepository, **files: str) -> None:
    """Let a script build the site of the repository."""
    build = json.dumps([sys.executable, "build.py"])
    env = json.dumps({"COUNTED": str(shop.folder.parent / "counted")})
    web = WEB.replace("dir: ../dist", f"dir: ../out, folder: .., build: {build}, env: {env}")
    shop.write({"manifests/web.yaml": web, "build.py": BUILD, ".gitignore": "out\n", **files})
    shop.commit("Build the site")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah")
def test_site_and_image_are_built_once_without_credentials_and_deployed_as_built(shop: ShopRepository) -> None:
    """The job that deploys finds no builder that works: it pushes what the other one has left, by its digest.

    What builds print is kept as an artefact, and the tag as a hint for the next run.
    """
    script = shop.folder.parent / "bin" / "buildah"
    script.parent.mkdir()
    record = script.with_name("record")
    script.write_text(f'#!/bin/sh\n(echo "$1"; env) >> {record}\nexec {shutil.which("buildah")} "$@"\n')
    script.chmod(0o755)
    store = build_store.write_storage_config(shop.folder.parent / "store", "vfs", "buildah")
    shop.runner.environment |= {**store, "PATH": f"{script.parent}:{os.environ['PATH']}"}
    dockerfile = 'FROM scratch\nCOPY hello /hello\nCMD ["/hello"]\n'
    set_build(shop, **{"manifests/api.yaml": SERVICE.lstrip("\n-"), "api/Dockerfile": dockerfile, "api/hello": "hello"})

    run = shop.run_deploy()

    assert run.outputs.get("result") == "released", run.log
    assert shop.read_front_page() == "saw "
    assert (shop.folder.parent / "counted").read_text() == "x"
    images = shop.clients.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"]
    [(tag, digest)] = [(image["imageTags"][0], image["imageDigest"]) for image in images if image.get("imageTags")]
    seen = record.read_text().splitlines()
    assert [line for line in seen if line in {"build", "push"}] == ["build", "push"], "built and exported, once"
    assert [line for line in seen if line.startswith(("AWS_", "ACTIONS_", "GITHUB_TOKEN"))] == []
    assert shop.ledger.releases[-1].vector.images["containerservice.api"].digest == digest
    assert (shop.runner.folder / "cached").read_text() == f"{tag}\n"
    outputs = sorted((shop.runner.artifacts / "build-output-prod").glob("*.log"))
    assert any("STEP 3/" in file.read_text() for file in outputs)


@pytest.mark.slow
def test_a_build_that_fails_is_reported_and_not_repeated(shop: ShopRepository) -> None:
    """On the merged pull request, by the job that deploys: it has a token, and it runs no build."""
    shop.run_deploy()
    set_build(shop)
    number = shop.open_pull_request({"web/broken": "yes"})
    shop.merge(number)

    run = shop.run_deploy()

    assert run.code == 1
    assert not (shop.folder.parent / "counted").exists()
    (comment,) = [item for item in shop.hub.list_comments(number) if "orchestrator:deploy" in item["body"]]
    assert "the build of bucket.web failed" in comment["body"].replace("\\", "")
    assert "error TS2322: wrong" in comment["body"]
    assert "see the job" in comment["body"]


def commit_all(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=ana", "-c", "user.email=ana@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "change"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Settings:
    """A repository whose site a script builds."""
    folder = tmp_path / "repository"
    (folder / "manifests").mkdir(parents=True)
    build = json.dumps([sys.executable, "-c", "import pathlib as p; p.Path('out/index.html').write_text('built')"])
    (folder / "manifests" / "shop.yaml").write_text(f"""
apiVersion: orchestrator/v1
kind: Project
metadata: {{name: shop}}
spec: {{repository: shop/shop, region: eu-west-1, account: "123456789012", releases: {{bucket: bucket.releases}}}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: releases}}
spec: {{name: shop-releases}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: web}}
spec: {{name: shop-web, spa: {{dir: ../out, folder: .., build: {build}}}}}
""")
    (folder / "out").mkdir()
    (folder / "out" / "removed.html").write_text("a file that the build of the other job has removed")
    commit_all(folder)
    return Settings(folder / "manifests", "prod")


def test_what_was_built_is_what_is_shipped(checkout: Settings, tmp_path: Path) -> None:
    """Exactly its files: what the checkout has beyond them goes."""
    out, built = checkout.manifests.parent / "out", tmp_path / "built"
    stale = out / "removed.html"
    text = stale.read_text()
    stale.unlink()
    assert site_builds.save_built_sites(checkout, built)
    stale.write_text(text)
    (out / "index.html").write_text("something else")

    assert site_builds.restore_built_sites(checkout, built, "success")
    assert {path.name: path.read_text() for path in out.iterdir()} == {"index.html": "built"}


def test_sites_of_another_commit_and_of_a_failed_job_are_not_shipped(checkout: Settings, tmp_path: Path) -> None:
    built = tmp_path / "built"
    site_builds.save_built_sites(checkout, built)
    (checkout.manifests.parent / "README.md").write_text("newer")
    commit_all(checkout.manifests.parent)

    assert not site_builds.restore_built_sites(checkout, built, "success")
    assert not site_builds.restore_built_sites(checkout, tmp_path / "nowhere", "")
    for result in ("failure", "cancelled", "skipped"):
        with pytest.raises(Problems, match="could not be built"):
            site_builds.restore_built_sites(checkout, built, result)
