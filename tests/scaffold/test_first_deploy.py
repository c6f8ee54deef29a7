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
from orchestrator.vocabulary import Scope
from tests.artefacts import test_node_packages as node_projects
from tests.github import fake_github_server, workflow_runner
from tests.github.shop_repository import ShopRepository

pytestmark = pytest.mark.slow
TOOL = f"{workflow_runner.TOOL_REPOSITORY}@{workflow_runner.TOOL_COMMIT}"
VENDOR = node_projects.LOCKS / "vendor" / "pages"
SHAPES: Mapping[str, Mapping[str, str]] = {
    "static": {"web/index.html": "built"},
    "npm": {
        "web/package.json": json.dumps(
            {**node_projects.PACKAGE, "scripts": {"build": "node vendor/pages/pages.js"}, "dependencies": {}}
        ),
        "web/package-lock.json": (node_projects.LOCKS / "npm" / "package-lock.json").read_text(),
        **{f"web/vendor/pages/{file.name}": file.read_text() for file in VENDOR.iterdir()},
    },
}
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "static": (),
    "npm": ("--site", "web/dist", "--site-build", "npm run build"),
}


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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_new_repository_is_deployed_by_the_workflows_that_init_writes(
    shape: str, shop: ShopRepository, running: Emulator
) -> None:
    if shape == "npm" and shutil.which("npm") is None:
        pytest.skip("needs npm")
    empty(shop)
    shop.write(SHAPES[shape])
    flags = ("--name", "shop", "--repository", "shop/shop", "--account", "123456789012", "--tool", TOOL)
    assert main(["init", *flags, *OPTIONS[shape], str(shop.folder)]) == ExitCode.OK
    shop.commit("Set up deployment")

    run = shop.run_deploy()

    assert run.code == 0, run.log
    assert run.outputs["result"] == "released"
    assert read_page(running, run.outputs["url"]) == "built"


def test_an_emergency_is_handled_from_github(shop: ShopRepository, running: Emulator) -> None:
    """Nobody needs a laptop with rights: roll back, stay there over a merge, and let go, by the workflows of `init`."""
    empty(shop)
    shop.write(SHAPES["static"])
    flags = ("--name", "shop", "--repository", "shop/shop", "--account", "123456789012", "--tool", TOOL)
    assert main(["init", *flags, str(shop.folder)]) == ExitCode.OK
    shop.commit("Set up deployment")
    url = shop.run_deploy().outputs["url"]
    shop.write({"web/index.html": "bad"})
    shop.commit("Break the page")
    shop.run_deploy()

    back = shop.run_dispatched("rollback.yml", {"reason": "wrong prices"})
    assert (back.outputs.get("result"), read_page(running, url)) == ("released", "built"), back.log
    stays = shop.run_deploy()
    assert (stays.outputs["result"], read_page(running, url)) == ("unchanged", "built")
    assert "start the workflow `deploy` with `unpin: all`" in stays.log
    released = shop.run_dispatched("deploy.yml", {"unpin": "all"})
    assert (released.outputs.get("result"), read_page(running, url)) == ("released", "bad"), released.log


def test_a_second_environment_is_deployed_beside_the_first(
    shop: ShopRepository, running: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variables that `bootstrap github -e staging` sets: the workflows of each read their own."""
    empty(shop)
    shop.write(SHAPES["static"])
    flags = ("--name", "shop", "--repository", "shop/shop", "--account", "123456789012", "--tool", TOOL)
    assert main(["init", *flags, str(shop.folder)]) == ExitCode.OK
    shop.commit("Set up deployment")
    first = shop.run_deploy()
    assert main(["init", "--add-environment", "staging", "--tool", TOOL, str(shop.folder)]) == ExitCode.OK
    shop.write({"web/index.html": "two"})
    shop.commit("Add staging")
    scope = Scope("shop", "staging", "123456789012", "eu-west-1")
    shop.vars |= github_settings.repository_variables(scope, has_environments=False)

    second = shop.run_deploy(workflow="deploy-staging.yml")

    assert second.outputs.get("result") == "released", second.log
    assert read_page(running, second.outputs["url"]) == "two"
    assert read_page(running, first.outputs["url"]) == "built"
    role = workflow_roles.role_arn(scope, workflow_roles.DEPLOY_ROLE)
    assert f"AWS_SESSION_TOKEN={role}" in second.log
    assert shop.run_deploy().outputs["result"] == "released", "prod is deployed by its own workflow, as before"
    assert read_page(running, first.outputs["url"]) == "two"


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
