"""List the migration scripts that a checkout adds or changes, with git.  Reads files; no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.artefacts import build_process
from orchestrator.artefacts.migrations.destructive_statements import find_statements
from orchestrator.problems import Problems
from orchestrator.vocabulary import Component

MAX_NOTES = 10
"""Statements that a plan names for each service."""
MAX_SCRIPT_BYTES = 2_000_000
PARENT_COMMIT = "HEAD^1"
"""What a pull request's merge commit is compared with: the tip of the branch that it goes to."""
_SCRIPT_PATH = re.compile(
    r"migrations?\b[^\n]*\.(?:sql|cs|py)\Z|(?:\A|/)[VUR](?:\d[\d._]*)?__[^/]+\.sql\Z|alembic/versions/[^/]+\.py\Z",
    re.IGNORECASE,
)


def note_destructive_statements(components: Iterable[Component], released_commit: str) -> Iterator[str]:
    """Yield a sentence for each destructive statement of a service's new migrations.

    New is what differs from ``released_commit``, or from the parent of the checked-out commit if git does not have it.
    """
    for component in components:
        migration = component.spec.get("migrate") if component.kind == "ContainerService" else None
        if not migration:
            continue
        folder = (Path(component.where.file).parent / migration["folder"]).resolve()
        notes = list(_note_scripts(component, folder, released_commit, is_declared=bool(migration["destructive"])))
        yield from notes[:MAX_NOTES]
        if len(notes) > MAX_NOTES:
            yield f"{component.handle}: {len(notes) - MAX_NOTES} more destructive statements in new migrations."


def _note_scripts(component: Component, folder: Path, released_commit: str, *, is_declared: bool) -> Iterator[str]:
    advice = (
        "A snapshot is created first."
        if is_declared
        else "Set `migrate.destructive: true` to create a snapshot first, or split the change into two releases."
    )
    for path in list_changed_scripts(folder, released_commit):
        file = folder / path
        if not file.is_file() or file.stat().st_size > MAX_SCRIPT_BYTES:
            continue
        for found in find_statements(path, file.read_text(encoding="utf-8", errors="replace")):
            yield f"{component.handle}: {path}:{found.line} {found.effect}: {found.excerpt}. {advice}"


def list_changed_scripts(folder: Path, released_commit: str) -> list[str]:
    """Return the paths of new and changed migration scripts below ``folder``, relative to it; empty without git."""
    if not folder.is_dir():
        return []
    base = next((commit for commit in (released_commit, PARENT_COMMIT) if commit and _has_commit(folder, commit)), None)
    if base is None:
        return []
    changed = _git(folder, "diff", "--name-only", "--relative", "-z", "--diff-filter=AMR", base, "--", ".")
    untracked = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    return sorted(path for path in {*changed.split("\0"), *untracked.split("\0")} if _SCRIPT_PATH.search(path))


def _has_commit(folder: Path, commit: str) -> bool:
    return bool(_git(folder, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))


def _git(folder: Path, *arguments: str) -> str:
    try:
        result = build_process.probe(["git", "-C", str(folder), *arguments])
    except Problems:
        return ""
    return "" if result.exit_code else result.output
