"""Render a production Dockerfile and its .dockerignore for a detected application.  Pure but for the templates.

The templates are in ``orchestrator/templates``; ``{{NAME}}`` stands for what depends on the application.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from importlib.resources import files as package_files
from typing import Final

from orchestrator.scaffold.detection import dotnet, go, node, python
from orchestrator.scaffold.detection.applications import Api

LANGUAGES: Final = ("dotnet", "python", "node", "go")
FILE_NAMES: Final = {"Dockerfile": "Dockerfile", "dockerignore": ".dockerignore"}
"""Names of the written files, by the suffix of the template's file."""
_PLACEHOLDER: Final = re.compile(r"\{\{([A-Z_]+)\}\}")

_NODE_INSTALLS: Final[Mapping[str, tuple[str, str, str]]] = {
    "npm": ("", "npm ci", "npm prune --omit=dev"),
    "pnpm": ("pnpm@10", "pnpm install --frozen-lockfile", "CI=true pnpm prune --prod"),
    "yarn": (
        "yarn@1",
        "yarn install --frozen-lockfile",
        "yarn install --frozen-lockfile --production --ignore-scripts --prefer-offline",
    ),
    "@yarnpkg/cli-dist": (
        "@yarnpkg/cli-dist@4",
        "YARN_NODE_LINKER=node-modules yarn install --immutable",
        "YARN_NODE_LINKER=node-modules yarn workspaces focus --all --production",
    ),
    "bun": (
        "bun@1",
        "bun install --frozen-lockfile",
        "rm -rf node_modules && bun install --frozen-lockfile --production",
    ),
}
"""The package of a manager, what installs all packages by the lock file, and what leaves only those of the server."""
_PYTHON_INSTALLS: Final[Mapping[str, str]] = {
    "pip": "/venv/bin/pip install --no-cache-dir --requirement requirements.txt",
    "uv": (
        "pip install --no-cache-dir uv "
        "&& UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never uv sync --frozen --no-dev --no-install-project"
    ),
    "poetry": (
        "pip install --no-cache-dir poetry && VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH "
        "poetry install --only main --no-root --no-interaction"
    ),
    "pipenv": (
        "pip install --no-cache-dir pipenv && pipenv requirements > /tmp/requirements.txt "
        "&& /venv/bin/pip install --no-cache-dir --requirement /tmp/requirements.txt"
    ),
    "pdm": (
        "pip install --no-cache-dir pdm && pdm export --prod --output /tmp/requirements.txt "
        "&& /venv/bin/pip install --no-cache-dir --requirement /tmp/requirements.txt"
    ),
    "pyproject": (
        "python -c \"import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; "
        "print(*project['dependencies'], sep='\\n')\" "
        "> /tmp/requirements.txt && /venv/bin/pip install --no-cache-dir --requirement /tmp/requirements.txt"
    ),
}


def render_files(api: Api) -> dict[str, str]:
    """Return the Dockerfile and the .dockerignore by their name in the application's folder.

    A file that the project does not have yet, such as a lock file, is copied as the language's convention names it.
    """
    values = _VALUES[api.language](api)
    return {
        name: _PLACEHOLDER.sub(lambda match: values[match[1]], _read_template(f"{api.language}.{suffix}"))
        for suffix, name in FILE_NAMES.items()
    }


def _read_template(name: str) -> str:
    return (package_files("orchestrator.templates") / name).read_text(encoding="utf-8")


def _copy(files: list[str]) -> str:
    """Return COPY instructions that keep the folders of the files."""
    by_folder: dict[str, list[str]] = {}
    for file in files:
        by_folder.setdefault(posixpath.dirname(file), []).append(file)
    return "\n".join(
        f"COPY {json.dumps([*names, f'./{folder}/' if folder else './'])}" for folder, names in by_folder.items()
    )


def _dotnet(api: Api) -> dict[str, str]:
    project = api.entry or "Api.csproj"
    name = posixpath.basename(project).removesuffix(".csproj")
    return {
        "PROJECT": project,
        "ASSEMBLY": name,
        "VERSION": api.version or dotnet.DEFAULT_VERSION,
        "COPY": _copy(list(api.files) or [project]),
    }


def _node(api: Api) -> dict[str, str]:
    package_name = api.tool_package.rpartition("@")[0]
    default, install, prune = _NODE_INSTALLS[package_name if package_name in _NODE_INSTALLS else api.tool or "npm"]
    manager = (api.tool_package or default) if default else ""
    has_lock = any(name.endswith(("-lock.json", "shrinkwrap.json")) for name in api.files)
    if api.tool == "npm" and api.files and not has_lock:
        install = "npm install"
    folder = posixpath.dirname(api.entry)
    package = next((place for place in _parents(folder) if f"{place}/package.json".lstrip("/") in api.files), "")
    return {
        "VERSION": api.version or node.DEFAULT_VERSION,
        "ENTRY": api.entry or "server.js",
        "COPY": _copy(list(api.files) or ["package.json", "package-lock.json"]),
        "INSTALL": f"npm install --global {manager} && {install}" if manager else install,
        "COMMAND": api.command.replace(api.entry, '\\"$ENTRY\\"') if api.command else 'node \\"$ENTRY\\"',
        "BUILD": f"npm run build --if-present{f' --prefix {package}' if package else ''}",
        "PRUNE": prune,
    }


def _parents(folder: str) -> list[str]:
    """Return a folder and those above it, the nearest first, without the root."""
    return [folder, *_parents(posixpath.dirname(folder))] if folder else []


def _python(api: Api) -> dict[str, str]:
    tool = "pyproject" if api.tool == "hatch" else api.tool or "pip"
    server = 'python -m uvicorn \\"$APP\\" --host 0.0.0.0 --port \\"$PORT\\"'
    return {
        "VERSION": api.version or python.DEFAULT_VERSION,
        "APP": api.entry or "app",
        "COPY": _copy([name for name in api.files if name != "README.md"] or ["requirements.txt"]),
        "INSTALL": _PYTHON_INSTALLS[tool],
        "COMMAND": api.command or (server if ":" in api.entry else 'python -m \\"$APP\\"'),
    }


def _go(api: Api) -> dict[str, str]:
    return {
        "VERSION": api.version or go.DEFAULT_VERSION,
        "PACKAGE": api.entry or ".",
        "COPY": _copy(list(api.files) or ["go.mod", "go.sum"]),
    }


_VALUES: Final[Mapping[str, Callable[[Api], dict[str, str]]]] = {
    "dotnet": _dotnet,
    "node": _node,
    "python": _python,
    "go": _go,
}
