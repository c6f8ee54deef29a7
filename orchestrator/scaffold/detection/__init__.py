"""Derive what a checkout contains, and default answers from it, its git remote and the environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

import orchestrator
from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.scaffold.detection import dotnet, go, node, python
from orchestrator.scaffold.detection.applications import Api, Detected, Site
from orchestrator.scaffold.detection.tree import Tree, is_below, join
from orchestrator.scaffold.questions import DOCKERFILE_ONLY, NONE

DEFAULT_BRANCH: Final = "main"
_GIT_TIMEOUT_SECONDS = 10.0
_GITHUB_REMOTE = re.compile(r"^(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")
_PINNED_WORKFLOW = re.compile(r"uses: ([\w.-]+/[\w.-]+)/\.github/workflows/(plan|deploy)\.yml@([0-9a-f]{40})")
_STATIC_FOLDERS: Final = ("web", "site", "frontend", "client", "public", "www", "html")
_BUILT_FOLDERS: Final = ("dist", "build", "out", "public")
_SOURCE_PATTERNS: Final = ("*.cs", "*.py", "*.js", "*.ts", "*.mjs", "*.go")
_RELEASE_VARIABLE: Final = "ORCHESTRATOR_RELEASE"
_UNSUPPORTED: Final = {
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "Gemfile": "Ruby",
    "composer.json": "PHP",
    "Cargo.toml": "Rust",
    "mix.exs": "Elixir",
}
"""Project files of languages without a Dockerfile template."""


def guess_answers(
    folder: Path, environ: Mapping[str, str] = os.environ, detected: Detected | None = None
) -> dict[str, str]:
    """Return default answers from the folder, its git remote and the environment variables."""
    detected = detect(folder) if detected is None else detected
    repository = parse_github_remote(_run_git(folder, "remote", "get-url", "origin"))
    name = re.sub(r"[^a-z0-9]+", "-", (repository.partition("/")[2] or folder.resolve().name).lower()).strip("-")
    api, site = next(iter(detected.apis), None), next(iter(detected.sites), None)
    return {
        "name": re.sub(r"^[^a-z]+", "", name)[:31],
        "repository": repository,
        "branch": find_default_branch(folder),
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        "api": api.language if api else NONE,
        "api-folder": api.folder if api else "",
        "site": site.output if site else NONE,
        "site-build": " ".join(site.build) if site and site.build else NONE,
        "site-folder": site.folder if site and site.build else "",
        "tool": find_pinned_tool(folder) or detect_tool(),
    }


def detect(folder: Path) -> Detected:
    """Return the applications of a checkout, those with a telling folder name first, and what is not supported."""
    tree = Tree(folder)
    from_node = list(node.find_applications(tree))
    apis = [*dotnet.find_apis(tree), *(item for item in from_node if isinstance(item, Api))]
    apis += [*python.find_apis(tree), *go.find_apis(tree)]
    sites = [item for item in from_node if isinstance(item, Site)]
    sites += _static_sites(tree, [*(site.folder for site in sites), *(api.folder for api in apis)])
    apis = [_with_dockerfile(tree, api) for api in apis]
    apis += _dockerfile_apis(tree, [*(api.folder for api in apis), *(site.folder for site in sites)])
    apis = [replace(api, names_release=_names_release(tree, api.folder)) for api in apis]
    notes = [item for item in from_node if isinstance(item, str)]
    notes += _unsupported(tree, apis)
    notes += _unrecognised(tree, [*(api.folder for api in apis), *(site.folder for site in sites)], notes)
    preferred = ("api", "backend", "server", "src", ".")
    apis.sort(key=lambda api: preferred.index(api.folder) if api.folder in preferred else len(preferred))
    if not apis and not sites and tree.has("index.html"):
        notes.append("index.html: a site in the root would publish the whole repository; move its files, e.g. to web")
    return Detected(tuple(apis), tuple(sites), tuple(notes))


def describe(detected: Detected) -> list[str]:
    """Return a line for each thing that was found; the first of each kind is the one that the answers propose."""
    lines = [api.description for api in detected.apis[:1]]
    lines += [site.description for site in detected.sites[:1]]
    lines += [
        f"also found: {api.description}; to use it, pass --api {api.language} --api-folder {api.folder}"
        for api in detected.apis[1:]
    ]
    lines += [f"also found: {site.description}; to use it, pass --site {site.output}" for site in detected.sites[1:]]
    return [*lines, *detected.notes]


def choose_api(detected: Detected, language: str, folder: str) -> Api:
    """Return the detected application of that language and folder, or a new one with the language's defaults."""
    return next(
        (api for api in detected.apis if api.folder == folder and language in (api.language, DOCKERFILE_ONLY)),
        Api(language, folder),
    )


def choose_site(detected: Detected, output: str) -> Site | None:
    """Return the detected site that writes ``output``."""
    return next((site for site in detected.sites if site.output == output), None)


def find_account(region: str) -> str:
    """Return the AWS account of the credentials at hand; "" if there are none that work."""
    from orchestrator.aws import AwsError, Clients

    try:
        return str(Clients(region or "us-east-1").call("sts", "get_caller_identity", {})["Account"])
    except (AwsError, Problems):
        return ""


def find_pinned_tool(folder: Path) -> str:
    """Return ``OWNER/NAME@COMMIT`` of the orchestrator whose plan and deploy workflows a checkout calls.

    "" if it does not call both, or if it calls several versions.
    """
    paths = (folder / ".github" / "workflows").glob("*.y*ml")
    calls = {call for path in paths for call in _PINNED_WORKFLOW.findall(path.read_text(errors="replace"))}
    tools = {f"{repository}@{commit}" for repository, _, commit in calls}
    return tools.pop() if len(tools) == 1 and len(calls) == len(("plan", "deploy")) else ""


