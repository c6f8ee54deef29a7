"""Find Node applications: sites by their generator and the folder that it writes, and servers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from orchestrator.artefacts.sites import node_packages
from orchestrator.scaffold.detection.applications import Api, Site
from orchestrator.scaffold.detection.tree import Tree, join, relative_to

SERVER_PACKAGES: Final = frozenset(
    {"express", "fastify", "koa", "hono", "@hono/node-server", "@nestjs/core", "@hapi/hapi", "restify", "polka", "h3"}
)
ENTRY_FILES: Final = ("server.js", "index.js", "app.js", "main.js", "src/server.js", "src/index.js", "src/main.js")
DEFAULT_VERSION: Final = "24"
_START = re.compile(r"\bnode\s+(?:--?[\w=./-]+\s+)*([\w./-]+)")
_TYPESCRIPT_START = re.compile(r"\b(tsx|ts-node|bun)\s+(?:run\s+)?(?:--?[\w=./-]+\s+)*([\w./-]+\.[cm]?ts)\b")
_OUT_DIR = re.compile(r"\boutDir\s*:\s*['\"]([\w./-]+)['\"]")
_DIST_DIR = re.compile(r"\bdistDir\s*:\s*['\"]([\w./-]+)['\"]")
_PAGES = re.compile(r"\bpages\s*:\s*['\"]([\w./-]+)['\"]")
_EXPORT = re.compile(r"\boutput\s*:\s*['\"]export['\"]")


def find_applications(tree: Tree) -> Iterator[Api | Site | str]:
    """Yield a site or a server for each package.json that is one, or the note why it cannot be told."""
    for folder in tree.folders_with("package.json"):
        package = node_packages.read_package(tree.root / folder)
        site = _find_site(tree, folder, package)
        if site is not None:
            yield site
        # A package may be both: a Vite site that an Express server of the same package serves.
        is_server = _is_server(package, _packages(package))
        if is_server and (site is None or (isinstance(site, Site) and _starts_file(tree, folder, package))):
            yield _describe_server(tree, folder, package)


def _packages(package: Mapping[str, Any]) -> set[str]:
    return {
        name
        for field in ("dependencies", "devDependencies")
        if isinstance(package.get(field), dict)
        for name in package[field]
    }


def _scripts(package: Mapping[str, Any]) -> Mapping[str, str]:
    scripts = package.get("scripts")
    return {name: str(text) for name, text in scripts.items()} if isinstance(scripts, dict) else {}


def _is_server(package: Mapping[str, Any], packages: set[str]) -> bool:
    return bool(SERVER_PACKAGES & packages) or bool(_find_start(package)[1])


def _find_start(package: Mapping[str, Any]) -> tuple[str, str]:
    """Return the program and the file of the script that starts a server: Nest's is `start:prod`, others' `start`."""
    for name in ("start:prod", "start"):
        script = _scripts(package).get(name, "")
        if match := _TYPESCRIPT_START.search(script):
            return match[1], match[2]
        if match := _START.search(script):
            return "node", match[1] if re.search(r"\.[cm]?[jt]s$", match[1]) else f"{match[1]}.js"
    return "node", "dist/main.js" if _scripts(package).get("start", "").startswith("nest start") else ""


def _starts_file(tree: Tree, folder: str, package: Mapping[str, Any]) -> bool:
    """Return whether a script of the package starts a file that is there: what a generator builds is no server."""
    return tree.has(join(folder, _find_start(package)[1] or "-"))


def _find_site(tree: Tree, folder: str, package: Mapping[str, Any]) -> Site | str | None:
    """Return the site that the package's generator writes; text if it has to be set up for a static site first."""
    packages = _packages(package)
    generated = next((rule(tree, folder) for name, rule in _GENERATORS.items() if name in packages), None)
    if generated is None or isinstance(generated, str):
        return generated and f"{join(folder, 'package.json')}: {generated}"
    generator, output, script, is_single_page = generated
    manager = _manager(tree, folder)
    build = (manager, "run", script) if script in _scripts(package) else ("npx", *_DIRECT_COMMANDS[generator])
    description = f"{generator} site in {folder}, built with {' '.join(build)} into {join(folder, output)}"
    return Site(folder, join(folder, output), build, description, is_single_page)


def _manager(tree: Tree, folder: str) -> str:
    project = node_packages.find_project(tree.root / folder, tree.root)
    return project.manager.name if project is not None else "npm"


