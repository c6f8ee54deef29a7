"""Compose the command lines of the image builders: docker (with or without buildx), buildah and podman.

Build arguments are not secret: they appear on the command line and in the image history. The registry token never does;
the builder reads it from a private file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orchestrator import shell
from orchestrator.artefacts import build_process
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.problems import Problems

SUPPORTED_BUILDERS = ("docker", "buildah", "podman")
BUILDER_VARIABLE = "ORCHESTRATOR_BUILDER"
LAYER_TAG_PATTERN = re.compile(r"[0-9a-f]{64}")
"""Tags under which buildah and podman cache layers; image tags are shorter."""


class BuildTool(Struct, frozen=True):
    """A builder program: its ``name`` and, for docker, whether it has ``buildx``."""

    name: str
    has_buildx: bool = False


class BuildJob(Struct, frozen=True):
    """The input of one build besides its recipe: the full ``name`` to push as, ``labels``, a private ``folder``.

    ``ignore`` is the ignore file (it may be empty), ``cache_image`` an earlier image to use as layer cache,
    ``layer_repository`` a repository of cached layers for builders that cannot read them from an image.
    ``should_pull``: whether to check for newer bases. ``is_insecure``: whether the registry uses plain HTTP;
    ``is_build_insecure``: whether every registry that the build reads does.
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
        """The file to which buildah and podman write the digest of the pushed image."""
        return self.folder / "digest"

    @property
    def archive(self) -> Path:
        """The file to which the image is exported for reading its packages."""
        return self.folder / "image.tar"


def find_builder() -> BuildTool:
    """Return the builder that ORCHESTRATOR_BUILDER names, or the first usable one.

    Raises Problems if there is none.
    """
    chosen = os.environ.get(BUILDER_VARIABLE)
    if chosen and chosen not in SUPPORTED_BUILDERS:
        raise Problems.from_message(
            f"unknown image builder `{chosen}` in {BUILDER_VARIABLE}",
            hint=f"use one of {', '.join(SUPPORTED_BUILDERS)}",
        )
    for name in (chosen,) if chosen else SUPPORTED_BUILDERS:
        if shell.which(name) and (chosen or _is_usable(name)):
            return BuildTool(name, has_buildx=name == "docker" and _command_succeeds("docker", "buildx", "version"))
    message = f"{chosen} is not installed" if chosen else "no usable image builder found"
    hint = "install Docker, buildah or podman, or start the Docker daemon; nothing was built"
    raise Problems.from_message(message, hint=hint)


def _is_usable(name: str) -> bool:
    """Return whether a program works; a docker client without a daemon does not."""
    return _command_succeeds(name, "info") if name == "docker" else _command_succeeds(name, "--version")


def _command_succeeds(*command: str) -> bool:
    try:
        return build_process.probe(command).exit_code == 0
    except Problems:
        return False


def build_command(tool: BuildTool, recipe: Recipe, job: BuildJob) -> list[str]:
    """Return the command that builds ``recipe`` into the local image store."""
    command = {"docker": _docker_command, "buildah": _buildah_command, "podman": _buildah_command}[tool.name](tool, job)
    if recipe.without_cache and tool.name != "docker":
        command.remove("--layers")  # the two exclude each other
    command += ["--file", str(recipe.dockerfile), "--platform", recipe.platform, "--tag", job.name]
    for key, value in sorted(recipe.args.items()):
        command += ["--build-arg", f"{key}={value}"]
    for key, value in sorted(job.labels.items()):
        command += ["--label", f"{key}={value}"]
    command += ["--target", recipe.target] if recipe.target else []
    command += ["--pull"] if job.should_pull else []
    command += ["--no-cache"] if recipe.without_cache else []
    return [*command, str(recipe.context)]


def repeat_command(tool: BuildTool, recipe: Recipe) -> list[str]:
    """Return a command with which a person builds the same ``recipe``, with this machine's own registry logins."""
    command = [tool.name, "build", "--file", str(recipe.dockerfile), "--platform", recipe.platform]
    for key, value in sorted(recipe.args.items()):
        command += ["--build-arg", f"{key}={value}"]
    return [*command, *(["--target", recipe.target] if recipe.target else []), str(recipe.context)]


def _docker_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """Return docker's build command: a single manifest without an index, with layers usable as the next build's cache.

    The SBOM comes from ``sbom`` for every builder; buildx's own would need an index and a scanner image.
    """
    if not tool.has_buildx:
        return ["docker", "build"]
    cache = ["--cache-from", f"type=registry,ref={job.cache_image}"] if job.cache_image else []
    output_flags = ["--provenance=false", "--sbom=false", "--progress=plain"]
    return ["docker", "buildx", "build", "--load", *output_flags, "--cache-to", "type=inline", *cache]


def _buildah_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """Return the build command of buildah or podman, in Docker's format because OCI's has no HEALTHCHECK.

    ``--force-rm`` unmounts what a failed build leaves mounted.
    """
    arguments = [tool.name, "build", "--format", "docker", "--layers", "--force-rm", "--ignorefile", str(job.ignore)]
    arguments += ["--authfile", str(job.folder / "config.json"), *(["--tls-verify=false"] * job.is_build_insecure)]
    return [
        *arguments,
        *(["--cache-from", job.layer_repository, "--cache-to", job.layer_repository] if job.layer_repository else []),
    ]


def push_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """Return the command that pushes the built image."""
    if tool.name == "docker":
        return ["docker", "push", job.name]
    tls_flags = ["--tls-verify=false"] if job.is_insecure else []
    file_flags = ["--authfile", str(job.folder / "config.json"), "--digestfile", str(job.digest_file)]
    return [tool.name, "push", *file_flags, *tls_flags, job.name, f"docker://{job.name}"]


def export_command(tool: BuildTool, job: BuildJob) -> list[str]:
    """Return the command that exports the built image to ``job.archive``, in Docker's format."""
    if tool.name == "buildah":
        return ["buildah", "push", "--quiet", job.name, f"docker-archive:{job.archive}"]
    format_flags = ["--format", "docker-archive"] if tool.name == "podman" else []
    return [tool.name, "save", *format_flags, "--output", str(job.archive), job.name]
