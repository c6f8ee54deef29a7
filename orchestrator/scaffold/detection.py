"""What a checkout already says about the answers.  Reads files and git."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import orchestrator
from orchestrator import shell
from orchestrator.doctor.local_checks import name_of
from orchestrator.problems import Problems
from orchestrator.scaffold.questions import NONE

_SIGNS = {"dotnet": ("*.csproj", "*.sln", "*.slnx"), "python": ("requirements.txt",), "node": ("package.json",)}
_SITES = ("dist", "build")
_LEAST_SECONDS = 10.0


def guesses(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A proposal for every answer that the folder, its git remote and the surroundings give one for."""
    repository = name_of(_git(folder, "remote", "get-url", "origin"))
    name = re.sub(r"[^a-z0-9]+", "-", (repository.partition("/")[2] or folder.resolve().name).lower()).strip("-")
    api, api_folder = _api(folder)
    site, build = _site(folder, api_folder)
    return {
        "name": re.sub(r"^[^a-z]+", "", name)[:31],
        "repository": repository,
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        "api": api,
        "api-folder": api_folder,
        "site": site,
        "site-build": build,
        "tool": tool(),
    }


def tool() -> str:
    """The commit that runs here, as ``OWNER/NAME@COMMIT``; empty where it is no checkout of a repository."""
    here = Path(orchestrator.__file__).parents[1]
    if not (here / ".github" / "workflows" / "plan.yml").is_file():
        return ""
    name, commit = name_of(_git(here, "remote", "get-url", "origin")), _git(here, "rev-parse", "HEAD")
    return f"{name}@{commit}" if name and commit else ""


def _api(folder: Path) -> tuple[str, str]:
    """The first folder below that looks like an application, and what it is written in."""
    for place in ("api", "backend", "server", "src"):
        for kind, patterns in _SIGNS.items():
            if any(any((folder / place).glob(pattern)) for pattern in patterns):
                return kind, place
    return NONE, ""


def _site(folder: Path, api_folder: str) -> tuple[str, str]:
    """A folder of a page: what its build makes, or what is there built."""
    for place in ("web", "frontend", "site", "client"):
        if place != api_folder and (folder / place / "package.json").is_file():
            return f"{place}/dist", "npm run build"
        for built in _SITES:
            if (folder / place / built / "index.html").is_file():
                return f"{place}/{built}", NONE
    return NONE, NONE


def _git(folder: Path, *words: str) -> str:
    try:
        ran = shell.run(["git", *words], folder=folder if folder.is_dir() else None, timeout=_LEAST_SECONDS)
    except Problems:
        return ""
    return ran.output.strip() if ran.status == 0 else ""
