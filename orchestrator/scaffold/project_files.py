"""Put together the files of a new project from the answers and from what was detected.  Pure but for templates."""

from __future__ import annotations

from pathlib import Path

from orchestrator.scaffold import detection, dockerfiles, manifests, repository_files, workflows
from orchestrator.scaffold.detection import tree
from orchestrator.scaffold.detection.applications import Detected
from orchestrator.scaffold.questions import DOCKERFILE_ONLY, Answers


def render_files(answers: Answers, detected: Detected) -> dict[str, str]:
    """Return all files by their path in the repository.

    Raises Problems if the answers make invalid manifests.
    """
    api = detection.choose_api(detected, answers.api, answers.api_folder) if answers.api else None
    site = detection.choose_site(detected, answers.site) if answers.site else None
    texts = manifests.render_files(answers, api, site)
    manifests.check(texts)
    texts |= workflows.render_all(answers.tool, answers.environment_names, answers.branch, answers.promotion_pair)
    if api is not None and api.language != DOCKERFILE_ONLY and not api.dockerfile:
        texts |= {tree.join(api.folder, name): text for name, text in dockerfiles.render_files(api).items()}
    return {**texts, ".gitignore": repository_files.render_gitignore(answers)}


def add_sections(folder: Path, answers: Answers, detected: Detected) -> list[Path]:
    """Append a section about deployment to the README, and one to AGENTS.md, unless they are there; return the files.

    Creates the files that are missing.  Raises OSError if one cannot be written.
    """
    api = detection.choose_api(detected, answers.api, answers.api_folder) if answers.api else None
    sections = {
        "README.md": (repository_files.README_MARK, repository_files.render_readme_section(answers, api)),
        "AGENTS.md": (repository_files.AGENTS_MARK, repository_files.render_agents_section(answers)),
    }
    written = []
    for name, (mark, section) in sections.items():
        path = folder / name
        text = path.read_text(encoding="utf-8") if path.exists() else f"# {answers.name}\n"
        if mark not in text:
            path.write_text(f"{text.rstrip()}\n\n{section}", encoding="utf-8")
            written.append(path)
    return written


def render_environment(
    environment: str,
    tool: str,
    branch: str,
    names: tuple[str, ...],
    *,
    has_database: bool,
    promoted_to: str = "",
) -> dict[str, str]:
    """Return the files that add one environment to a project: its overlay and its workflows.

    ``promoted_to`` is the environment that gets what this one has proved, or "".
    """
    texts = workflows.render_files(tool, environment, branch, promoted_to)
    overlay_text = manifests.render_overlay(
        environment, tuple(dict.fromkeys((*names, environment))), has_database=has_database
    )
    return {manifests.overlay_path(environment): overlay_text, **texts}
