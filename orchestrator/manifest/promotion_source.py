"""Check the environment that another one gets its releases from: ``spec.promotion.from`` of the Project.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifest import check, overlay, suggest
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problem, Problems

_PATH = ("spec", "promotion", "from")


def find_problems(manifest: Manifest) -> Iterator[Problem]:
    """Yield why nothing can be promoted to the environment of ``manifest``; nothing if it declares no promotion."""
    promotion = manifest.project.spec.get("promotion")
    if promotion:
        source, where = str(promotion["from"]), manifest.where(manifest.project.handle, _PATH)
        yield from (Problem(message, where, hint) for message, hint in _check(manifest, source))


def check_source(manifest: Manifest, source: str) -> Manifest:
    """Return the manifests of the environment to promote from.  Raises Problems if nothing can be promoted from it."""
    problems = [Problem(message, hint=hint) for message, hint in _check(manifest, source)]
    if problems:
        raise Problems(problems)
    return check.check(manifest.sources, source)


def _check(manifest: Manifest, source: str) -> Iterator[tuple[str, str]]:
    """Yield messages with hints about the environment to promote from; its own problems are not repeated."""
    names = overlay.environment_names(manifest.sources)
    if source not in names:
        yield f"unknown environment `{source}`", suggest.hint(source, names, list_prefix="available environments") or ""
        return
    if source == manifest.environment:
        hint = "set `promotion` in the file of the environment that gets the releases: environments/NAME.yaml"
        yield f"{source} cannot be promoted to itself", hint
        return
    try:
        other = check.check(manifest.sources, source)
    except Problems:
        return
    for name in ("account", "region"):
        target_value, source_value = getattr(manifest.scope, name), getattr(other.scope, name)
        if target_value != source_value:
            yield (
                f"{source} is in {name} {source_value}, but {manifest.environment} is in {target_value}",
                "promote within one account and region",
            )
    if not other.project.spec["releases"].get("bucket"):
        yield f"{source} has no release bucket, so it has no releases", "set `releases.bucket` in its Project"
