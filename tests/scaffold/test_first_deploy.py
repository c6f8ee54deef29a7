"""From an empty repository to a page that answers, by what `init` writes: its own workflows, on a fresh runner."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec import Struct, field

from orchestrator.bootstrap import github_settings, workflow_roles
from orchestrator.cli.main import main
from orchestrator.demo import build_store, python_runtime
from orchestrator.emulator import Emulator, container_runtime, start
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
DOCKERFILE = """\
FROM scratch
ADD runtime.tar /
COPY version.txt server.py /app/
USER 1000:1000
EXPOSE 5000
CMD ["/bin/python3", "-I", "-u", "/app/server.py"]
"""
"""SDKs' images are out of reach: this machine's Python stands for them.  `test_images` builds what `init` writes."""
SERVER = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/health", "/api/version") else 404)
        self.end_headers()
        self.wfile.write(open("/app/version.txt", "rb").read())
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
PROJECT = '<Project Sdk="Microsoft.NET.Sdk{}"><ItemGroup><ProjectReference Include="{}" /></ItemGroup></Project>'


class Application(Struct, frozen=True):
    """What a team's repository has before `init`: the site's folder and what it writes, and files of the API.

    ``generator`` are packages that tell `init` which generator builds the site; stand-ins of them lie beside it.
    ``flags`` are for what `init` does not find.
    """

    site: str
    output: str
    generator: tuple[str, ...] = ()
    api_files: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def api_folder(self) -> str:
        """The folder with the API's Dockerfile, "" if there is no API."""
        return next((name.rpartition("/")[0] for name in self.api_files if name.endswith("/Dockerfile")), "")


NPM = Application("web", "dist", flags=("--site", "web/dist", "--site-build", "npm run build"))
DOTNET = Application(
    "web",
    "dist",
    ("vite",),
    {
        "src/Shop.sln": "",
        "src/Directory.Packages.props": "<Project />",
        "src/Api/Api.csproj": PROJECT.format(".Web", "..\\Infrastructure\\Infrastructure.csproj"),
        "src/Infrastructure/Infrastructure.csproj": PROJECT.format("", "../Domain/Domain.csproj"),
        "src/Domain/Domain.csproj": '<Project Sdk="Microsoft.NET.Sdk" />',
        "src/Dockerfile": DOCKERFILE,
    },
    ("--runtime", "app-runner"),
)
SVELTE_AND_PYTHON = Application(
    "frontend",
    "build",
    ("@sveltejs/kit", "@sveltejs/adapter-static", "vite"),
    {
        "backend/pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\ndependencies = ['fastapi', 'uvicorn']\n",
        "backend/uv.lock": "version = 1\n",
        "backend/app/main.py": "app = FastAPI()\n",
        "backend/Dockerfile": DOCKERFILE,
    },
    ("--runtime", "app-runner"),
)
FLAGS = ("--name", "shop", "--repository", "shop/shop", "--account", "123456789012", "--tool", TOOL)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with start(settle_seconds=0, run_services=not container_runtime.check_isolation()) as emulator:
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


@pytest.mark.timeout(900)
@pytest.mark.parametrize("team", [NPM, DOTNET, SVELTE_AND_PYTHON], ids=["npm", "dotnet", "sveltekit-python"])
def test_a_team_s_first_weeks(team: Application, shop: ShopRepository, running: Emulator) -> None:
    """From an empty repository to production, a second environment, promotions, a broken merge and a rollback.

    All by the workflows that `init` writes, on fresh runners; each act is what a person or a merge starts on GitHub.
    """
    require_tools(team, shop)
    empty(shop)
    write_application(shop, team)
    assert main(["init", *FLAGS, *team.flags, str(shop.folder)]) == ExitCode.OK
    shop.commit("Set up deployment")
    first = shop.run_deploy()
    assert first.outputs.get("result") == "released", first.log
    prod = first.outputs["url"]
    assert (read_page(running, prod), *read_versions(team, running, prod)) == ("built", "built")

    add_staging(shop)
    show(shop, team, "two")
    merged = shop.run_deploy(workflow="deploy-staging.yml")
    staging = page_url(running, "staging")
    assert f"AWS_SESSION_TOKEN={workflow_roles.role_arn(STAGING, workflow_roles.DEPLOY_ROLE)}" in merged.log
    assert "Promotes release 1 of staging" in merged.log, merged.log
    assert read_pages(running, staging, prod) == ("two", "two")
    assert digests_of(shop, "prod") == digests_of(shop, "staging")

    show(shop, team, "three", breaks=True)
    broken = shop.run_deploy(workflow="deploy-staging.yml")
    assert (broken.code, read_pages(running, staging, prod)) == (1, ("two", "two"))
    show(shop, team, "four")
    assert shop.run_deploy(workflow="deploy-staging.yml").code == 0
    assert read_pages(running, staging, prod) == ("four", "four"), "the fix goes whole, through both"

    back = shop.run_dispatched("rollback.yml", {"reason": "wrong prices"})
    assert (back.outputs.get("result"), read_page(running, prod)) == ("released", "two"), back.log
    assert read_versions(team, running, staging, prod) == ("four", "two")
    show(shop, team, "five")
    held = shop.run_deploy(workflow="deploy-staging.yml")
    assert (held.code, held.outputs["result"]) == (0, "unchanged"), held.log  # of the job that promotes
    assert read_pages(running, staging, prod) == ("five", "two"), "a rollback holds what merges promote"
    by_hand = shop.run_dispatched("promote.yml")
    assert by_hand.outputs.get("result") == "released", by_hand.log
    assert read_pages(running, staging, prod) == ("five", "five")
    assert read_versions(team, running, staging, prod) == ("five", "five")
    assert digests_of(shop, "prod") == digests_of(shop, "staging")


