"""Find Python web applications, and what installs their packages: pip, uv, poetry, pdm or hatch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.detection.tree import Tree, join, relative_to

DEFAULT_VERSION: Final = "3.13"
ENTRY_FILES: Final = ("app.py", "main.py", "server.py", "src/app.py", "src/main.py", "app/main.py", "app/__main__.py")
WEB_PACKAGES: Final = ("fastapi", "flask", "django", "starlette", "litestar", "aiohttp", "sanic", "falcon", "bottle")
_TOOLS: Final = {
    "uv.lock": "uv",
    "poetry.lock": "poetry",
    "pdm.lock": "pdm",
    "Pipfile.lock": "pipenv",
    "requirements.txt": "pip",
}
"""By the file that a tool pins its packages with."""
_ASGI: Final = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(?:FastAPI|Starlette|Litestar|Quart)\(", re.MULTILINE)
_WSGI: Final = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(?:Flask|Bottle|Falcon)\(", re.MULTILINE)
_FACTORY: Final = re.compile(r"^def (create_app|make_app)\(\s*\)?", re.MULTILINE)
_ADDRESS: Final = "0.0.0.0:$PORT"


def find_apis(tree: Tree) -> Iterator[Api]:
    """Yield a server for each folder with a list of packages that is an application."""
    folders = [
        folder for name in ("pyproject.toml", "requirements.txt", "Pipfile") for folder in tree.folders_with(name)
    ]
    for folder in dict.fromkeys(folders):
        project = _read_project(tree, folder)
        tool = next((tool for file, tool in _TOOLS.items() if tree.has(join(folder, file))), "")
        tool = tool or _build_tool(project)
        lists = (tree.read(join(folder, name)) for name in ("requirements.txt", "Pipfile"))
        packages = " ".join((str(project), *lists)).lower()
        entry = _find_entry(tree, folder)
        is_server = bool(entry) or any(_has(packages, name) for name in WEB_PACKAGES)
        if is_server and tool:
            yield _describe(tree, folder, project, tool, entry, packages)


def _describe(tree: Tree, folder: str, project: dict[str, Any], tool: str, entry: str, packages: str) -> Api:
    version = _version(tree, folder, project)
    source = "src" if entry.startswith("src/") and _is_package(tree, folder, entry) else ""
    name = entry.removeprefix("src/") if source else entry
    module = name.removesuffix(".py").removesuffix("/__main__").removesuffix("/__init__").replace("/", ".") or "app"
    names = ("pyproject.toml", "Pipfile", *(name for name, owner in _TOOLS.items() if owner == tool), "README.md")
    files = tuple(name for name in names if tree.has(join(folder, name)))
    target, command, gap = _start(tree, folder, entry, module, packages)
    if source:
        command = f"env PYTHONPATH=src {command or _default_command(target)}"
    started = command.removeprefix("env PYTHONPATH=src ")
    started = started or (f"uvicorn {target}" if ":" in target else f"python -m {target}")
    description = f"Python {version} server in {folder}, packages installed with {tool}, started with {started}{gap}"
    return Api("python", folder, tool, version, target, files, command=command, description=description)


def _default_command(target: str) -> str:
    """Return the command of the template, with the module instead of its variable."""
    return f"python -m uvicorn '{target}' --host 0.0.0.0 --port $PORT" if ":" in target else f"python -m {target}"


def _find_entry(tree: Tree, folder: str) -> str:
    """Return the file that starts the server: one of the usual names, else the one that makes the application."""
    usual = next((name for name in ENTRY_FILES if tree.has(join(folder, name))), "")
    if usual:
        return usual
    if django := next(iter(_django_modules(tree, folder)), ""):
        return django
    for path in tree.files_matching("*.py", folder):
        text = tree.read(path)
        if _ASGI.search(text) or _WSGI.search(text) or _FACTORY.search(text):
            return relative_to(path, folder)
    return ""


def _django_modules(tree: Tree, folder: str) -> list[str]:
    if not tree.has(join(folder, "manage.py")):
        return []
    return [relative_to(path, folder) for name in ("wsgi.py", "asgi.py") for path in tree.files_matching(name, folder)]


def _is_package(tree: Tree, folder: str, entry: str) -> bool:
    """Return whether a file below ``src`` is in a package, which is imported without ``src``."""
    return entry.count("/") > 1 or tree.has(join(folder, "src/__init__.py"))


def _start(tree: Tree, folder: str, entry: str, module: str, packages: str) -> tuple[str, str, str]:
    """Return the module with its application, the command if the template's does not start it, and what is missing."""
    text = tree.read(join(folder, entry))
    if re.search(r"__main__|uvicorn\.run|\.run\(", text) and not entry.endswith(("wsgi.py", "asgi.py")):
        return module, "", ""
    asgi, wsgi, factory = _ASGI.search(text), _WSGI.search(text), _FACTORY.search(text)
    if asgi or entry.endswith("asgi.py"):
        target = f"{module}:{asgi[1] if asgi else 'application'}"
        is_served = re.search(r"\b(?:uvicorn|fastapi\[standard\])", packages)
        return target, "", "" if is_served else "; add a server to its packages, such as uvicorn"
    if wsgi or factory or entry.endswith("wsgi.py"):
        target = f"{module}:{wsgi[1] if wsgi else f'{factory[1]}()' if factory else 'application'}"
        gap = "" if _has(packages, "gunicorn") else "; add a server to its packages, such as gunicorn"
        return target, f"gunicorn --bind {_ADDRESS} '{target}'", gap
    gap = "" if entry else "; no start file was found: set APP in the Dockerfile to the module of the server"
    return module, "", gap


def _has(packages: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", packages) is not None


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