_Generated = tuple[str, str, str, bool]
"""Name of a generator, the folder that it writes, the script that runs it, whether it writes a single page."""
_DIRECT_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Next.js": ("next", "build"),
    "SvelteKit": ("vite", "build"),
    "Astro": ("astro", "build"),
    "Angular": ("ng", "build"),
    "Nuxt": ("nuxi", "generate"),
    "Create React App": ("react-scripts", "build"),
    "Vite": ("vite", "build"),
    "React Router": ("react-router", "build"),
    "Gatsby": ("gatsby", "build"),
    "Docusaurus": ("docusaurus", "build"),
    "Eleventy": ("eleventy",),
    "VitePress": ("vitepress", "build"),
    "Vue CLI": ("vue-cli-service", "build"),
    "Parcel": ("parcel", "build", "index.html"),
}


def _config(tree: Tree, folder: str, stem: str) -> str:
    return "".join(tree.read(join(folder, f"{stem}.{suffix}")) for suffix in ("ts", "mts", "js", "mjs", "cjs"))


def _next(tree: Tree, folder: str) -> _Generated | str:
    config = _config(tree, folder, "next.config")
    if not _EXPORT.search(config):
        return (
            "Next.js needs a server unless `output: 'export'` is set; set it, or add a Dockerfile to deploy the server"
        )
    match = _DIST_DIR.search(config)
    return "Next.js", match[1] if match else "out", "build", False


def _svelte_kit(tree: Tree, folder: str) -> _Generated | str:
    packages = _packages(node_packages.read_package(tree.root / folder))
    if "@sveltejs/adapter-static" not in packages:
        return "SvelteKit needs a server; add @sveltejs/adapter-static, or add a Dockerfile to deploy the server"
    config = _config(tree, folder, "svelte.config")
    match = _PAGES.search(config)
    return "SvelteKit", match[1].removeprefix("./").rstrip("/") if match else "build", "build", "fallback" in config


def _astro(tree: Tree, folder: str) -> _Generated | str:
    config = _config(tree, folder, "astro.config")
    if re.search(r"\boutput\s*:\s*['\"]server['\"]", config):
        return "Astro needs a server for `output: 'server'`; remove it, or add a Dockerfile to deploy the server"
    match = _OUT_DIR.search(config)
    return "Astro", match[1].removeprefix("./").rstrip("/") if match else "dist", "build", False


def _angular(tree: Tree, folder: str) -> _Generated:
    """Read angular.json: the application builder writes ``OUTPUT/browser``, the older ones write ``OUTPUT``."""
    try:
        projects = json.loads(tree.read(join(folder, "angular.json"))).get("projects", {})
        name, project = next(iter(projects.items()))
        target = project["architect"]["build"]
    except (ValueError, StopIteration, KeyError, TypeError, AttributeError):
        return "Angular", "dist", "build", True
    output = target.get("options", {}).get("outputPath", f"dist/{name}")
    if isinstance(output, dict):
        return (
            "Angular",
            join(str(output.get("base", f"dist/{name}")), str(output.get("browser", "browser"))),
            "build",
            True,
        )
    is_application = str(target.get("builder", "")).endswith(":application")
    return "Angular", f"{output}/browser" if is_application else str(output), "build", True


def _nuxt(tree: Tree, folder: str) -> _Generated:
    return "Nuxt", ".output/public", "generate", False


def _create_react_app(tree: Tree, folder: str) -> _Generated:
    return "Create React App", "build", "build", True


def _react_router(tree: Tree, folder: str) -> _Generated | str:
    if not re.search(r"\bssr\s*:\s*false", _config(tree, folder, "react-router.config")):
        return (
            "React Router needs a server unless `ssr: false` is set; set it, or add a Dockerfile to deploy the server"
        )
    return "React Router", "build/client", "build", True


def _vitepress(tree: Tree, folder: str) -> _Generated:
    """Return the site of VitePress, whose folder is in its script: ``vitepress build docs``."""
    scripts = _scripts(node_packages.read_package(tree.root / folder))
    name, text = next((item for item in scripts.items() if "vitepress build" in item[1]), ("build", "vitepress build"))
    match = re.search(r"vitepress build\s+([\w./-]+)", text)
    return "VitePress", join(match[1] if match else ".", ".vitepress/dist"), name, False


def _fixed(name: str, output: str, *, is_single_page: bool = False) -> Callable[[Tree, str], _Generated]:
    """Return the rule of a generator that writes one folder."""
    return lambda tree, folder: (name, output, "build", is_single_page)


def _needs_server(name: str) -> Callable[[Tree, str], str]:
    return lambda tree, folder: f"{name} needs a server; add a Dockerfile to deploy it"


def _vite(tree: Tree, folder: str) -> _Generated:
    match = _OUT_DIR.search(_config(tree, folder, "vite.config"))
    return "Vite", match[1].removeprefix("./").rstrip("/") if match else "dist", "build", True


