"""Derive default answers from a checkout: its files and its git remote."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import orchestrator
from orchestrator import shell
from orchestrator.doctor.local_checks import parse_repository_name
from orchestrator.problems import Problems
from orchestrator.scaffold.questions import NONE

_LANGUAGE_FILES = {
    "dotnet": ("*.csproj", "*.sln", "*.slnx"),
    "python": ("requirements.txt",),
    "node": ("package.json",),
}
_BUILD_FOLDERS = ("dist", "build")
_GIT_TIMEOUT_SECONDS = 10.0


def guess_answers(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return default answers from the folder, its git remote and the environment variables."""
    repository = parse_repository_name(_run_git(folder, "remote", "get-url", "origin"))
    name = re.sub(r"[^a-z0-9]+", "-", (repository.partition("/")[2] or folder.resolve().name).lower()).strip("-")
    api, api_folder = _detect_api(folder)
    site, build = _detect_site(folder, api_folder)
    return {
        "name": re.sub(r"^[^a-z]+", "", name)[:31],
        "repository": repository,
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        "api": api,
        "api-folder": api_folder,
        "site": site,
        "site-build": build,
        "tool": detect_tool(),
    }


def detect_tool() -> str:
    """Return the commit of the running orchestrator as ``OWNER/NAME@COMMIT``; "" if it is not a checkout."""
    checkout = Path(orchestrator.__file__).parents[1]
    if not (checkout / ".github" / "workflows" / "plan.yml").is_file():
        return ""
    name, commit = (
        parse_repository_name(_run_git(checkout, "remote", "get-url", "origin")),
        _run_git(checkout, "rev-parse", "HEAD"),
    )
    return f"{name}@{commit}" if name and commit else ""


def _detect_api(folder: Path) -> tuple[str, str]:
    """Return the language and the name of the first subfolder that looks like an application."""
    for subfolder in ("api", "backend", "server", "src"):
        for language, patterns in _LANGUAGE_FILES.items():
            if any(any((folder / subfolder).glob(pattern)) for pattern in patterns):
                return language, subfolder
    return NONE, ""


def _detect_site(folder: Path, api_folder: str) -> tuple[str, str]:
    """Return the output folder of a site and the command that builds it, or NONE for either."""
    for subfolder in ("web", "frontend", "site", "client"):
        if subfolder != api_folder and (folder / subfolder / "package.json").is_file():
            return f"{subfolder}/dist", "npm run build"
        for build_folder in _BUILD_FOLDERS:
            if (folder / subfolder / build_folder / "index.html").is_file():
                return f"{subfolder}/{build_folder}", NONE
    return NONE, NONE


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        result = shell.run(
            ["git", *arguments], folder=folder if folder.is_dir() else None, timeout=_GIT_TIMEOUT_SECONDS
        )
    except Problems:
        return ""
    return result.output.strip() if result.exit_code == 0 else ""
