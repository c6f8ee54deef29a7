"""Which bytes a base image is today: its digest, part of what an image is built from.

A base that is pinned (``@sha256:...``) needs no network.  A tag is asked for once a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from orchestrator.artefacts.images import registry
from orchestrator.artefacts.images.dockerfile import Base
from orchestrator.problems import Position, Problem, Problems

PIN = "pin it (`FROM {image}@sha256:...`), or say `resolveBases: false` under `image.build`: then its tag alone counts"


def digests(bases: Iterable[Base], dockerfile: Path, *, ask: bool = True) -> dict[str, str]:
    """Image name -> its digest, or the name itself where it is pinned, or where ``ask`` is False.

    Raises Problems, one a base that is not there or whose registry cannot be asked, at its line.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for base in bases:
        where = Position(str(dockerfile), base.line)
        try:
            found[base.image] = _digest(base.image) if ask else base.image
        except Problems as error:
            hint = PIN.format(image=base.image.partition("@")[0]) if base.image else None
            message = f"the base image {base.image or '(empty)'} is not known: {error.problems[0].message}"
            problems.append(Problem(message, where, hint))
    if problems:
        raise Problems(problems)
    return found


@cache
def _digest(image: str) -> str:
    reference = registry.parse(image)
    if reference.digest is not None:
        return image
    found = registry.digest(reference)
    if found is None:
        raise Problems.one(f"{reference.registry} has no {reference.repository}:{reference.tag}")
    return found
