"""Compare the versions in use with the published ones, and name what an upgrade asks for.  Reads GitHub, nothing else.

API: GitHub "List releases" and "List repository tags".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

import orchestrator
from orchestrator.doctor.workflow_checks import list_called_workflows
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
COMMAND = re.compile(r"[Rr]un\s+`(orchestrator [^`]+)`")
"""How release notes name what has to be run once after an upgrade."""
MAX_RELEASES = 100


class GitHubReader(Protocol):
    """The reads of one repository; ``orchestrator.github.client.GitHub`` raises GitHubProblems."""

    def paginate(self, path: str, *, max_items: int = 1000, **query: str | int) -> Iterator[Any]: ...


class NewerRelease(Struct, frozen=True):
    """A published version that is newer; ``commands`` are those that its notes ask to run."""

    version: str
    published_at: str
    url: str
    commands: tuple[str, ...] = ()


class WorkflowPin(Struct, frozen=True):
    """The reference with which workflows call the orchestrator, and its version, "" if it is not that of a release."""

    reference: str
    version: str


class UpgradeReport(Struct, frozen=True):
    """The versions in use and the newer ones, newest first."""

    repository: str
    installed: str
    pins: tuple[WorkflowPin, ...]
    newer: tuple[NewerRelease, ...]

    @property
    def is_current(self) -> bool:
        return not self.newer

    @property
    def commands(self) -> tuple[str, ...]:
        """What has to be run once after the upgrade, each once, in the order of the versions."""
        return tuple(dict.fromkeys(command for release in reversed(self.newer) for command in release.commands))


def check_upgrade(root: Path, repository: str, open_github: Callable[[str], GitHubReader]) -> UpgradeReport:
    """Compare the installed version and the workflows below ``root`` with the releases of ``repository``.

    Without a ``repository`` it is the one that the workflows call.  Newer is what is newer than the oldest version in
    use.  Raises Problems if no repository is known, or GitHub cannot be read.
    """
    calls = [call.rpartition("@") for call in list_called_workflows(root)]
    repository = repository or (calls[0][0] if calls else "")
    if not repository:
        raise Problems.from_message(
            "no workflow of this checkout calls the orchestrator, so the orchestrator's repository is unknown",
            hint="pass --repository OWNER/NAME",
        )
    github = open_github(repository)
    tags = {item["commit"]["sha"]: item["name"] for item in github.paginate("/tags") if VERSION.fullmatch(item["name"])}
    pins = tuple(
        WorkflowPin(reference, _find_version(reference, tags)) for name, _, reference in calls if name == repository
    )
    versions = [_parse(orchestrator.__version__), *(_parse(pin.version) for pin in pins if pin.version)]
    oldest = min(filter(None, versions))
    newer = [item for item in _list_releases(github) if (_parse(item.version) or oldest) > oldest]
    newer.sort(key=lambda item: _parse(item.version) or oldest, reverse=True)
    return UpgradeReport(repository, orchestrator.__version__, pins, tuple(newer))


def render_text(report: UpgradeReport) -> str:
    """Return the report as text."""
    lines = [
        f"Installed: {report.installed}",
        *(
            f"Workflows: {pin.version or 'a commit that is not a release'} ({report.repository}@{pin.reference[:12]})"
            for pin in report.pins
        ),
    ]
    if report.is_current:
        return "\n".join([*lines, f"This is the newest version of {report.repository}."]) + "\n"
    lines += ["", "Newer versions:"]
    lines += [f"  {item.version:10} {item.published_at[:10]}  {item.url}" for item in report.newer]
    if report.commands:
        lines += ["", "After the upgrade, run once:", *(f"  {command}" for command in report.commands)]
    return "\n".join(lines) + "\n"


def _list_releases(github: GitHubReader) -> Iterator[NewerRelease]:
    """Yield the published releases, without drafts and pre-releases."""
    for item in github.paginate("/releases", max_items=MAX_RELEASES):
        if item["draft"] or item["prerelease"] or not VERSION.fullmatch(item["tag_name"]):
            continue
        commands = tuple(dict.fromkeys(" ".join(found.split()) for found in COMMAND.findall(item.get("body") or "")))
        yield NewerRelease(item["tag_name"].removeprefix("v"), item["published_at"], item["html_url"], commands)


def _find_version(reference: str, tags: Mapping[str, str]) -> str:
    name = tags.get(reference, reference)
    return name.removeprefix("v") if VERSION.fullmatch(name) else ""


def _parse(version: str) -> tuple[int, ...] | None:
    match = VERSION.fullmatch(version)
    return tuple(map(int, match.groups())) if match else None
