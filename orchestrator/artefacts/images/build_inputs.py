"""What an image is built from, as one hash: its tag.

Files count by path, bytes and whether they may be executed; links by where they lead.  Times, owners and the order of
a listing do not count, nor does anything that ``.dockerignore`` keeps from the builder.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import asdict

from orchestrator.artefacts.images import base_image, dockerfile, dockerignore
from orchestrator.problems import Position, Problems

TAG_LENGTH = 24
"""Hex digits: 96 bits, so two inputs never meet by chance."""
HASH_VERSION = 1
"""Part of every hash: raised when what counts changes."""


class Recipe(Struct, frozen=True):
    """One build: absolute paths of the context folder and the Dockerfile, and what the builder is told.

    ``resolve``: whether bases count by their digest of today.  ``source``: what it is, as the manifest says it.  No
    part of the tag: ``sbom``, whether its packages are listed, and ``keep_layers``, whether layers may lie in the
    image's repository for the next build.
    """

    context: Path
    dockerfile: Path
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    platform: str = "linux/amd64"
    resolve: bool = True
    source: str = ""
    sbom: bool = True
    keep_layers: bool = False

    @property
    def fields(self) -> dict[str, Any]:
        """Itself as it travels through a plan."""
        return {**asdict(self), "context": str(self.context), "dockerfile": str(self.dockerfile)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The recipe of ``fields``."""
        return cls(**{**fields, "context": Path(fields["context"]), "dockerfile": Path(fields["dockerfile"])})


def compute_tag(recipe: Recipe) -> str:
    """The hash of everything that goes into the build.

    Raises Problems: what is not there or cannot be read, a target that the Dockerfile has not, a base not known.
    """
    text = _read_dockerfile(recipe)
    _validate_target(recipe, text)
    bases = dockerfile.find_base_images(text, recipe.args, recipe.platform)
    identity = {
        "version": HASH_VERSION,
        "dockerfile": hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(),
        "args": dict(recipe.args),
        "target": recipe.target,
        "platform": recipe.platform,
        "bases": base_image.resolve_digests(bases, recipe.dockerfile, should_resolve=recipe.resolve),
        "files": hash_files(recipe),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:TAG_LENGTH]


def hash_files(recipe: Recipe) -> dict[str, list[str]]:
    """What the builder sees of the context: path -> kind (``file``, ``program``, ``link``) and hash or target."""
    if not recipe.context.is_dir():
        raise Problems.from_message("there is no such folder to build from", where=Position(str(recipe.context)))
    ignore_patterns = dockerignore.read_patterns(dockerignore.find_ignore_file(recipe.context, recipe.dockerfile))
    entries = {
        _decode_path(path): _describe_entry(entry) for path, entry in dockerignore.walk(recipe.context, ignore_patterns)
    }
    return {path: description for path, description in entries.items() if description}


def _read_dockerfile(recipe: Recipe) -> str:
    """Byte for byte, so that the hash sees an end of line that changed."""
    try:
        return recipe.dockerfile.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        hint = "orchestrator init --template dotnet, python or node writes one"
        message = f"cannot read the Dockerfile: {error.strerror}"
        raise Problems.from_message(message, where=Position(str(recipe.dockerfile)), hint=hint) from None


def _validate_target(recipe: Recipe, text: str) -> None:
    stage_names = dockerfile.list_stage_names(text)
    where = Position(str(recipe.dockerfile))
    if not stage_names:
        raise Problems.from_message("this Dockerfile has no FROM", where=where)
    if recipe.target is not None and recipe.target.lower() not in (*stage_names, *map(str, range(len(stage_names)))):
        stage_list = ", ".join(filter(None, stage_names)) or "none with a name"
        raise Problems.from_message(f"it has no stage `{recipe.target}`", where=where, hint=f"its stages: {stage_list}")


def _decode_path(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _describe_entry(entry: os.DirEntry[str]) -> list[str]:
    """Sockets, pipes and devices are nothing: no builder takes them."""
    try:
        if entry.is_symlink():
            return ["link", _decode_path(str(Path(entry.path).readlink()))]
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return []
        return ["program" if status.st_mode & stat.S_IXUSR else "file", _hash_file(Path(entry.path))]
    except OSError as error:
        raise Problems.from_message(f"cannot read it: {error.strerror}", where=Position(entry.path)) from None


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
