"""Build an image, push it with its SBOM, and return the digest that the registry reports.

Concurrent builds of the same inputs are safe: tags are immutable, so the second push is refused and the image of the
first is used. Only the run that pushed the image pushes its SBOM (``sbom``), as the last step: if it is killed before
that, the image has no SBOM.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.artefacts.images import (
    base_image,
    builder_commands,
    dockerfile,
    dockerignore,
    image_archive,
    package_inventory,
    registry_client,
    registry_login,
    registry_push,
    sbom,
)
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.images.builder_commands import BuildJob, BuildTool
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.artefacts.images.package_inventory import PackageInventory
from orchestrator.artefacts.images.registry_client import Descriptor, ImageReference
from orchestrator.problems import Position, Problem, Problems

MAX_OUTPUT_LINES = 30
"""Lines of build output shown when a build fails."""
LABEL_PREFIX = "org.opencontainers.image"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def build_and_push(
    authorization: Mapping[str, Any], build: Mapping[str, Any], repository: str, tag: str, cache_tag: str | None = None
) -> str:
    """Build the image, push it as ``repository:tag`` with its SBOM, and return its digest (``sha256:...``).

    ``authorization`` is the response of ECR GetAuthorizationToken, ``build`` the fields of a Recipe, ``cache_tag`` the
    tag of an earlier image to use as layer cache. Raises Problems with the last lines of the builder's output.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    host = urlsplit(data["proxyEndpoint"]).netloc
    recipe = Recipe.from_fields(build)
    target = ImageReference(host, repository, tag)
    with registry_login.temporary_login(host, user, password) as folder:
        job = _prepare_job(recipe, target, folder, cache_tag)
        tool = builder_commands.find_builder()
        _build(tool, recipe, job)
        inventory = _list_packages(tool, job) if recipe.sbom else None
        descriptor, is_own_build = _push(tool, job, target, (user, password))
        if is_own_build and inventory is not None:
            _push_sbom(
                sbom.build_document(inventory, target, descriptor.digest, job.labels),
                descriptor,
                target,
                (user, password),
            )
        return descriptor.digest


def git_labels(context: Path) -> dict[str, str]:
    """Return the context's commit and remote URL as image labels; empty if it is not a git checkout."""
    revision = _run_git(context, "rev-parse", "HEAD")
    source = _strip_credentials(_run_git(context, "remote", "get-url", "origin"))
    values = {f"{LABEL_PREFIX}.revision": revision, f"{LABEL_PREFIX}.source": source}
    return {key: value for key, value in values.items() if value}


def provenance_labels(recipe: Recipe, text: str, tag: str) -> dict[str, str]:
    """Return the image labels for registries and scanners: commit, base image and input hash."""
    values = {**git_labels(recipe.context), f"{LABEL_PREFIX}.version": tag}
    image = dockerfile.find_target_base(text, recipe.args, recipe.platform, recipe.target)
    if image is None:
        return values
    [resolved] = base_image.resolve_digests(
        [BaseImage(image, 1)], recipe.dockerfile, should_resolve=recipe.resolve
    ).values()
    digest = resolved if resolved.startswith("sha256:") else registry_client.parse_reference(image).digest
    digest_label = {f"{LABEL_PREFIX}.base.digest": digest} if digest else {}
    return {**values, f"{LABEL_PREFIX}.base.name": image.partition("@")[0], **digest_label}


def _run_git(folder: Path, *arguments: str) -> str:
    if shell.which("git") is None:
        return ""
    result = shell.run(["git", "-C", str(folder), *arguments], timeout=builder_commands.PROBE_TIMEOUT_SECONDS)
    return "" if result.exit_code else result.output.strip()


def _strip_credentials(url: str) -> str:
    """Return a remote URL without credentials; empty if it cannot be recognised."""
    if "://" not in url:
        return url if re.fullmatch(r"git@[^:@]+:[^@]+", url) else ""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _prepare_job(recipe: Recipe, target: ImageReference, folder: Path, cache_tag: str | None) -> BuildJob:
    repository = f"{target.registry}/{target.repository}"
    ignore_file = dockerignore.find_ignore_file(recipe.context, recipe.dockerfile)
    ignore_copy = folder / "ignore"
    if ignore_file is None:
        ignore_copy.touch()
    else:
        shutil.copyfile(ignore_file, ignore_copy)
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="surrogateescape")
    bases = [
        registry_client.parse_reference(base_image.image)
        for base_image in dockerfile.find_base_images(text, recipe.args, recipe.platform)
    ]
    is_insecure = registry_client.scheme_for(target.registry) == "http"
    is_build_insecure = (
        all(registry_client.scheme_for(base_image.registry) == "http" for base_image in bases) if bases else is_insecure
    )
    return BuildJob(
        f"{repository}:{target.tag}",
        folder,
        ignore_copy,
        provenance_labels(recipe, text, target.tag),
        cache_image=f"{repository}:{cache_tag}" if cache_tag else None,
        should_pull=recipe.resolve and any(base_image.digest is None for base_image in bases),
        is_insecure=is_insecure,
        is_build_insecure=is_build_insecure,
        # One option disables TLS for bases and layers alike, so it must not apply to a public registry.
        layer_repository=repository if recipe.keep_layers and is_build_insecure == is_insecure else None,
    )


