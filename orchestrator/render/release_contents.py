"""Render what one release shipped: its commits, pull requests and changed parts.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.release import Release
from orchestrator.release.shipped_commits import ShippedCommit, ShippedCommits
from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.release_list import RESULT_COLOURS, RESULT_LABELS
from orchestrator.render.style import Style


class PartChange(Struct, frozen=True):
    """A part of a release that changed; ``before`` or ``after`` is "" if the release does not have it."""

    kind: str
    name: str
    before: str
    after: str


class ReleaseContents(Struct, frozen=True):
    """One release and what changed since the complete release before it, if there is one."""

    release: Release
    previous: Release | None
    parts: tuple[PartChange, ...]
    commits: ShippedCommits


def list_part_changes(before: Release | None, after: Release) -> tuple[PartChange, ...]:
    """Return the images, sites, secrets, models, schema versions and manifests that differ."""
    old, new = (before.vector if before else None), after.vector
    maps = (
        ("image", {name: image.tag or image.digest for name, image in (old.images if old else {}).items()},
         {name: image.tag or image.digest for name, image in new.images.items()}),
        ("site", dict(old.sites if old else {}), dict(new.sites)),
        ("secret", dict(old.secrets if old else {}), dict(new.secrets)),
        ("model", dict(old.models if old else {}), dict(new.models)),
        ("database schema", {name: str(version) for name, version in (old.schemas if old else {}).items()},
         {name: str(version) for name, version in new.schemas.items()}),
    )  # fmt: skip
    changes = [
        PartChange(kind, name, earlier.get(name, ""), later.get(name, ""))
        for kind, earlier, later in maps
        for name in sorted({*earlier, *later})
        if earlier.get(name) != later.get(name)
    ]
    old_manifests = old.manifests if old else ""
    manifests = [PartChange("manifests", "", old_manifests, new.manifests)] if old_manifests != new.manifests else []
    return (*changes, *manifests)


def render_text(contents: ReleaseContents, style: Style, *, is_current: bool) -> str:
    """Return the release as text that ends with a newline."""
    release, commits = contents.release, contents.commits
    result = style.paint(RESULT_LABELS[release.result], RESULT_COLOURS[release.result])
    current = style.paint("  <- current", "good") if is_current else ""
    when = release.at.replace("T", " ").removesuffix("Z")
    lines = [
        f"Release {release.number}  {when}  {clean_name(release.by)}  {release.commit[:12]}  {result}{current}",
        *([f"It restores release {release.of}."] if release.of else []),
        *([f"Reason: {clean_sentence(release.reason)}"] if release.reason else []),
        "",
        f"Changed since release {contents.previous.number}" if contents.previous else "First release",
        *(_describe_part(part) for part in contents.parts),
        *([] if contents.parts else ["  nothing"]),
    ]
    lines += _describe_commits("Commits", commits.added)
    lines += _describe_commits("No longer included", commits.removed)
    if commits.omitted:
        lines.append(f"  and {commits.omitted} more")
    if commits.problem and contents.previous:
        lines += ["", f"Commits: {commits.problem}"]
    return style.replace_unencodable("\n".join(lines) + "\n")


def _describe_part(part: PartChange) -> str:
    name = f" {part.name.partition('.')[2] or part.name}" if part.name else ""
    before, after = (value.removeprefix("sha256:")[:12] for value in (part.before, part.after))
    change = f"{before} → {after}" if before and after else "new" if after else "removed"
    return f"  {part.kind}{name}: {change}"


def _describe_commits(title: str, commits: tuple[ShippedCommit, ...]) -> Iterator[str]:
    if commits:
        yield from ("", f"{title} ({len(commits)})")
    for commit in commits:
        number = f" (#{commit.pull_request})" if commit.pull_request else ""
        yield f"  {commit.sha[:8]}  {commit.title}{number}  {commit.author}"
