"""Find .NET web projects, with the solution and the projects that they are built with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.scaffold.detection.applications import Api
from orchestrator.scaffold.detection.tree import Tree, is_below, join

RESTORE_FILES: Final = (
    "*.sln",
    "*.slnx",
    "*.slnf",
    "global.json",
    "nuget.config",
    "NuGet.config",
    "NuGet.Config",
    "Directory.Build.props",
    "Directory.Build.targets",
    "Directory.Packages.props",
    "packages.lock.json",
)
"""Files besides the projects that decide what ``dotnet restore`` does."""
DEFAULT_VERSION: Final = "10.0"
_REFERENCE = re.compile(r"<ProjectReference\s[^>]*Include\s*=\s*\"([^\"]+)\"")
_FRAMEWORK = re.compile(r"<TargetFrameworks?>[^<]*?net(\d+\.\d+)")


def find_apis(tree: Tree) -> Iterator[Api]:
    """Yield the web projects: those with the web SDK, built in the folder that contains all that they reference."""
    for project in tree.files_matching("*.csproj"):
        if "Microsoft.NET.Sdk.Web" in tree.read(project):
            yield _describe(tree, project)


def _describe(tree: Tree, project: str) -> Api:
    projects = list(dict.fromkeys(_referenced(tree, project)))
    context = _common_folder([*map(_folder_of, projects), *_solution_folders(tree, project)])
    settings = [
        path
        for pattern in RESTORE_FILES
        for path in tree.files_matching(pattern, context)
        if any(is_below(_folder_of(one), _folder_of(path)) for one in projects)
    ]
    files = [_relative(path, context) for path in (*dict.fromkeys(settings), *projects)]
    version = next(filter(None, (_version(tree, path) for path in (project, *_build_properties(tree, project)))), "")
    is_central = any(path.endswith("Directory.Packages.props") for path in settings)
    details = [f"{len(projects)} projects"] if len(projects) > 1 else []
    details += ["central package management"] if is_central else []
    description = f".NET {version or DEFAULT_VERSION} web project {project}"
    description += f" ({', '.join(details)})" if details else ""
    return Api("dotnet", context, "dotnet", version, _relative(project, context), tuple(files), description=description)


def _referenced(tree: Tree, project: str) -> Iterator[str]:
    """Yield a project and all that it references, each once."""
    pending, visited = [project], set[str]()
    while pending:
        path = pending.pop(0)
        if path in visited or not tree.has(path):
            continue
        visited.add(path)
        yield path
        for reference in _REFERENCE.findall(tree.read(path)):
            target = _normalise(join(_folder_of(path), reference.replace("\\", "/")))
            pending += [target] if target else []


def _normalise(path: str) -> str:
    """Resolve ``..``; empty if the path leaves the repository."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return ""
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _solution_folders(tree: Tree, project: str) -> list[str]:
    """Return the nearest folder above the project that has a solution or settings for all of its projects."""
    folders = [
        folder
        for pattern in ("*.sln", "*.slnx", "Directory.Packages.props", "Directory.Build.props", "global.json")
        for folder in tree.folders_with(pattern)
        if is_below(project, folder)
    ]
    return [min(folders, key=lambda folder: 0 if folder == "." else folder.count("/") + 1)] if folders else []


def _build_properties(tree: Tree, project: str) -> list[str]:
    found = [path for path in tree.files_matching("Directory.Build.props") if is_below(project, _folder_of(path))]
    return sorted(found, key=len, reverse=True)


def _version(tree: Tree, path: str) -> str:
    match = _FRAMEWORK.search(tree.read(path))
    return match[1] if match else ""


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _common_folder(folders: list[str]) -> str:
    if "." in folders:
        return "."
    common = folders[0].split("/")
    for folder in folders[1:]:
        parts = folder.split("/")
        common = [part for index, part in enumerate(common) if common[: index + 1] == parts[: index + 1]]
    return "/".join(common) or "."


def _relative(path: str, folder: str) -> str:
    return path if folder == "." else path.removeprefix(f"{folder}/")
