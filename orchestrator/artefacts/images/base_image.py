"""Which bytes a base image is today: its digest, part of what an image is built from.

A base that is pinned (``@sha256:...``) needs no network.  A tag is asked for once a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from orchestrator.artefacts.images import registry_client
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.problems import Position, Problem, Problems

PIN_HINT = (
    "pin it (`FROM {image}@sha256:...`), or say `resolveBases: false` under `image.build`: then its tag alone counts"
)


def resolve_digests(bases: Iterable[BaseImage], dockerfile: Path, *, should_resolve: bool = True) -> dict[str, str]:
    """Image name -> its digest, or the name itself where it is pinned, or where ``ask`` is False.

    Raises Problems, one a base that is not there or whose registry cannot be asked, at its line.
    """
    resolved: dict[str, str] = {}
    problems: list[Problem] = []
    for base in bases:
        where = Position(str(dockerfile), base.line)
        try:
            resolved[base.image] = _resolve_digest(base.image) if should_resolve else base.image
        except Problems as error:
            hint = PIN_HINT.format(image=base.image.partition("@")[0]) if base.image else None
            message = f"the base image {base.image or '(empty)'} is not known: {error.problems[0].message}"
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
