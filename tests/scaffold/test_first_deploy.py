"""From an empty repository to a page that answers, by what `init` writes: its own workflows, on a fresh runner."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.bootstrap import github_settings, workflow_roles
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, start
from orchestrator.problems import ExitCode
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.vocabulary import Scope
from tests.artefacts import test_node_packages as node_projects
from tests.github import fake_github_server, workflow_runner
from tests.github.shop_repository import ShopRepository
from tests.proofs.real_stack import clients

pytestmark = pytest.mark.slow
STAGING = Scope("shop", "staging", "123456789012", "eu-west-1")
TOOL = f"{workflow_runner.TOOL_REPOSITORY}@{workflow_runner.TOOL_COMMIT}"
VENDOR = node_projects.LOCKS / "vendor" / "pages"
SITE: Mapping[str, str] = {
    "web/package.json": json.dumps(
        {**node_projects.PACKAGE, "scripts": {"build": "node vendor/pages/pages.js"}, "dependencies": {}}
    ),
    "web/package-lock.json": (node_projects.LOCKS / "npm" / "package-lock.json").read_text(),
    **{f"web/vendor/pages/{file.name}": file.read_text() for file in VENDOR.iterdir()},
}
"""A site that a package of its own builds: what is on a laptop only, `node_modules` and `dist`, is not on a runner."""
FLAGS = ("--name", "shop", "--repository", "shop/shop", "--account", "123456789012", "--tool", TOOL)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with start() as emulator:
        yield emulator


@pytest.fixture
def shop(tmp_path: Path, running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShopRepository]:
    if missing := workflow_runner.missing_requirement():
        pytest.skip(missing)
    running.reset()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    with fake_github_server.serve(tmp_path / "shop.git") as hub:
        yield ShopRepository(tmp_path, running, hub)


@pytest.mark.timeout(600)
def test_a_team_s_first_weeks(shop: ShopRepository, running: Emulator) -> None:
    """From an empty repository to production, a second environment, promotions, a broken merge and a rollback.

    All by the workflows that `init` writes, on fresh runners; each act is what a person or a merge starts on GitHub.
    """
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    empty(shop)
    shop.write(SITE)
    assert (
        main(["init", *FLAGS, "--site", "web/dist", "--site-build", "npm run build", str(shop.folder)]) == ExitCode.OK
    )
    shop.commit("Set up deployment")
    first = shop.run_deploy()
    assert first.outputs.get("result") == "released", first.log
    prod = first.outputs["url"]
    assert read_page(running, prod) == "built"

    add_staging(shop)
    show(shop, "two")
    merged = shop.run_deploy(workflow="deploy-staging.yml")
    staging = page_url(running, "staging")
    assert f"AWS_SESSION_TOKEN={workflow_roles.role_arn(STAGING, workflow_roles.DEPLOY_ROLE)}" in merged.log
    assert "Promotes release 1 of staging" in merged.log, merged.log
    assert read_pages(running, staging, prod) == ("two", "two")
    assert digest_of(shop, "prod") == digest_of(shop, "staging")

    show(shop, "three", breaks=True)
    broken = shop.run_deploy(workflow="deploy-staging.yml")
    assert (broken.code, read_pages(running, staging, prod)) == (1, ("two", "two"))
    show(shop, "four")
    assert shop.run_deploy(workflow="deploy-staging.yml").code == 0
    assert read_pages(running, staging, prod) == ("four", "four"), "the fix goes whole, through both"

    back = shop.run_dispatched("rollback.yml", {"reason": "wrong prices"})
    assert (back.outputs.get("result"), read_page(running, prod)) == ("released", "two"), back.log
    show(shop, "five")
    held = shop.run_deploy(workflow="deploy-staging.yml")
    assert (held.code, held.outputs["result"]) == (0, "unchanged"), held.log  # of the job that promotes
    assert read_pages(running, staging, prod) == ("five", "two"), "a rollback holds what merges promote"
    by_hand = shop.run_dispatched("promote.yml")
    assert by_hand.outputs.get("result") == "released", by_hand.log
    assert read_pages(running, staging, prod) == ("five", "five")


def add_staging(shop: ShopRepository) -> None:
    """A second environment whose releases are promoted, with the variables that `bootstrap github -e staging` sets."""
    flags = ("--add-environment", "staging", "--promotion", "yes", "--tool", TOOL)
    assert main(["init", *flags, str(shop.folder)]) == ExitCode.OK
    shop.vars |= github_settings.repository_variables(STAGING, has_environments=False)


def show(shop: ShopRepository, text: str, *, breaks: bool = False) -> None:
    """Merge a change of the page, or one that does not build."""
    script = "exit 2" if breaks else f"node vendor/pages/pages.js && printf {text} > dist/index.html"
    package = json.loads(SITE["web/package.json"]) | {"scripts": {"build": script}}
    shop.write({"web/package.json": json.dumps(package)})
    shop.commit(f"Show {text}")


def digest_of(shop: ShopRepository, environment: str) -> str:
    """The digest of the site that an environment serves, as its ledger says."""
    bucket = f"shop-releases-{environment}-123456789012"
    releases = LedgerStore(shop.clients, bucket, environment).read().releases
    return releases[-1].vector.sites["bucket.web"]


def page_url(running: Emulator, environment: str) -> str:
    """The address of an environment's distribution."""
    listed = clients().call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
    (domain,) = [item["DomainName"] for item in listed if environment in item["Origins"]["Items"][0]["DomainName"]]
    return f"https://{domain}/"


def read_pages(running: Emulator, *urls: str) -> tuple[str, ...]:
    return tuple(read_page(running, url) for url in urls)


def empty(shop: ShopRepository) -> None:
    """A repository as GitHub makes it, with a remote and nothing in it."""
    for path in shop.folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_page(emulator: Emulator, url: str) -> str:
    """What a browser gets from the distribution."""
    host = url.removeprefix("https://").strip("/")
    request = urllib.request.Request(emulator.url, headers={"Host": f"{host}.localhost"})
    with urllib.request.urlopen(request) as response:
        return str(response.read().decode())
