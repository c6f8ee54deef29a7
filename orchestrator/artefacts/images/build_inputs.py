"""Hash everything an image is built from into its tag.

Files count by path, content and mode, folders by the mode with which files are copied out of them, symbolic links by
their target. Timestamps, owners, listing order and files excluded by ``.dockerignore`` do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import asdict

from orchestrator.artefacts.images import base_image, dockerfile, dockerignore
from orchestrator.artefacts.images.base_image import FindDigest
from orchestrator.problems import Position, Problems

TAG_LENGTH = 24
"""Hex digits (96 bits), so that two different inputs never collide in practice."""
HASH_VERSION = 2
"""Part of every hash. Increment it when the set of hashed inputs changes."""


class Recipe(Struct, frozen=True):
    """One build: absolute paths of the context folder and the Dockerfile, and the build options.

    ``resolve``: whether bases count by their current digest. ``source``: the build as the manifest describes it, for
    messages. Not part of the tag: ``sbom`` (whether packages are listed), ``keep_layers`` (whether layers may be cached
    in the image's repository), ``without_cache`` (whether every instruction runs again), and ``built_image`` with
    ``built_digest``: the folder and the manifest's digest of the image if another job has built it already.
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
    without_cache: bool = False
    built_image: str = ""
    built_digest: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """Return the recipe as the plain fields that a plan carries."""
        return {**asdict(self), "context": str(self.context), "dockerfile": str(self.dockerfile)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the recipe built from ``fields``."""
        return cls(**{**fields, "context": Path(fields["context"]), "dockerfile": Path(fields["dockerfile"])})


def compute_tag(recipe: Recipe, find_digest: FindDigest | None = None) -> str:
    """Return the hash of all build inputs; ``find_digest`` resolves bases that are not asked for at their registry.

    Raises Problems if a file is missing or unreadable, the Dockerfile lacks the target, or a base cannot be resolved.
    """
    text = _read_dockerfile(recipe)
    _validate_target(recipe, text)
    identity = {
        "version": HASH_VERSION,
        "dockerfile": hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(),
        "args": dict(recipe.args),
        "target": recipe.target,
        "platform": recipe.platform,
        "bases": resolve_bases(recipe, find_digest),
        "files": hash_files(recipe),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:TAG_LENGTH]


def resolve_bases(recipe: Recipe, find_digest: FindDigest | None = None) -> dict[str, str]:
    """Return the digest of each base image by its name, or the name itself where it is not resolved.

    Raises Problems if the Dockerfile is missing, or a base cannot be resolved.
    """
    bases = dockerfile.find_base_images(_read_dockerfile(recipe), recipe.args, recipe.platform)
    return base_image.resolve_digests(bases, recipe.dockerfile, should_resolve=recipe.resolve, find_digest=find_digest)


def hash_files(recipe: Recipe) -> dict[str, list[str]]:
    """Return kind, mode, and hash or target, of each context file, and kind and mode of the folders that contain them.

    All mode bits count, because builders copy them: a file that only its owner can read makes an image whose other
    users cannot, and correcting that has to make another image.

    Raises Problems if the context is not a folder or a file cannot be read.
    """
    if not recipe.context.is_dir():
        raise Problems.from_message("the build context is not a folder", where=Position(str(recipe.context)))
    ignore_patterns = dockerignore.read_patterns(dockerignore.find_ignore_file(recipe.context, recipe.dockerfile))
    entries = {
        _decode_path(path): _describe_entry(entry) for path, entry in dockerignore.walk(recipe.context, ignore_patterns)
    }
    files = {path: description for path, description in entries.items() if description}
    folders = {parent for path in files for parent in _iter_parents(path)}
    return files | {path: ["folder", _read_folder_mode(recipe.context / path)] for path in folders}


def _iter_parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _read_folder_mode(folder: Path) -> str:
    try:
        return _format_mode(folder.stat())
    except OSError:  # its name is not valid UTF-8; its files count
        return ""


def _format_mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _read_dockerfile(recipe: Recipe) -> str:
    """Return the Dockerfile's text with its exact bytes, so that a changed line ending changes the hash."""
    try:
        return recipe.dockerfile.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        hint = "create one with `orchestrator init --template NAME` (dotnet, python, node or go)"
        message = f"cannot read the Dockerfile: {error.strerror}"
        raise Problems.from_message(message, where=Position(str(recipe.dockerfile)), hint=hint) from None


def _validate_target(recipe: Recipe, text: str) -> None:
    stage_names = dockerfile.list_stage_names(text)
    where = Position(str(recipe.dockerfile))
    if not stage_names:
        raise Problems.from_message("the Dockerfile has no FROM instruction", where=where)
    if recipe.target is not None and recipe.target.lower() not in (*stage_names, *map(str, range(len(stage_names)))):
        stage_list = ", ".join(filter(None, stage_names)) or "none (no stage has a name)"
        raise Problems.from_message(
            f"the Dockerfile has no stage `{recipe.target}`", where=where, hint=f"available stages: {stage_list}"
        )


def _decode_path(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _describe_entry(entry: os.DirEntry[str]) -> list[str]:
    """Return the kind and hash of an entry; empty for sockets, pipes and devices, which builders skip."""
    try:
        if entry.is_symlink():
            return ["link", _decode_path(str(Path(entry.path).readlink()))]
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return []
        return ["file", _format_mode(status), _hash_file(Path(entry.path))]
    except OSError as error:
        raise Problems.from_message(f"cannot read the file: {error.strerror}", where=Position(entry.path)) from None


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
