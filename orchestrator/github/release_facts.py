"""Find what a pull request would release besides the plan's changes: commits, built sites, and what is held back.

API: GitHub REST API (compare two commits).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.artefacts import repository_paths
from orchestrator.github.client import GitHub
from orchestrator.quantities import format_count
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.live_parts import find_artefact_commit
from orchestrator.render.release_summary import ReleaseFacts
from orchestrator.vocabulary import Component

MAX_COMPARED_FILES = 300
"""Files that GitHub lists of a comparison; more may differ."""


def find(github: GitHub | None, candidate: ReleaseCandidate, commit: str) -> ReleaseFacts:
    """Return the facts about the checkout at ``commit``; without GitHub or an earlier release, fewer of them.

    Raises GitHubProblems.
    """
    base = find_artefact_commit(candidate.ledger)
    promotion = candidate.promotion
    head = commit if promotion is None else promotion.release.commit if promotion.release else ""
    comparison = github.find(f"/compare/{base}...{head}") if github is not None and base and head else None
    held = dict.fromkeys(pin.part.partition(":")[2] for pin in candidate.pin_resolution.held)
    promoted = promotion.handles if promotion else frozenset()
    own = [component for component in candidate.desired.components if component.handle not in promoted]
    sites = describe_builds(own, _list_files(comparison))
    return ReleaseFacts(_count_commits(comparison), sites, tuple(held))


def describe_builds(components: Iterable[Component], changed_files: frozenset[str] | None) -> Mapping[str, str]:
    """Return what a deploy makes of each site that it builds, by component handle.

    ``changed_files`` since the current release are relative to the repository; None if unknown.
    """
    states: dict[str, str] = {}
    for component in components:
        spa = component.spec.get("spa") or {}
        if not spa.get("build"):
            continue
        folder = repository_paths.resolve(component, spa["folder"], "folder")
        root = repository_paths.find_repository(folder) or folder
        count = None if changed_files is None else _count_below(folder, root, changed_files)
        if count is None:
            states[component.handle] = "will be rebuilt"
        elif count:
            states[component.handle] = f"will be rebuilt ({format_count(count, 'source file')} changed)"
    return states


def _count_below(folder: Path, root: Path, files: frozenset[str]) -> int:
    return sum((root / name).is_relative_to(folder) for name in files)


def _list_files(comparison: Mapping[str, Any] | None) -> frozenset[str] | None:
    files = (comparison or {}).get("files")
    if files is None or len(files) >= MAX_COMPARED_FILES:
        return None
    return frozenset(str(file["filename"]) for file in files)


def _count_commits(comparison: Mapping[str, Any] | None) -> int | None:
    count = (comparison or {}).get("total_commits")
    return int(count) if count is not None else None