def _build(tool: BuildTool, recipe: Recipe, job: BuildJob) -> None:
    result = shell.run(builder_commands.build_command(tool, recipe, job), environment=_build_environment(tool, job))
    if (
        result.exit_code and job.layer_repository and "cache" in _get_output_tail(result.output)
    ):  # refused, or a podman without this option
        result = shell.run(
            builder_commands.build_command(tool, recipe, replace(job, layer_repository=None)),
            environment=_build_environment(tool, job),
        )
    if result.exit_code:
        message = (
            f"the image build failed: {tool.name} exited with status "
            f"{result.exit_code}\n{_get_output_tail(result.output)}"
        )
        where = Position(str(recipe.dockerfile), _find_failed_line(result.output, recipe))
        hint = "fix the Dockerfile or the files it copies, then run again; nothing was pushed or deployed"
        raise Problems([Problem(message, where, hint)])


def _list_packages(tool: BuildTool, job: BuildJob) -> PackageInventory:
    """Return the packages of the built image, read before it is pushed. Raises Problems."""
    failure_message = "the image was built but cannot be read for its SBOM; nothing was pushed"
    try:
        shell.run_checked(
            builder_commands.export_command(tool, job),
            failure_message=failure_message,
            environment=_build_environment(tool, job),
        )
        return package_inventory.parse_packages(
            image_archive.read_files(job.archive, package_inventory.is_package_file)
        )
    except Problems as error:
        hint = "fix the cause, or set `sbom: false` under `image.build`"
        raise Problems([replace(problem, hint=hint) for problem in error.problems]) from None
    finally:
        job.archive.unlink(missing_ok=True)


def _push_sbom(bom: bytes, image: Descriptor, target: ImageReference, credentials: tuple[str, str]) -> None:
    """Push the SBOM as a referrer of the image. Raises Problems."""
    try:
        with registry_push.open_repository(target.registry, target.repository, credentials) as repository:
            repository.push_blob(sbom.EMPTY_CONFIG)
            repository.push_blob(bom)
            repository.push_manifest(sbom.build_referrer(bom, image), sbom.MANIFEST_MEDIA_TYPE)
    except Problems as error:
        message = f"the image was pushed, but its SBOM was not: {error.problems[0].message}"
        hint = "nothing was deployed; run again to deploy the image without an SBOM"
        raise Problems.from_message(message, hint=hint) from None


def _push(
    tool: BuildTool, job: BuildJob, target: ImageReference, credentials: tuple[str, str]
) -> tuple[Descriptor, bool]:
    """Push the image; return the registry's descriptor for the tag and whether this run pushed it.

    Raises Problems if the image is not in the registry afterwards.
    """
    result = shell.run(builder_commands.push_command(tool, job), environment=_build_environment(tool, job))
    try:
        descriptor = registry_client.fetch_descriptor(target, credentials)
    except Problems:
        if result.exit_code == 0:
            raise
        descriptor = None
    if descriptor is None:
        message = (
            f"cannot push {job.name}: {tool.name} exited with "
            f"status {result.exit_code}\n{_get_output_tail(result.output)}"
        )
        raise Problems.from_message(message, hint="run again; nothing was deployed")
    reported = job.digest_file.read_text() if job.digest_file.exists() else result.output
    if result.exit_code == 0 and descriptor.digest not in _DIGEST.findall(reported):
        message = (
            f"{tool.name} pushed {', '.join(_DIGEST.findall(reported)) or 'nothing'}, "
            f"but {job.name} has digest {descriptor.digest}"
        )
        raise Problems.from_message(
            message, hint="the tag was moved by another process; run again; nothing was deployed"
        )
    return descriptor, result.exit_code == 0


def _build_environment(tool: BuildTool, job: BuildJob) -> dict[str, str]:
    config = {"DOCKER_CONFIG": str(job.folder)} if tool.name == "docker" else {}
    return config if tool.has_buildx or tool.name != "docker" else {**config, "DOCKER_BUILDKIT": "0"}


def _find_failed_line(output: str, recipe: Recipe) -> int:
    """Return the Dockerfile line of the failed instruction, from its number or text in the output; 1 if unknown."""
    numbered = re.findall(r"^(?:Dockerfile|[^\s:]+):(\d+)\s*$", output, re.MULTILINE)
    if numbered:
        return int(numbered[-1])
    steps = re.findall(r"^(?:STEP|Step) (\d+)/(\d+)\s*: (.+)$", output, re.MULTILINE | re.IGNORECASE)
    if not steps:
        return 1
    instruction = " ".join(steps[-1][2].split())
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="replace")
    for line, keyword, rest in dockerfile.parse_instructions(text):
        if " ".join(f"{keyword} {rest}".split())[: len(instruction)] == instruction:
            return line
    return 1


def _get_output_tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-MAX_OUTPUT_LINES:])[-shell.MAX_OUTPUT_CHARS :]
