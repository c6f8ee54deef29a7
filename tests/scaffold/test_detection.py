"""What `orchestrator init` sees in a checkout: the shapes that generators and package managers write, as data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artefacts.images import dockerfile_parser
from orchestrator.scaffold import detection, dockerfiles
from orchestrator.scaffold.detection.applications import Detected

WEB_SDK = '<Project Sdk="Microsoft.NET.Sdk.Web">{}</Project>'
LIBRARY = (
    '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net9.0</TargetFramework></PropertyGroup>'
    "{}</Project>"
)


def package(**fields: Any) -> str:
    return json.dumps(fields)


def reference(*paths: str) -> str:
    items = "".join(f'<ProjectReference Include="{path}" />' for path in paths)
    return f"<ItemGroup>{items}</ItemGroup>"


def build(**packages: str) -> str:
    return package(scripts={"build": "x"}, devDependencies=packages)


SITES = {
    "vite": ({"web/package.json": build(vite="7")}, "web/dist", "npm run build", True),
    "vite-out-dir": (
        {"web/package.json": build(vite="7"), "web/vite.config.ts": "build: { outDir: 'public_html' }"},
        "web/public_html",
        "npm run build",
        True,
    ),
    "pnpm": ({"app/package.json": build(vite="7"), "app/pnpm-lock.yaml": ""}, "app/dist", "pnpm run build", True),
    "yarn": ({"package.json": build(vite="7"), "yarn.lock": ""}, "dist", "yarn run build", True),
    "bun-workspace": (
        {"package.json": package(workspaces=["apps/*"]), "bun.lock": "", "apps/web/package.json": build(vite="7")},
        "apps/web/dist",
        "bun run build",
        True,
    ),
    "next-export": (
        {"web/package.json": build(next="16"), "web/next.config.mjs": "export default { output: 'export' }"},
        "web/out",
        "npm run build",
        False,
    ),
    "svelte-kit": (
        {"package.json": build(**{"@sveltejs/kit": "2", "@sveltejs/adapter-static": "3", "vite": "7"})},
        "build",
        "npm run build",
        False,
    ),
    "svelte-kit-fallback": (
        {
            "package.json": build(**{"@sveltejs/kit": "2", "@sveltejs/adapter-static": "3", "vite": "7"}),
            "svelte.config.js": "adapter({ fallback: '200.html' })",
        },
        "build",
        "npm run build",
        True,
    ),
    "astro": ({"docs-site/package.json": build(astro="5", vite="7")}, "docs-site/dist", "npm run build", False),
    "angular-application": (
        {
            "web/package.json": build(**{"@angular/core": "20"}),
            "web/angular.json": package(
                projects={"shop": {"architect": {"build": {"builder": "@angular/build:application", "options": {}}}}}
            ),
        },
        "web/dist/shop/browser",
        "npm run build",
        True,
    ),
    "angular-browser": (
        {
            "web/package.json": build(**{"@angular/core": "15"}),
            "web/angular.json": package(
                projects={
                    "shop": {
                        "architect": {
                            "build": {
                                "builder": "@angular-devkit/build-angular:browser",
                                "options": {"outputPath": "dist/x"},
                            }
                        }
                    }
                }
            ),
        },
        "web/dist/x",
        "npm run build",
        True,
    ),
    "nuxt": (
        {"web/package.json": package(scripts={"generate": "nuxt generate"}, dependencies={"nuxt": "4"})},
        "web/.output/public",
        "npm run generate",
        False,
    ),
    "svelte-kit-pages": (
        {
            "frontend/package.json": build(**{"@sveltejs/kit": "2", "@sveltejs/adapter-static": "3", "vite": "7"}),
            "frontend/svelte.config.js": "adapter({ pages: 'public_html' })",
        },
        "frontend/public_html",
        "npm run build",
        False,
    ),
    "react-router": (
        {
            "package.json": build(**{"@react-router/dev": "7", "vite": "7"}),
            "react-router.config.ts": "export default { ssr: false }",
        },
        "build/client",
        "npm run build",
        True,
    ),
    "gatsby": ({"package.json": build(gatsby="5")}, "public", "npm run build", False),
    "docusaurus": ({"package.json": build(**{"@docusaurus/core": "3"})}, "build", "npm run build", False),
    "eleventy": ({"package.json": package(devDependencies={"@11ty/eleventy": "3"})}, "_site", "npx eleventy", False),
    "vitepress": (
        {"package.json": package(scripts={"docs:build": "vitepress build docs"}, devDependencies={"vitepress": "1"})},
        "docs/.vitepress/dist",
        "npm run docs:build",
        False,
    ),
    "vue-cli": ({"package.json": build(**{"@vue/cli-service": "5"})}, "dist", "npm run build", True),
    "parcel": ({"package.json": build(parcel="2")}, "dist", "npm run build", True),
    "create-react-app": (
        {"client/package.json": build(**{"react-scripts": "5"})},
        "client/build",
        "npm run build",
        True,
    ),
    "static": ({"web/index.html": "<h1>"}, "web", "none", True),
    "committed-build": ({"web/dist/index.html": "<h1>"}, "web/dist", "none", True),
}
"""Files, the folder of the built site, the command, and whether it is one page. Sources: the generators' documentation
(vite build.outDir, Next static exports, SvelteKit adapter-static, Angular outputPath, `nuxt generate`, React Router's
SPA mode, VitePress' outDir, Gatsby's public, Docusaurus' build, Eleventy's _site, Vue CLI's and Parcel's dist)."""

APIS = {
    "dotnet-project": ({"api/Api.csproj": WEB_SDK.format("")}, ("dotnet", "api", "dotnet", "Api.csproj")),
    "dotnet-solution": (
        {
            "src/Shop.sln": "",
            "src/Directory.Packages.props": "<Project />",
            "src/Shop.Api/Shop.Api.csproj": WEB_SDK.format(reference("..\\Shop.Infra\\Shop.Infra.csproj")),
            "src/Shop.Infra/Shop.Infra.csproj": LIBRARY.format(reference("..\\Shop.Domain\\Shop.Domain.csproj")),
            "src/Shop.Domain/Shop.Domain.csproj": LIBRARY.format(""),
            "src/Shop.Tests/Shop.Tests.csproj": LIBRARY.format(""),
        },
        ("dotnet", "src", "dotnet", "Shop.Api/Shop.Api.csproj"),
    ),
    "dotnet-filter": (
        {"Shop.slnf": "{}", "global.json": "{}", "src/Api/Api.csproj": WEB_SDK.format("")},
        ("dotnet", ".", "dotnet", "src/Api/Api.csproj"),
    ),
    "express": (
        {"api/package.json": package(dependencies={"express": "5"}, scripts={"start": "node src/main.js"})},
        ("node", "api", "npm", "src/main.js"),
    ),
    "pnpm-workspace": (
        {
            "package.json": package(name="root"),
            "pnpm-workspace.yaml": "packages: [apps/*]",
            "pnpm-lock.yaml": "",
            "apps/api/package.json": package(dependencies={"fastify": "5"}),
            "apps/api/server.js": "",
        },
        ("node", ".", "pnpm", "apps/api/server.js"),
    ),
    "requirements": ({"api/requirements.txt": "flask", "api/app.py": ""}, ("python", "api", "pip", "app")),
    "uv": (
        {"api/pyproject.toml": "[project]\ndependencies = ['flask']", "api/uv.lock": "", "api/main.py": ""},
        ("python", "api", "uv", "main"),
    ),
    "poetry": (
        {"pyproject.toml": "[tool.poetry.dependencies]\nflask = '*'", "poetry.lock": "", "app.py": ""},
        ("python", ".", "poetry", "app"),
    ),
    "pdm": (
        {"api/pyproject.toml": "[tool.pdm]", "api/pdm.lock": "", "api/app.py": ""},
        ("python", "api", "pdm", "app"),
    ),
    "hatch": (
        {"api/pyproject.toml": "[project]\ndependencies = ['flask']\n[tool.hatch]", "api/app.py": ""},
        ("python", "api", "hatch", "app"),
    ),
    "fastapi": (
        {"api/requirements.txt": "fastapi\nuvicorn", "api/main.py": "web = FastAPI()"},
        ("python", "api", "pip", "main:web"),
    ),
    "pipenv": (
        {"Pipfile": '[packages]\nflask = "*"\ngunicorn = "*"', "Pipfile.lock": "{}", "app.py": "app = Flask(__name__)"},
        ("python", ".", "pipenv", "app:app"),
    ),
    "django": (
        {"requirements.txt": "django\ngunicorn", "manage.py": "", "shop/wsgi.py": "", "shop/asgi.py": ""},
        ("python", ".", "pip", "shop.wsgi:application"),
    ),
    "factory": (
        {
            "api/pyproject.toml": "[project]\ndependencies = ['flask', 'gunicorn']",
            "api/src/shop/__init__.py": "def create_app():\n    ...",
        },
        ("python", "api", "pyproject", "shop:create_app()"),
    ),
    "nested-fastapi": (
        {"api/requirements.txt": "fastapi[standard]", "api/shop/web.py": "from fastapi import *\nweb = FastAPI()"},
        ("python", "api", "pip", "shop.web:web"),
    ),
    "tsx": (
        {
            "package.json": package(scripts={"start": "tsx src/index.ts"}, dependencies={"express": "5", "tsx": "4"}),
            "src/index.ts": "",
        },
        ("node", ".", "npm", "src/index.ts"),
    ),
    "nest": (
        {
            "package.json": package(
                scripts={"start": "nest start", "start:prod": "node dist/main", "build": "nest build"},
                dependencies={"@nestjs/core": "11"},
            )
        },
        ("node", ".", "npm", "dist/main.js"),
    ),
    "yarn-berry": (
        {
            "package.json": package(packageManager="yarn@4.5.0", dependencies={"express": "5"}),
            "yarn.lock": "__metadata:\n  version: 8\n",
            ".yarnrc.yml": "",
            "server.js": "",
        },
        ("node", ".", "yarn", "server.js"),
    ),
    "go": (
        {"go.mod": "module shop\n\ngo 1.24\n", "cmd/server/main.go": "package main\n"},
        ("go", ".", "go", "./cmd/server"),
    ),
    "dockerfile": ({"backend/Dockerfile": "FROM scratch", "backend/pom.xml": ""}, ("docker", "backend", "", "")),
}
"""Files, and language, folder, tool and entry of the server."""


def checkout(folder: Path, files: dict[str, str]) -> Detected:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return detection.detect(folder)


@pytest.mark.parametrize("name", SITES)
def test_a_site_is_found_with_what_its_generator_writes(name: str, tmp_path: Path) -> None:
    files, output, command, is_single_page = SITES[name]
    detected = checkout(tmp_path, files)
    guesses = detection.guess_answers(tmp_path, {}, detected)

    assert (guesses["site"], guesses["site-build"], guesses["api"]) == (output, command, "none")
    assert detected.sites[0].is_single_page == is_single_page


@pytest.mark.parametrize("name", APIS)
def test_a_server_is_found_with_what_builds_it(name: str, tmp_path: Path) -> None:
    files, expected = APIS[name]
    detected = checkout(tmp_path, files)
    (api,) = detected.apis

    assert (api.language, api.folder, api.tool, api.entry) == expected
    assert detected.sites == ()


@pytest.mark.parametrize("name", [name for name in APIS if name != "dockerfile"])
def test_the_dockerfile_copies_only_what_there_is(name: str, tmp_path: Path) -> None:
    """Every file that it copies before the code is in the context, and all that decides about packages is copied."""
    files, _ = APIS[name]
    (api,) = checkout(tmp_path, files).apis
    text = dockerfiles.render_files(api)["Dockerfile"]
    copied = [
        json.loads(rest)
        for _, keyword, rest in dockerfile_parser.parse_instructions(text)
        if keyword == "COPY" and rest.startswith("[")
    ]
    sources = [source for *sources, _ in copied for source in sources]

    assert sources
    assert [source for source in sources if not (tmp_path / api.folder / source).exists()] == []
    assert {source for source in sources if Path(source).name in ("uv.lock", "poetry.lock", "pdm.lock")} == {
        Path(file).name for file in files if file.endswith(("uv.lock", "poetry.lock", "pdm.lock"))
    }
    assert all(target == "./" or sources[0].startswith(target.removeprefix("./")) for *sources, target in copied)


def test_a_solution_restores_all_projects_that_the_server_needs(tmp_path: Path) -> None:
    """Those that it references, at any distance; central package management; not the tests."""
    (api,) = checkout(tmp_path, APIS["dotnet-solution"][0]).apis
    text = dockerfiles.render_files(api)["Dockerfile"]

    assert 'COPY ["Shop.sln", "Directory.Packages.props", "./"]' in text
    assert all(f'COPY ["Shop.{name}/Shop.{name}.csproj", "./Shop.{name}/"]' in text for name in ("Infra", "Domain"))
    assert "Shop.Tests" not in text
    assert "sdk:9.0" not in text, "the version is the server's, not a library's"


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"web/package.json": build(next="16")}, "web/package.json: Next.js needs a server unless `output: 'export'`"),
        (
            {"web/package.json": build(**{"@sveltejs/kit": "2"})},
            "SvelteKit needs a server; add @sveltejs/adapter-static",
        ),
        (
            {"package.json": build(astro="5"), "astro.config.mjs": "output: 'server'"},
            "Astro needs a server for `output: 'server'`",
        ),
        ({"package.json": build(**{"@react-router/dev": "7"})}, "React Router needs a server unless `ssr: false`"),
        ({"package.json": build(**{"@remix-run/dev": "2", "vite": "6"})}, "Remix needs a server"),
        (
            {"package.json": package(scripts={"start": "bun run a.ts"}, dependencies={"hono": "4"})},
            "runs a.ts with Bun",
        ),
        ({"package.json": package(dependencies={"express": "5"})}, "server.js does not exist: set ENTRY"),
        (
            {"package.json": package(scripts={"start": "tsx a.ts"}, devDependencies={"tsx": "4"}), "a.ts": ""},
            "move tsx to `dependencies`",
        ),
        (
            {"requirements.txt": "flask", "app.py": "app = Flask(__name__)"},
            "add a server to its packages, such as gunicorn",
        ),
        ({"requirements.txt": "fastapi", "app.py": "app = FastAPI()"}, "add a server to its packages, such as uvicorn"),
        ({"requirements.txt": "django", "readme.py": ""}, "set APP in the Dockerfile"),
        ({"deno.json": "{}"}, "deno.json: no site or server"),
        ({"hugo.toml": ""}, "hugo.toml: no site or server"),
        ({"index.html": "<h1>"}, "index.html: a site in the root would publish the whole repository"),
        ({"api/pom.xml": ""}, "api/pom.xml: no Dockerfile template for Java; write a Dockerfile in api"),
        ({"api/Cargo.toml": ""}, "api/Cargo.toml: no Dockerfile template for Rust"),
        ({"lib/package.json": package(name="lib")}, "lib/package.json: no site or server was detected"),
        ({"lib/lib.csproj": LIBRARY.format("")}, "lib/lib.csproj: no site or server was detected"),
        ({"tools/pyproject.toml": "[project]"}, "tools/pyproject.toml: no site or server was detected"),
    ],
)
def test_nothing_is_left_out_silently(files: dict[str, str], note: str, tmp_path: Path) -> None:
    assert any(note in line for line in detection.describe(checkout(tmp_path, files)))


def test_a_second_application_is_named_with_the_options_that_choose_it(tmp_path: Path) -> None:
    files = {**APIS["express"][0], **APIS["uv"][0], "admin/package.json": build(vite="7"), **SITES["pnpm"][0]}
    detected = checkout(tmp_path, files)
    lines = detection.describe(detected)

    assert len(detected.sites) == 2
    assert [line for line in lines if line.startswith("also found: ") and "to use it, pass --site" in line] != []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:team/shop.git", "team/shop"),
        ("https://github.com/team/shop", "team/shop"),
        ("https://user@github.com/team/shop.git", "team/shop"),
        ("ssh://git@github.com/team/shop.git", "team/shop"),
        ("/srv/git/team/shop", ""),
        ("../shop", ""),
        ("https://gitlab.com/team/shop.git", ""),
        ("https://github.com.evil.example/team/shop", ""),
    ],
)
def test_only_a_remote_on_github_names_a_repository(url: str, name: str) -> None:
    """A path once became `uses: LOCAL/PATH/.github/workflows/...`, which no runner can reach."""
    assert detection.parse_github_remote(url) == name


def test_the_default_branch_is_the_one_that_is_deployed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(tmp_path)], check=True)
    assert detection.find_default_branch(tmp_path) == "trunk"
    subprocess.run(
        ["git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/master"], cwd=tmp_path, check=True
    )
    assert detection.find_default_branch(tmp_path) == "master"


def test_a_package_may_be_a_site_and_its_server(tmp_path: Path) -> None:
    files = {
        "package.json": package(
            scripts={"build": "vite build", "start": "node server.js"},
            dependencies={"express": "5"},
            devDependencies={"vite": "7"},
        ),
        "server.js": "",
    }
    detected = checkout(tmp_path, files)

    assert [site.output for site in detected.sites] == ["dist"]
    assert [api.entry for api in detected.apis] == ["server.js"]


def test_a_dockerfile_says_the_port(tmp_path: Path) -> None:
    """`init` writes it into the manifest: a health check on another port would never answer."""
    files = {"api/Dockerfile": "FROM a\nEXPOSE 80\nFROM b\nEXPOSE 3000/tcp\n", "web/Dockerfile": "FROM scratch"}
    assert {api.folder: api.port for api in checkout(tmp_path, files).apis} == {"api": 3000, "web": 8080}


INSTALLS = {
    "yarn-berry": ["npm install --global @yarnpkg/cli-dist@4.5.0", "yarn install --immutable"],
    "pnpm-workspace": ["npm install --global pnpm@10", "pnpm install --frozen-lockfile"],
    "pipenv": ["pipenv requirements", "gunicorn --bind 0.0.0.0:$PORT 'app:app'"],
    "factory": ["exec env PYTHONPATH=src gunicorn --bind 0.0.0.0:$PORT 'shop:create_app()'"],
    "tsx": ['exec node --import tsx \\"$ENTRY\\"'],
}


@pytest.mark.parametrize("name", INSTALLS)
def test_the_dockerfile_installs_and_starts_as_the_project_does(name: str, tmp_path: Path) -> None:
    """With the version of the package manager that `packageManager` in package.json names."""
    (api,) = checkout(tmp_path, APIS[name][0]).apis
    text = dockerfiles.render_files(api)["Dockerfile"]

    assert [words for words in INSTALLS[name] if words not in text] == []
    assert all(dockerfile_parser.parse_instructions(text))
