"""The command lines of the programs that build images: docker with or without buildx, buildah, podman.

Build arguments are no secrets: they stand on the command line and in the image's history.  The registry's token is
never among them; it lies in a private file that the program is pointed at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orchestrator import shell
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.problems import Problems

KNOWN = ("docker", "buildah", "podman")
CHOICE = "ORCHESTRATOR_BUILDER"
LAYER = re.compile(r"[0-9a-f]{64}")
"""The tags under which buildah and podman keep layers; those of images are shorter."""
ASK = 30.0
"""Seconds in which a program says whether it works."""


class Tool(Struct, frozen=True):
    """A program that builds: its ``name``, and for docker whether it has ``buildx``."""

    name: str
    buildx: bool = False


class Work(Struct, frozen=True):
    """What one build needs beside its recipe: the full ``name`` to push as, ``labels``, a private ``folder``.

    ``ignore`` is the ignore file (maybe empty), ``cache`` an earlier image whose layers may be taken, ``layers`` a
    repository that keeps layers for those who read none out of an image; ``pull``: whether to look for newer bases.
    ``insecure``: the registry speaks plain HTTP; ``insecure_build``: so does all that the build itself talks to.
    """

    name: str
    folder: Path
    ignore: Path
    labels: Mapping[str, str]
    cache: str | None = None
    pull: bool = False
    insecure: bool = False
    insecure_build: bool = False
    layers: str | None = None

    @property
    def digest_file(self) -> Path:
        """Where buildah and podman write the digest of what they pushed."""
        return self.folder / "digest"

    @property
    def archive(self) -> Path:
        """Where the image is written to, to be looked into."""
        return self.folder / "image.tar"


def find() -> Tool:
    """The builder that ORCHESTRATOR_BUILDER names, or the first that is there and works.

    Raises Problems when there is none.
    """
    chosen = os.environ.get(CHOICE)
    if chosen and chosen not in KNOWN:
        raise Problems.one(f"{CHOICE} is `{chosen}`, which is no builder", hint=f"it may be {', '.join(KNOWN)}")
    for name in (chosen,) if chosen else KNOWN:
        if shell.which(name) and (chosen or _works(name)):
            return Tool(name, buildx=name == "docker" and _answers("docker", "buildx", "version"))
    what = f"{chosen} is not there" if chosen else "no program that builds images is there and works"
    hint = "install Docker, buildah or podman, or start the Docker daemon; nothing was built"
    raise Problems.one(what, hint=hint)


def _works(name: str) -> bool:
    """A docker client without a daemon builds nothing."""
    return _answers(name, "info") if name == "docker" else _answers(name, "--version")


def _answers(*command: str) -> bool:
    try:
        return shell.run(command, timeout=ASK).status == 0
    except Problems:
        return False


def build(tool: Tool, recipe: Recipe, work: Work) -> list[str]:
    """The command that builds ``recipe`` into this machine's store."""
    command = {"docker": _docker, "buildah": _buildah, "podman": _buildah}[tool.name](tool, work)
    command += ["--file", str(recipe.dockerfile), "--platform", recipe.platform, "--tag", work.name]
    for key, value in sorted(recipe.args.items()):
        command += ["--build-arg", f"{key}={value}"]
    for key, value in sorted(work.labels.items()):
        command += ["--label", f"{key}={value}"]
    command += ["--target", recipe.target] if recipe.target else []
    command += ["--pull"] if work.pull else []
    return [*command, str(recipe.context)]


def _docker(tool: Tool, work: Work) -> list[str]:
    """One manifest, no index around it, and its layers fit to be the next build's cache.

    Its SBOM is made by ``sbom``, for every builder alike; buildx's own would need an index and an image to scan with.
    """
    if not tool.buildx:
        return ["docker", "build"]
    cache = ["--cache-from", f"type=registry,ref={work.cache}"] if work.cache else []
    plain = ["--provenance=false", "--sbom=false", "--progress=plain"]
    return ["docker", "buildx", "build", "--load", *plain, "--cache-to", "type=inline", *cache]


def _buildah(tool: Tool, work: Work) -> list[str]:
    """In Docker's format, for the other one has no HEALTHCHECK.  What a failed build mounts is not left mounted."""
    words = [tool.name, "build", "--format", "docker", "--layers", "--force-rm", "--ignorefile", str(work.ignore)]
    words += ["--authfile", str(work.folder / "config.json"), *(["--tls-verify=false"] * work.insecure_build)]
    return [*words, *(["--cache-from", work.layers, "--cache-to", work.layers] if work.layers else [])]


def push(tool: Tool, work: Work) -> list[str]:
    """The command that pushes what was built."""
    if tool.name == "docker":
        return ["docker", "push", work.name]
    trust = ["--tls-verify=false"] if work.insecure else []
    files = ["--authfile", str(work.folder / "config.json"), "--digestfile", str(work.digest_file)]
    return [tool.name, "push", *files, *trust, work.name, f"docker://{work.name}"]


def export(tool: Tool, work: Work) -> list[str]:
    """The command that writes what was built to ``work.archive``, in Docker's format."""
    if tool.name == "buildah":
        return ["buildah", "push", "--quiet", work.name, f"docker-archive:{work.archive}"]
    words = ["--format", "docker-archive"] if tool.name == "podman" else []
    return [tool.name, "save", *words, "--output", str(work.archive), work.name]