_GENERATORS: Final[Mapping[str, Callable[[Tree, str], _Generated | str]]] = {
    "next": _next,
    "@sveltejs/kit": _svelte_kit,
    "astro": _astro,
    "@react-router/dev": _react_router,
    "@remix-run/dev": _needs_server("Remix"),
    "@tanstack/react-start": _needs_server("TanStack Start"),
    "@solidjs/start": _needs_server("SolidStart"),
    "gatsby": _fixed("Gatsby", "public"),
    "@docusaurus/core": _fixed("Docusaurus", "build"),
    "@11ty/eleventy": _fixed("Eleventy", "_site"),
    "vitepress": _vitepress,
    "@vue/cli-service": _fixed("Vue CLI", "dist", is_single_page=True),
    "parcel": _fixed("Parcel", "dist", is_single_page=True),
    "@angular/core": _angular,
    "nuxt": _nuxt,
    "react-scripts": _create_react_app,
    "vite": _vite,
}
"""By the package that tells a generator, the ones that are built on another first."""


def _describe_server(tree: Tree, folder: str, package: Mapping[str, Any]) -> Api | str:
    program, started = _find_start(package)
    if program == "bun":
        return (
            f"{join(folder, 'package.json')}: the start script runs {started} with Bun, which has no Dockerfile "
            f"template; write a Dockerfile in {folder}, or start the server with `node`"
        )
    entry = _find_entry(tree, folder, package, started)
    project = node_packages.find_project(tree.root / folder, tree.root)
    root = folder
    if project is not None and project.root != (tree.root / folder).resolve():
        root = project.root.relative_to(tree.root.resolve()).as_posix()
    manager = project.manager.name if project is not None else "npm"
    lock_files = (project.manager.lock_file,) if project is not None else ()
    version = _node_version(tree, folder) or DEFAULT_VERSION
    files = (*_package_files(tree, root), *lock_files)
    in_root = entry if root == folder else join(relative_to(folder, root), entry)
    command = f"node --import tsx {in_root}" if program in ("tsx", "ts-node") else ""
    description = f"Node {version} server in {folder}, packages installed with {manager}, started with "
    description += command or f"node {entry}"
    description += f", in the workspace {root}" if root != folder else ""
    description += _describe_gaps(tree, folder, package, entry, command)
    return Api(
        "node",
        root,
        manager,
        version,
        in_root,
        files,
        command=command,
        tool_package=project.package if project is not None else "",
        description=description,
    )


def _find_entry(tree: Tree, folder: str, package: Mapping[str, Any], started: str) -> str:
    main = str(package.get("main", ""))
    candidates = [started, *ENTRY_FILES, main]
    existing = next((name for name in candidates if name and tree.has(join(folder, name))), "")
    return existing or started or main or "server.js"


def _describe_gaps(tree: Tree, folder: str, package: Mapping[str, Any], entry: str, command: str) -> str:
    """Return what has to be changed before the image starts; "" if nothing is missing."""
    is_built = "build" in _scripts(package)
    if command and "tsx" not in (package.get("dependencies") or {}):
        return "; move tsx to `dependencies`: the image does not contain devDependencies"
    if not tree.has(join(folder, entry)) and not is_built:
        return f"; {entry} does not exist: set ENTRY in its Dockerfile to the file that starts the server"
    return ""


def _package_files(tree: Tree, root: str) -> tuple[str, ...]:
    """Return every package.json and setting that an installation in ``root`` reads."""
    settings = ("pnpm-workspace.yaml", ".npmrc", ".yarnrc.yml", "bunfig.toml")
    yarn_releases = tree.files_in(join(root, ".yarn/releases"))
    is_workspace = "workspaces" in node_packages.read_package(tree.root / root) or tree.has(join(root, settings[0]))
    packages = tree.files_matching("package.json", root) if is_workspace else [join(root, "package.json")]
    relative = [relative_to(path, root) for path in packages]
    releases = (relative_to(path, root) for path in yarn_releases)
    return (*relative, *(name for name in settings if tree.has(join(root, name))), *releases)


def _node_version(tree: Tree, folder: str) -> str:
    """Return the major version that .nvmrc or ``engines`` names, there or in the root."""
    for place in dict.fromkeys((folder, ".")):
        engines = node_packages.read_package(Path(tree.root, place)).get("engines")
        texts = [tree.read(join(place, ".nvmrc")), tree.read(join(place, ".node-version"))]
        texts += [str(engines.get("node", ""))] if isinstance(engines, dict) else []
        for text in texts:
            if match := re.search(r"\d+", text):
                return match[0]
    return ""