def detect_tool() -> str:
    """Return the commit of the running orchestrator as ``OWNER/NAME@COMMIT``; "" if it is no checkout from GitHub."""
    checkout = Path(orchestrator.__file__).parents[1]
    if not (checkout / ".github" / "workflows" / "plan.yml").is_file():
        return ""
    name = parse_github_remote(_run_git(checkout, "remote", "get-url", "origin"))
    commit = _run_git(checkout, "rev-parse", "HEAD")
    return f"{name}@{commit}" if name and commit else ""


def parse_github_remote(url: str) -> str:
    """Return the ``OWNER/NAME`` of a remote on GitHub; "" for a path or another host."""
    match = _GITHUB_REMOTE.match(url)
    return match[1] if match else ""


def find_default_branch(folder: Path) -> str:
    """Return the remote's default branch as git knows it, else the current branch, else the one git would create."""
    head = _run_git(folder, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").removeprefix("origin/")
    current = _run_git(folder, "symbolic-ref", "--quiet", "--short", "HEAD")
    return head or current or _run_git(folder, "config", "init.defaultBranch") or DEFAULT_BRANCH


def _static_sites(tree: Tree, used_folders: Iterable[str]) -> Iterator[Site]:
    """Yield folders with an index.html that no application builds, also what a build left in ``dist``."""
    used = [folder for folder in used_folders if folder != "."]
    built = [join(folder, name) for folder in tree.files for name in _BUILT_FOLDERS]
    folders = [folder for folder in tree.folders_with("index.html") if folder.rpartition("/")[2] in _STATIC_FOLDERS]
    for folder in dict.fromkeys((*folders, *(name for name in built if tree.has(join(name, "index.html"))))):
        if not any(is_below(folder, one) for one in used) and not tree.has(
            join(folder.rpartition("/")[0], "package.json")
        ):
            yield Site(folder, folder, (), f"static site in {folder}")


def _with_dockerfile(tree: Tree, api: Api) -> Api:
    """Use a Dockerfile that the application has: in its context, or beside its project."""
    places = ["Dockerfile", join(api.entry.rpartition("/")[0] or ".", "Dockerfile")]
    dockerfile = next((place for place in places if tree.has(join(api.folder, place))), "")
    if not dockerfile:
        return api
    description = f"{api.description}; uses {join(api.folder, dockerfile)}"
    return replace(
        api, dockerfile=dockerfile, description=description, port=_exposed_port(tree, api.folder, dockerfile)
    )


def _exposed_port(tree: Tree, folder: str, dockerfile: str) -> int:
    """Return the port of the last EXPOSE of a Dockerfile; 8080 if it has none."""
    ports = re.findall(r"^\s*EXPOSE\s+(\d{2,5})\b", tree.read(join(folder, dockerfile)), re.MULTILINE | re.IGNORECASE)
    return int(ports[-1]) if ports else Api("", "").port


def _names_release(tree: Tree, folder: str) -> bool:
    """Return whether the code of an application reads the variable with its build."""
    sources = (path for pattern in _SOURCE_PATTERNS for path in tree.files_matching(pattern, folder))
    return any(_RELEASE_VARIABLE in tree.read(path) for path in sources)


def _dockerfile_apis(tree: Tree, used_folders: Iterable[str]) -> Iterator[Api]:
    """Yield applications of any language that bring a Dockerfile."""
    used = set(used_folders)
    for folder in tree.folders_with("Dockerfile"):
        if not any(is_below(folder, one) for one in used):
            port = _exposed_port(tree, folder, "Dockerfile")
            description = f"image built from {join(folder, 'Dockerfile')}, listening on port {port}"
            yield Api(DOCKERFILE_ONLY, folder, dockerfile="Dockerfile", port=port, description=description)


def _unsupported(tree: Tree, apis: Iterable[Api]) -> Iterator[str]:
    api_folders = {api.folder for api in apis}
    for name, language in _UNSUPPORTED.items():
        for folder in tree.folders_with(name):
            if folder not in api_folders:
                yield (
                    f"{join(folder, name)}: no Dockerfile template for {language}; write a Dockerfile in {folder}, "
                    f"then run `orchestrator init` again, or pass --api {DOCKERFILE_ONLY} --api-folder {folder}"
                )


def _unrecognised(tree: Tree, used_folders: Iterable[str], notes: Iterable[str]) -> Iterator[str]:
    """Yield the project files that belong to no application, so that nothing is left out silently."""
    used, noted = set(used_folders), " ".join(notes)
    for pattern in (
        *("package.json", "*.csproj", "pyproject.toml", "requirements.txt", "Pipfile", "environment.yml", "go.mod"),
        *("deno.json", "deno.jsonc", "hugo.toml", "hugo.yaml", "_config.yml", "mkdocs.yml"),
    ):
        for path in tree.files_matching(pattern):
            folder = path.rpartition("/")[0] or "."
            is_used = any(is_below(folder, one) or is_below(one, folder) for one in used)
            if not is_used and path not in noted:
                yield f"{path}: no site or server was detected; specify one with --site, or with --api and --api-folder"


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        result = shell.run(
            ["git", *arguments], folder=folder if folder.is_dir() else None, timeout=_GIT_TIMEOUT_SECONDS
        )
    except Problems:
        return ""
    return result.output.strip() if result.exit_code == 0 else ""
