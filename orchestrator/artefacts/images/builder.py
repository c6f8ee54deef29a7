"""Build an image, push it with its SBOM, and return the digest that the registry reports.

Concurrent builds of the same inputs are safe: tags are immutable, so the second push is refused and the image of the
first is used. Only the run that pushed the image pushes its SBOM (``sbom``), as the last step: if it is killed before
that, the image has no SBOM.
"""

from __future__ import annotations

import base64
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.artefacts import build_process
from orchestrator.artefacts.build_process import BuildLog, BuildResult, OnOutput, ignore_output, interruption
from orchestrator.artefacts.images import (
    base_image,
    builder_commands,
    built_image,
    dockerfile,
    dockerfile_parser,
    dockerignore,
    image_archive,
    package_inventory,
    registry_client,
    registry_login,
    sbom,
)
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.images.builder_commands import BuildJob, BuildTool
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.artefacts.images.package_inventory import PackageInventory
from orchestrator.artefacts.images.registry_client import Descriptor, ImageReference
from orchestrator.problems import Position, Problems

LABEL_PREFIX = "org.opencontainers.image"
LOCAL_REGISTRY = "localhost"
"""Names images that are not pushed by the builder."""
ECR_HOST = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
SBOM_HINT = "fix the cause, or set `sbom: false` under `image.build`"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE_NUMBER = re.compile(r"(?:Dockerfile|[^\s:]+):(\d+)\s*\Z")
_STEP = re.compile(r"STEP \d+/\d+\s*: (.+)", re.IGNORECASE)


