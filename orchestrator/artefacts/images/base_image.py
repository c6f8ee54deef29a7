"""Resolve base images to their current digests, which are part of an image's build inputs.

A pinned base (``@sha256:...``) needs no network. Each tag is resolved once per process.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from orchestrator.artefacts.images import registry_client
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.problems import Position, Problem, Problems

PIN_HINT = "pin it (`FROM {image}@sha256:...`), or set `resolveBases: false` under `image.build` to use its tag alone"


def resolve_digests(bases: Iterable[BaseImage], dockerfile: Path, *, should_resolve: bool = True) -> dict[str, str]:
    """Return the digest of each base by image name; the name itself if pinned or if ``should_resolve`` is False.

    Raises Problems, one per base that does not exist or whose registry is unreachable, at its Dockerfile line.
    """
    resolved: dict[str, str] = {}
    problems: list[Problem] = []
    for base in bases:
        where = Position(str(dockerfile), base.line)
        try:
            resolved[base.image] = _resolve_digest(base.image) if should_resolve else base.image
        except Problems as error:
            hint = PIN_HINT.format(image=base.image.partition("@")[0]) if base.image else None
            message = f"cannot resolve the base image {base.image or '(empty)'}: {error.problems[0].message}"
            problems.append(Problem(message, where, hint))
    if problems:
        raise Problems(problems)
    return resolved


@cache
def _resolve_digest(image: str) -> str:
    reference = registry_client.parse_reference(image)
    if reference.digest is not None:
        return image
    digest = registry_client.fetch_digest(reference)
    if digest is None:
        raise Problems.from_message(f"{reference.registry} has no {reference.repository}:{reference.tag}")
    return digest
