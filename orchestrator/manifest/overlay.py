"""An environment: the base manifests with one layer of differences merged over them.  Pure, but for ``names``.

Mappings are merged key by key, lists are replaced whole, and null removes a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.manifest import file_discovery, suggest
from orchestrator.manifest.document import Declared, Document
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.problems import Position, Problem

DEFAULT = "prod"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
LONGEST_NAME = 16


def names(folder: Path) -> tuple[str, ...]:
    """The environments that have a file, sorted."""
    try:
        found = [path.stem for path in (folder / ENVIRONMENTS).iterdir() if path.suffix in file_discovery.SUFFIXES]
    except OSError:
        return ()
    return tuple(sorted({name for name in found if not name.startswith(".")}))


def choose(sources: Sources, name: str | None) -> tuple[str, Layer] | Problem:
    """The environment that is meant by ``name``: the only one, or ``prod``, where none is said."""
    known = sorted(sources.environments)
    if name is None:
        name = known[0] if len(known) == 1 else DEFAULT
        if known and name not in known:
            return Problem("which environment?", hint=f"say -e NAME, one of: {', '.join(known)}")
    if name not in known and (known or name != DEFAULT):
        where = f"{file_discovery.shown(sources.folder / ENVIRONMENTS / name)}.yaml"
        hint = suggest.hint(name, known, there_are="the environments are")
        return Problem(f"there is no environment `{name}`", hint=hint or f"write {where}; it may be empty")
    layer = sources.environments.get(name, Layer())
    if not NAME.match(name) or len(name) > LONGEST_NAME:
        rule = f"lower case letters, digits and single hyphens, at most {LONGEST_NAME} characters"
        return Problem(f"`{name}` is no name for an environment", Position(layer.file), f"{rule}; rename the file")
    return name, layer


def merge(base: tuple[Document, ...], layer: Layer, problems: list[Problem]) -> tuple[Declared, ...]:
    """Every component of the environment: base documents in order, then what only the environment has."""
    over = {document.handle: document for document in layer.documents}
    declared = [_over(document, over.pop(document.handle, None)) for document in base]
    for document in over.values():
        meant = _typo(document, base)
        if meant:
            message = f"there is no {document.handle} in the base manifests"
            problems.append(Problem(message, document.where, f"did you mean `{meant}`?"))
        else:
            declared.append(Declared(document.value, (document,)))
    return tuple(declared)


def _over(base: Document, over: Document | None) -> Declared:
    if over is None:
        return Declared(base.value, (base,))
    return Declared(merged(base.value, over.value), (base, over))


def _typo(document: Document, base: tuple[Document, ...]) -> str | None:
    """The base component that an environment's document probably means; ``db1`` and ``db2`` are two things."""
    alike = [other.handle for other in base if other.kind == document.kind]
    meant = suggest.closest(document.handle, alike, cutoff=0.85)
    if meant is None or re.sub(r"\d", "", meant) == re.sub(r"\d", "", document.handle):
        return None
    return meant


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid on top."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result
