"""Resolve base images to their current digests, which are part of an image's build inputs.

A pinned base (``@sha256:...``) needs no network. Each tag is resolved once per process, with the login that docker or
podman keep for its registry; ECR is asked through AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from orchestrator.artefacts.images import registry_client, registry_login
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.artefacts.images.registry_client import ImageReference
from orchestrator.problems import Position, Problem, Problems

FindDigest: TypeAlias = Callable[[ImageReference], str | None]
"""Returns the digest of an image that is not asked for at its registry, or None to ask there. Raises Problems."""
PIN_HINT = (
    "pin it (`FROM {image}@sha256:...`), or set `resolveBases: false` under `image.build` to use the tag without "
    "resolving it"
)


def resolve_digests(
    bases: Iterable[BaseImage], dockerfile: Path, *, should_resolve: bool = True, find_digest: FindDigest | None = None
) -> dict[str, str]:
    """Return the digest of each base by image name; the name itself if pinned or if ``should_resolve`` is False.

    Raises Problems, one per base that does not exist or whose registry is unreachable, at its Dockerfile line.
    """
    resolved: dict[str, str] = {}
    problems: list[Problem] = []
    for base in bases:
        where = Position(str(dockerfile), base.line)
        try:
            resolved[base.image] = _resolve_digest(base.image, find_digest) if should_resolve else base.image
        except Problems as error:
            pin_hint = PIN_HINT.format(image=base.image.partition("@")[0]) if base.image else None
            hint = "; or ".join(filter(None, [error.problems[0].hint, pin_hint])) or None
            message = f"cannot resolve the base image {base.image or '(empty)'}: {error.problems[0].message}"
            problems.append(Problem(message, where, hint))
    if problems:
        raise Problems(problems)
    return resolved


_resolved: dict[str, str] = {}


def _resolve_digest(image: str, find_digest: FindDigest | None) -> str:
    if image in _resolved:
        return _resolved[image]
    reference = registry_client.parse_reference(image)
    if reference.digest is not None:
        return image
    digest = find_digest(reference) if find_digest else None
    if digest is None:
        login = registry_login.find_login(reference.registry, reference.repository)
        digest = registry_client.fetch_digest(reference, login)
    if digest is None:
        raise Problems.from_message(f"{reference.registry} has no {reference.repository}:{reference.tag}")
    _resolved[image] = digest
    return digest
