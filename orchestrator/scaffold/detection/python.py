"""Find Python web applications, and what installs their packages: pip, uv, poetry, pdm or hatch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.detection.tree import Tree, join

DEFAULT_VERSION: Final = "3.13"
ENTRY_FILES: Final = ("app.py", "main.py", "server.py", "src/app.py", "src/main.py", "app/main.py", "app/__main__.py")
WEB_PACKAGES: Final = ("fastapi", "flask", "django", "starlette", "litestar", "aiohttp", "sanic", "falcon", "bottle")
_TOOLS: Final = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "requirements.txt": "pip"}
"""By the file that a tool pins its packages with."""


def find_apis(tree: Tree) -> Iterator[Api]:
    """Yield a server for each folder with a list of packages that is an application."""
    folders = [*tree.folders_with("pyproject.toml"), *tree.folders_with("requirements.txt")]
    for folder in dict.fromkeys(folders):
        project = _read_project(tree, folder)
        tool = next((tool for file, tool in _TOOLS.items() if tree.has(join(folder, file))), "")
        tool = tool or _build_tool(project)
        entry = next((name for name in ENTRY_FILES if tree.has(join(folder, name))), "")
        packages = " ".join((str(project), tree.read(join(folder, "requirements.txt")))).lower()
        is_server = bool(entry) or any(re.search(rf"\b{name}\b", packages) for name in WEB_PACKAGES)
        if is_server and tool:
            yield _describe(tree, folder, project, tool, entry, packages)


def _describe(tree: Tree, folder: str, project: dict[str, Any], tool: str, entry: str, packages: str) -> Api:
    version = _version(tree, folder, project)
    module = entry.removesuffix(".py").removesuffix("/__main__").replace("/", ".") or "app"
    names = ("pyproject.toml", *(name for name, owner in _TOOLS.items() if owner == tool), "README.md")
    files = tuple(name for name in names if tree.has(join(folder, name)))
    start = f"python -m {module}"
    if application := _asgi_application(tree.read(join(folder, entry)), packages):
        module, start = f"{module}:{application}", f"uvicorn {module}:{application}"
    description = f"Python {version} server in {folder}, packages by {tool}, started with {start}"
    return Api("python", folder, tool, version, module, files, description=description)


def _asgi_application(text: str, packages: str) -> str:
    """Return the name of an ASGI application that does not start a server itself; empty if there is none."""
    if not re.search(r"\b(?:uvicorn|fastapi\[standard\])", packages) or re.search(r"__main__|uvicorn\.run", text):
        return ""
    match = re.search(r"^(\w+)\s*(?::[^=]+)?=\s*(?:FastAPI|Starlette|Litestar)\(", text, re.MULTILINE)
    return match[1] if match else ""


def _read_project(tree: Tree, folder: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.read(join(folder, "pyproject.toml")))
    except tomllib.TOMLDecodeError:
        return {}


def _build_tool(project: dict[str, Any]) -> str:
    """Return the tool of a project without a lock file; its dependencies are in pyproject.toml."""
    tools = project.get("tool", {})
    named = next((name for name in ("uv", "poetry", "pdm", "hatch") if name in tools), "")
    return named or ("pyproject" if project.get("project", {}).get("dependencies") else "")


def _version(tree: Tree, folder: str, project: dict[str, Any]) -> str:
    """Return the version that .python-version names, else the newest that the project allows."""
    if match := re.search(r"3\.\d+", tree.read(join(folder, ".python-version"))):
        return match[0]
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    allowed = str(project.get("project", {}).get("requires-python") or poetry.get("python", ""))
    if upper := re.search(r"<\s*3\.(\d+)", allowed):
        return f"3.{int(upper[1]) - 1}"
    lower = re.search(r"3\.(\d+)", allowed)
    return f"3.{max(int(lower[1]) if lower else 0, int(DEFAULT_VERSION.partition('.')[2]))}"
