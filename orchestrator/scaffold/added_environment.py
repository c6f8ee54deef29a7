"""Keep what several environments share right when one is added: the workflows that take one as an input, the README.

Files that are as `init` wrote them are written again.  Of those that the team has changed, only what to add is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from orchestrator.manifest import overlay
from orchestrator.scaffold import manifests, workflows
from orchestrator.scaffold.repository_files import README_MARK, format_environments

_TOOL: Final = re.compile(r"uses: (\S+)/\.github/workflows/\w+\.yml@(\S+)")


class SharedFiles(Struct, frozen=True):
    """The new text of each shared file by its path, and one instruction for each that has to be changed manually."""

    texts: dict[str, str]
    instructions: tuple[str, ...] = ()


def update(
    folder: Path, tool: str, before: tuple[str, ...], added: str, promotion: tuple[str, str] | None = None
) -> SharedFiles:
    """Return what becomes of the shared files when ``added`` joins the environments ``before``.

    ``promotion``: the environments that releases are promoted from and to, if that is new; else None.
    """
    after = tuple(dict.fromkeys((*before, added)))
    texts: dict[str, str] = {}
    instructions: list[str] = []
    for path, text, instruction in (
        *_update_workflows(folder, tool, before, after, promotion),
        *_update_readme(folder, before, after),
        *_update_overlay(folder, after, promotion),
    ):
        texts |= {path: text} if text else {}
        instructions += [instruction] if instruction else []
    return SharedFiles(texts, tuple(instructions))


def _update_workflows(
    folder: Path, tool: str, before: tuple[str, ...], after: tuple[str, ...], promotion: tuple[str, str] | None
) -> Iterator[tuple[str, str, str]]:
    for path, new_text in workflows.render_shared(tool, after, promotion).items():
        current = _read(folder / path)
        if not current:
            yield path, new_text, ""
            continue
        match = _TOOL.search(current)
        own_tool = f"{match[1]}@{match[2]}" if match else tool
        written = workflows.render_shared(own_tool, before, promotion).get(path)
        target = workflows.render_shared(own_tool, after, promotion)[path]
        if current == target:
            continue
        role = next((line.strip() for line in target.splitlines() if line.startswith("      role:")), "")
        instruction = f"{path} was edited manually: set `{role}` under `with`"
        yield (path, target, "") if current == written else (path, "", instruction)


def _update_readme(folder: Path, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    text = _read(folder / "README.md")
    if README_MARK not in text:
        return
    old, new = format_environments(before), format_environments(after)
    if old in text:
        yield "README.md", text.replace(old, new), ""


def _update_overlay(
    folder: Path, names: tuple[str, ...], promotion: tuple[str, str] | None
) -> Iterator[tuple[str, str, str]]:
    """Yield the file of the environment that gets the releases, with where they come from."""
    if promotion is None:
        return
    source, target = promotion
    path = manifests.overlay_path(target)
    current = _read(folder / path) or manifests.render_overlay(target, names, has_database=False)
    project = _find_project(folder)
    if "promotion:" in current:
        return
    if "kind: Project" in current or not project:
        yield path, "", f"{path}: add `promotion: {{from: {source}}}` to the Project spec"
        return
    separator = "---\n" if re.search(r"^kind:", current, re.MULTILINE) else ""
    yield path, f"{current}{separator}{manifests.render_promotion(project, source)}", ""


def _find_project(folder: Path) -> str:
    """Return the name of the Project, "" if it cannot be found."""
    from orchestrator.manifest import load

    documents = load.load(folder / manifests.FOLDER).documents
    return next((document.handle.partition(".")[2] for document in documents if document.kind == "Project"), "")


def list_names(folder: Path) -> tuple[str, ...]:
    """Return the environments that the manifests of a repository have."""
    return overlay.list_names(folder / manifests.FOLDER)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