def build_and_push(
    authorization: Mapping[str, Any],
    build: Mapping[str, Any],
    repository: str,
    tag: str,
    cache_tag: str | None = None,
    *,
    on_output: OnOutput = ignore_output,
) -> str:
    """Build the image, push it as ``repository:tag`` with its SBOM, and return its digest (``sha256:...``).

    ``authorization`` is the response of ECR GetAuthorizationToken, ``build`` the fields of a Recipe, ``cache_tag`` the
    tag of an earlier image to use as layer cache; ``on_output`` gets the builder's output line by line. Raises Problems
    with the first error and the last lines of that output.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    host = urlsplit(data["proxyEndpoint"]).netloc
    recipe = Recipe.from_fields(build)
    target = ImageReference(host, repository, tag)
    if recipe.built_image:
        return built_image.push(Path(recipe.built_image), recipe.built_digest, target, (user, password), on_output)
    logins = {**_find_base_logins(recipe), host: (user, password)}
    with registry_login.temporary_login(logins) as folder:
        job = _prepare_job(recipe, target, folder, cache_tag)
        runner = _Builder(builder_commands.find_builder(), recipe, job, BuildLog(repository, on_output))
        try:
            runner.build()
            inventory = runner.list_packages() if recipe.sbom else None
            descriptor, is_own_build = runner.push(target, (user, password))
        except Problems as error:
            raise interruption(error, "the image build was interrupted; nothing was deployed") from None
        if is_own_build and inventory is not None:
            document = sbom.build_document(inventory, target, descriptor.digest, job.labels)
            built_image.push_sbom(document, descriptor, target, (user, password))
        return descriptor.digest


def build_to_folder(recipe: Recipe, name: str, tag: str, folder: Path, *, on_output: OnOutput = ignore_output) -> str:
    """Build the image without any login of a deploy, write it to ``folder`` and return the digest of its manifest.

    ``name`` names it in the local store of the builder.  Raises Problems as ``build_and_push`` does.
    """
    recipe = replace(recipe, keep_layers=False)
    target = ImageReference(LOCAL_REGISTRY, name, tag)
    with registry_login.temporary_login(_find_base_logins(recipe)) as login_folder:
        job = _prepare_job(recipe, target, login_folder, None)
        runner = _Builder(builder_commands.find_builder(), recipe, job, BuildLog(name, on_output))
        try:
            runner.build()
            return runner.save(folder)
        except Problems as error:
            raise interruption(error, "the image build was interrupted; nothing was pushed") from None


def needs_registry_login(recipe: Recipe) -> bool:
    """Return whether a base lies in a private registry of AWS for which neither docker nor podman keeps a login."""
    bases = _read_bases(recipe)[1]
    return any(
        ECR_HOST.fullmatch(base.registry) and not registry_login.find_login(base.registry, base.repository)
        for base in bases
    )


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
    result = build_process.probe(["git", "-C", str(folder), *arguments])
    return "" if result.exit_code else result.output.strip()


def _strip_credentials(url: str) -> str:
    """Return a remote URL without credentials; empty if it cannot be recognised."""
    if "://" not in url:
        return url if re.fullmatch(r"git@[^:@]+:[^@]+", url) else ""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _read_bases(recipe: Recipe) -> tuple[str, list[ImageReference]]:
    """Return the text of the Dockerfile and the images that it starts or copies from."""
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="surrogateescape")
    bases = dockerfile.find_base_images(text, recipe.args, recipe.platform)
    return text, [registry_client.parse_reference(base.image) for base in bases]


def _find_base_logins(recipe: Recipe) -> dict[str, tuple[str, str]]:
    return registry_login.find_logins((base.registry, base.repository) for base in _read_bases(recipe)[1])


def _prepare_job(recipe: Recipe, target: ImageReference, folder: Path, cache_tag: str | None) -> BuildJob:
    repository = f"{target.registry}/{target.repository}"
    ignore_file = dockerignore.find_ignore_file(recipe.context, recipe.dockerfile)
    ignore_copy = folder / "ignore"
    if ignore_file is None:
        ignore_copy.touch()
    else:
        shutil.copyfile(ignore_file, ignore_copy)
    text, bases = _read_bases(recipe)
    is_insecure = registry_client.scheme_for(target.registry) == "http"
    is_build_insecure = (
        all(registry_client.scheme_for(base_image.registry) == "http" for base_image in bases) if bases else is_insecure
    )
    keeps_layers = recipe.keep_layers and not recipe.without_cache
    return BuildJob(
        f"{repository}:{target.tag}",
        folder,
        ignore_copy,
        provenance_labels(recipe, text, target.tag),
        cache_image=f"{repository}:{cache_tag}" if cache_tag and not recipe.without_cache else None,
        should_pull=recipe.resolve and any(base_image.digest is None for base_image in bases),
        is_insecure=is_insecure,
        is_build_insecure=is_build_insecure,
        # One option disables TLS for bases and layers alike, so it must not apply to a public registry.
        layer_repository=repository if keeps_layers and is_build_insecure == is_insecure else None,
    )


class _Builder:
    """One builder program at work on one image."""

    def __init__(self, tool: BuildTool, recipe: Recipe, job: BuildJob, log: BuildLog) -> None:
        self._tool = tool
        self._recipe = recipe
        self._job = job
        self._log = log

    def build(self) -> None:
        """Build the image into the local store. Raises Problems at the line of the failed instruction."""
        recipe, job = self._recipe, self._job
        result = self._run(builder_commands.build_command(self._tool, recipe, job))
        is_cache_failure = job.layer_repository and any("cache" in line for line in result.tail)
        if result.exit_code and is_cache_failure:  # refused, or a podman without this option
            job = replace(job, layer_repository=None)
            result = self._run(builder_commands.build_command(self._tool, recipe, job))
        if result.exit_code:
            raise self._log.failure(
                result,
                "the image build failed",
                repeat=shlex.join(builder_commands.repeat_command(self._tool, recipe)),
                hint="nothing was pushed or deployed",
                where=Position(str(recipe.dockerfile), _find_failed_line(self._log.file, recipe)),
            )

    def list_packages(self) -> PackageInventory:
        """Return the packages of the built image, read before it is pushed. Raises Problems."""
        try:
            return self._read_packages(self._export(SBOM_HINT))
        finally:
            self._job.archive.unlink(missing_ok=True)

    def save(self, folder: Path) -> str:
        """Write the built image to ``folder``, with its packages, and return its digest. Raises Problems."""
        archive = self._export()
        inventory = self._read_packages(archive) if self._recipe.sbom else None
        return built_image.save(archive, inventory, folder)

    def _export(self, hint: str = "") -> Path:
        result = self._run(builder_commands.export_command(self._tool, self._job))
        if result.exit_code:
            message = "the image was built but cannot be exported; nothing was pushed"
            raise self._log.failure(result, message, hint=hint)
        return self._job.archive

    def _read_packages(self, archive: Path) -> PackageInventory:
        try:
            return package_inventory.parse_packages(
                image_archive.read_files(archive, package_inventory.is_package_file)
            )
        except Problems as error:
            raise Problems([replace(problem, hint=SBOM_HINT) for problem in error.problems]) from None

    def push(self, target: ImageReference, credentials: tuple[str, str]) -> tuple[Descriptor, bool]:
        """Push the image; return the registry's descriptor for the tag and whether this run pushed it.

        Raises Problems if the image is not in the registry afterwards.
        """
        job, tool = self._job, self._tool
        result = self._run(builder_commands.push_command(tool, job))
        try:
            descriptor = registry_client.fetch_descriptor(target, credentials)
        except Problems:
            if result.exit_code == 0:
                raise
            descriptor = None
        if descriptor is None:
            raise self._log.failure(
                result, f"cannot push {job.name}", hint="run the command again; nothing was deployed"
            )
        reported = job.digest_file.read_text() if job.digest_file.exists() else "\n".join(result.tail)
        digests = _DIGEST.findall(reported)
        if result.exit_code == 0 and descriptor.digest not in digests:
            message = (
                f"{tool.name} pushed {', '.join(digests) or 'nothing'}, but {job.name} has the digest "
                f"{descriptor.digest}"
            )
            raise Problems.from_message(
                message, hint="nothing was deployed because another process moved the tag; run the command again"
            )
        return descriptor, result.exit_code == 0

    def _run(self, command: list[str]) -> BuildResult:
        return self._log.run(command, environment=_build_variables(self._tool, self._job))


def _build_variables(tool: BuildTool, job: BuildJob) -> dict[str, str]:
    config = {"DOCKER_CONFIG": str(job.folder)} if tool.name == "docker" else {}
    return config if tool.has_buildx or tool.name != "docker" else {**config, "DOCKER_BUILDKIT": "0"}


def _find_failed_line(output: Path, recipe: Recipe) -> int:
    """Return the Dockerfile line of the failed instruction, from its number or text in the output; 1 if unknown."""
    number, instruction = 0, ""
    with output.open(encoding="utf-8", errors="replace") as lines:
        for text_line in lines:
            if match := _LINE_NUMBER.match(text_line):
                number = int(match[1])
            elif match := _STEP.match(text_line):
                instruction = " ".join(match[1].split())
    if number or not instruction:
        return number or 1
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="replace")
    for line, keyword, rest in dockerfile_parser.parse_instructions(text):
        if " ".join(f"{keyword} {rest}".split())[: len(instruction)] == instruction:
            return line
    return 1
