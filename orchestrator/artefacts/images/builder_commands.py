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

SUPPORTED_BUILDERS = ("docker", "buildah", "podman")
BUILDER_VARIABLE = "ORCHESTRATOR_BUILDER"
LAYER_TAG_PATTERN = re.compile(r"[0-9a-f]{64}")
"""The tags under which buildah and podman keep layers; those of images are shorter."""
PROBE_TIMEOUT_SECONDS = 30.0
"""Seconds in which a program says whether it works."""


class BuildTool(Struct, frozen=True):
    """A program that builds: its ``name``, and for docker whether it has ``buildx``."""

    name: str
    has_buildx: bool = False


class BuildJob(Struct, frozen=True):
    """What one build needs beside its recipe: the full ``name`` to push as, ``labels``, a private ``folder``.

    ``ignore`` is the ignore file (maybe empty), ``cache`` an earlier image whose layers may be taken, ``layers`` a
    repository that keeps layers for those who read none out of an image; ``pull``: whether to look for newer bases.
    ``insecure``: the registry speaks plain HTTP; ``insecure_build``: so does all that the build itself talks to.
    """

    name: str
    folder: Path
    ignore: Path
    labels: Mapping[str, str]
    cache_image: str | None = None
    should_pull: bool = False
    is_insecure: bool = False
    is_build_insecure: bool = False
    layer_repository: str | None = None

    @property
    def digest_file(self) -> Path:
        """Where buildah and podman write the digest of what they pushed."""
        return self.folder / "digest"

    @property
    def archive(self) -> Path:
        """Where the image is written to, to be looked into."""
        return self.folder / "image.tar"


def find_builder() -> BuildTool:
    """The builder that ORCHESTRATOR_BUILDER names, or the first that is there and works.

    Raises Problems when there is none.
    """
    chosen = os.environ.get(BUILDER_VARIABLE)
    if chosen and chosen not in SUPPORTED_BUILDERS:
        raise Problems.from_message(
            f"{BUILDER_VARIABLE} is `{chosen}`, which is no builder", hint=f"it may be {', '.join(SUPPORTED_BUILDERS)}"
        )
    for name in (chosen,) if chosen else SUPPORTED_BUILDERS:
        if shell.which(name) and (chosen or _is_usable(name)):
            return BuildTool(name, has_buildx=name == "docker" and _command_succeeds("docker", "buildx", "version"))
    problem = f"{chosen} is not there" if chosen else "no program that builds images is there and works"
    hint = "install Docker, buildah or podman, or start the Docker daemon; nothing was built"
    raise Problems.from_message(problem, hint=hint)


def _is_usable(name: str) -> bool:
    """A docker client without a daemon builds nothing."""
    return _command_succeeds(name, "info") if name == "docker" else _command_succeeds(name, "--version")


def _command_succeeds(*command: str) -> bool:
    try:
        return shell.run(command, timeout=PROBE_TIMEOUT_SECONDS).exit_code == 0
    except Problems:
        return False


def build_command(tool: BuildTool, recipe: Recipe, job: BuildJob) -> list[str]:
    """The command that builds ``recipe`` into this machine's store."""
    command = {"docker": _docker_command, "buildah": _buildah_command, "podman": _buildah_command}[tool.name](tool, job)
    command += ["--file", str(recipe.dockerfile), "--platform", recipe.platform, "--tag", job.name]
    for key, value in sorted(recipe.args.items()):
        command += ["--build-arg", f"{key}={value}"]
    for key, value in sorted(job.labels.items()):
        command += ["--label", f"{key}={value}"]
    command += ["--target", recipe.target] if recipe.target else []
    command += ["--pull"] if job.should_pull else []
    return [*command, str(recipe.context)]


def _docker_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """One manifest, no index around it, and its layers fit to be the next build's cache.

    Its SBOM is made by ``sbom``, for every builder alike; buildx's own would need an index and an image to scan with.
    """
    if not tool.has_buildx:
        return ["docker", "build"]
    cache = ["--cache-from", f"type=registry,ref={job.cache_image}"] if job.cache_image else []
    output_flags = ["--provenance=false", "--sbom=false", "--progress=plain"]
    return ["docker", "buildx", "build", "--load", *output_flags, "--cache-to", "type=inline", *cache]


def _buildah_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """In Docker's format, for the other one has no HEALTHCHECK.  What a failed build mounts is not left mounted."""
    arguments = [tool.name, "build", "--format", "docker", "--layers", "--force-rm", "--ignorefile", str(job.ignore)]
    arguments += ["--authfile", str(job.folder / "config.json"), *(["--tls-verify=false"] * job.is_build_insecure)]
    return [
        *arguments,
        *(["--cache-from", job.layer_repository, "--cache-to", job.layer_repository] if job.layer_repository else []),
    ]


def push_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """The command that pushes what was built."""
    if tool.name == "docker":
        return ["docker", "push", job.name]
    tls_flags = ["--tls-verify=false"] if job.is_insecure else []
    file_flags = ["--authfile", str(job.folder / "config.json"), "--digestfile", str(job.digest_file)]
    return [tool.name, "push", *file_flags, *tls_flags, job.name, f"docker://{job.name}"]


def export_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """The command that writes what was built to ``work.archive``, in Docker's format."""
    if tool.name == "buildah":
        return ["buildah", "push", "--quiet", job.name, f"docker-archive:{job.archive}"]
    format_flags = ["--format", "docker-archive"] if tool.name == "podman" else []
    return [tool.name, "save", *format_flags, "--output", str(job.archive), job.name]