def require_tools(team: Application, shop: ShopRepository) -> None:
    """Skip without npm and buildah; a runner has an empty store of images."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    if team.api_files:
        if shutil.which("buildah") is None:
            pytest.skip("needs buildah")
        if reason := container_runtime.check_isolation():
            pytest.skip(f"needs isolation: {reason}")
        shop.runner.environment |= build_store.write_storage_config(shop.folder.parent / "store", "vfs", "buildah")


def write_application(shop: ShopRepository, team: Application) -> None:
    """Write the code: a site that a package of its own builds, because `node_modules` is not on a runner."""
    files = {f"{team.site}/vendor/pages/{file.name}": file.read_text() for file in VENDOR.iterdir()}
    for name in team.generator:
        files[f"{team.site}/vendor/{name}/package.json"] = json.dumps({"name": name, "version": "1.0.0"})
    shop.write({**files, **team.api_files, f"{team.site}/package.json": package_of(team, "built")})
    if team.api_folder:
        shop.write({f"{team.api_folder}/server.py": SERVER, f"{team.api_folder}/version.txt": "built"})
        runtime = shop.folder.parent / "runtime"
        python_runtime.copy_python(runtime)
        # As one file: `init` lets git ignore folders called `bin`.
        shutil.make_archive(str(shop.folder / team.api_folder / "runtime"), "tar", runtime)
    lock = ["npm", "install", "--package-lock-only", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(lock, cwd=shop.folder / team.site, check=True, capture_output=True)


def package_of(team: Application, text: str, *, breaks: bool = False) -> str:
    """The package.json of a site whose page is ``text``, or that does not build."""
    page = f"{team.output}/index.html"
    script = f"node vendor/pages/pages.js && mkdir -p {team.output} && printf {text} > {page}"
    packages = {name: f"file:./vendor/{name}" for name in ("pages", *team.generator)}
    scripts = {"build": "exit 2" if breaks else script}
    return json.dumps({**node_projects.PACKAGE, "scripts": scripts, "devDependencies": packages})


def add_staging(shop: ShopRepository) -> None:
    """A second environment whose releases are promoted, with the variables that `bootstrap github -e staging` sets."""
    flags = ("--add-environment", "staging", "--promotion", "yes", "--tool", TOOL)
    assert main(["init", *flags, str(shop.folder)]) == ExitCode.OK
    shop.vars |= github_settings.repository_variables(STAGING, has_environments=False)


def show(shop: ShopRepository, team: Application, text: str, *, breaks: bool = False) -> None:
    """Merge a change of the page, and of the API if there is one; or one that does not build."""
    shop.write({f"{team.site}/package.json": package_of(team, text, breaks=breaks)})
    if team.api_folder:
        shop.write({f"{team.api_folder}/version.txt": text})
    shop.commit(f"Show {text}")


def digests_of(shop: ShopRepository, environment: str) -> dict[str, str]:
    """The digests of the site and the images that an environment has, as its ledger says."""
    bucket = f"shop-releases-{environment}-123456789012"
    vector = LedgerStore(shop.clients, bucket, environment).read().releases[-1].vector
    return {**vector.sites, **{handle: image.digest for handle, image in vector.images.items()}}


def page_url(running: Emulator, environment: str) -> str:
    """The address of an environment's distribution."""
    listed = clients().call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
    (domain,) = [item["DomainName"] for item in listed if environment in item["Origins"]["Items"][0]["DomainName"]]
    return f"https://{domain}/"


def read_pages(running: Emulator, *urls: str) -> tuple[str, ...]:
    return tuple(read_page(running, url) for url in urls)


def read_versions(team: Application, running: Emulator, *urls: str) -> tuple[str, ...]:
    """What the API of each environment answers at its site's address; of a team without one, what the page says."""
    return tuple(read_page(running, f"{url}api/version" if team.api_folder else url) for url in urls)


def empty(shop: ShopRepository) -> None:
    """A repository as GitHub makes it, with a remote and nothing in it."""
    for path in shop.folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_page(emulator: Emulator, url: str) -> str:
    """What a browser gets from the distribution."""
    host, _, path = url.removeprefix("https://").partition("/")
    request = urllib.request.Request(f"{emulator.url}/{path}", headers={"Host": f"{host}.localhost"})
    with urllib.request.urlopen(request) as response:
        return str(response.read().decode())
