"""Builds an image and pushes it; the digest that counts is the one the registry tells.

Two runs that build the same at once do not disturb each other: tags do not move, so the second push is refused, and
what the first one pushed is taken.  What an image is made of is told by whoever pushed it (``sbom``), last of all: a
run that is killed in between leaves an image without.
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
    packages,
    push,
    registry,
    registry_login,
    sbom,
)
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.images.builder_commands import Tool, Work
from orchestrator.artefacts.images.dockerfile import Base
from orchestrator.artefacts.images.packages import Found
from orchestrator.artefacts.images.registry import Descriptor, Reference
from orchestrator.problems import Position, Problem, Problems

LAST_LINES = 30
"""Lines of a failed build that a person is shown."""
LABEL = "org.opencontainers.image"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def ship(
    authorization: Mapping[str, Any], build: Mapping[str, Any], repository: str, tag: str, cache: str | None = None
) -> str:
    """Build, push as ``repository:tag`` with its SBOM beside it, and return the digest (``sha256:...``).

    ``authorization`` is the answer of ECR GetAuthorizationToken, ``build`` the fields of a Recipe, ``cache`` the tag of
    an earlier image whose layers may be taken.  Raises Problems with the end of the program's output.
    """
    [data] = authorization["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    host = urlsplit(data["proxyEndpoint"]).netloc
    recipe = Recipe.of(build)
    there = Reference(host, repository, tag)
    with registry_login.private(host, user, password) as folder:
        work = _work(recipe, there, folder, cache)
        tool = builder_commands.find()
        _build(tool, recipe, work)
        found = _packages(tool, work) if recipe.sbom else None
        pushed, is_ours = _push(tool, work, there, (user, password))
        if is_ours and found is not None:
            _tell(sbom.document(found, there, pushed.digest, work.labels), pushed, there, (user, password))
        return pushed.digest


def labels(context: Path) -> dict[str, str]:
    """Which commit of which repository: what git says of the context, nothing where it is no checkout."""
    revision = _git(context, "rev-parse", "HEAD")
    source = _without_login(_git(context, "remote", "get-url", "origin"))
    found = {f"{LABEL}.revision": revision, f"{LABEL}.source": source}
    return {key: value for key, value in found.items() if value}


def provenance(recipe: Recipe, text: str, tag: str) -> dict[str, str]:
    """From which commit, on which base, from which inputs: what a registry and a scanner look for."""
    found = {**labels(recipe.context), f"{LABEL}.version": tag}
    image = dockerfile.foundation(text, recipe.args, recipe.platform, recipe.target)
    if image is None:
        return found
    [known] = base_image.digests([Base(image, 1)], recipe.dockerfile, ask=recipe.resolve).values()
    digest = known if known.startswith("sha256:") else registry.parse(image).digest
    pinned = {f"{LABEL}.base.digest": digest} if digest else {}
    return {**found, f"{LABEL}.base.name": image.partition("@")[0], **pinned}


def _git(folder: Path, *words: str) -> str:
    if shell.which("git") is None:
        return ""
    ran = shell.run(["git", "-C", str(folder), *words], timeout=builder_commands.ASK)
    return "" if ran.status else ran.output.strip()


def _without_login(url: str) -> str:
    """A remote's address may hold a token."""
    if "://" not in url:
        return url if re.fullmatch(r"git@[^:@]+:[^@]+", url) else ""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _work(recipe: Recipe, there: Reference, folder: Path, cache: str | None) -> Work:
    place = f"{there.registry}/{there.repository}"
    known = dockerignore.ignore_file(recipe.context, recipe.dockerfile)
    ignored = folder / "ignore"
    if known is None:
        ignored.touch()
    else:
        shutil.copyfile(known, ignored)
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="surrogateescape")
    bases = [registry.parse(each.image) for each in dockerfile.bases(text, recipe.args, recipe.platform)]
    insecure = registry.scheme(there.registry) == "http"
    loose = all(registry.scheme(each.registry) == "http" for each in bases) if bases else insecure
    return Work(
        f"{place}:{there.tag}",
        folder,
        ignored,
        provenance(recipe, text, there.tag),
        cache=f"{place}:{cache}" if cache else None,
        pull=recipe.resolve and any(each.digest is None for each in bases),
        insecure=insecure,
        insecure_build=loose,
        # One switch turns off TLS for bases and for layers: no registry of the world is trusted blindly.
        layers=place if recipe.keep_layers and loose == insecure else None,
    )


def _build(tool: Tool, recipe: Recipe, work: Work) -> None:
    ran = shell.run(builder_commands.build(tool, recipe, work), environment=_environment(tool, work))
    if ran.status and work.layers and "cache" in _end(ran.output):  # refused, or a podman that knows no such option
        ran = shell.run(
            builder_commands.build(tool, recipe, replace(work, layers=None)), environment=_environment(tool, work)
        )
    if ran.status:
        message = f"the image could not be built: {tool.name} ended with status {ran.status}\n{_end(ran.output)}"
        where = Position(str(recipe.dockerfile), _line(ran.output, recipe))
        hint = "correct the Dockerfile or what it copies, and run it again; nothing was pushed or deployed"
        raise Problems([Problem(message, where, hint)])


def _packages(tool: Tool, work: Work) -> Found:
    """What was built, looked into before it is pushed.  Raises Problems."""
    what = "the image was built and cannot be looked into for its SBOM; nothing was pushed"
    try:
        shell.demand(builder_commands.export(tool, work), what=what, environment=_environment(tool, work))
        return packages.of(image_archive.files(work.archive, packages.tells))
    except Problems as error:
        hint = "see to it, or say `sbom: false` under `image.build`"
        raise Problems([replace(problem, hint=hint) for problem in error.problems]) from None
    finally:
        work.archive.unlink(missing_ok=True)


def _tell(bom: bytes, image: Descriptor, there: Reference, login: tuple[str, str]) -> None:
    """Put the SBOM beside the image.  Raises Problems."""
    try:
        with push.repository(there.registry, there.repository, login) as repository:
            repository.blob(sbom.NOTHING)
            repository.blob(bom)
            repository.manifest(sbom.referrer(bom, image), sbom.MANIFEST)
    except Problems as error:
        message = f"the image was pushed, its SBOM was not: {error.problems[0].message}"
        hint = "nothing was deployed; run it again to deploy the image without an SBOM"
        raise Problems.one(message, hint=hint) from None


def _push(tool: Tool, work: Work, there: Reference, login: tuple[str, str]) -> tuple[Descriptor, bool]:
    """What the registry has under the tag now, and whether it is this very build."""
    ran = shell.run(builder_commands.push(tool, work), environment=_environment(tool, work))
    try:
        found = registry.descriptor(there, login)
    except Problems:
        if ran.status == 0:
            raise
        found = None
    if found is None:
        message = f"{work.name} could not be pushed: {tool.name} ended with status {ran.status}\n{_end(ran.output)}"
        raise Problems.one(message, hint="run it again; nothing was deployed")
    said = work.digest_file.read_text() if work.digest_file.exists() else ran.output
    if ran.status == 0 and found.digest not in _DIGEST.findall(said):
        message = (
            f"{tool.name} pushed {', '.join(_DIGEST.findall(said)) or 'nothing'}, but {work.name} is {found.digest}"
        )
        raise Problems.one(message, hint="somebody moved the tag; run it again, nothing was deployed")
    return found, ran.status == 0


def _environment(tool: Tool, work: Work) -> dict[str, str]:
    config = {"DOCKER_CONFIG": str(work.folder)} if tool.name == "docker" else {}
    return config if tool.buildx or tool.name != "docker" else {**config, "DOCKER_BUILDKIT": "0"}


def _line(output: str, recipe: Recipe) -> int:
    """The line of the instruction that failed, as far as the output tells: by number, or by its step's text."""
    numbered = re.findall(r"^(?:Dockerfile|[^\s:]+):(\d+)\s*$", output, re.MULTILINE)
    if numbered:
        return int(numbered[-1])
    steps = re.findall(r"^(?:STEP|Step) (\d+)/(\d+)\s*: (.+)$", output, re.MULTILINE | re.IGNORECASE)
    if not steps:
        return 1
    said = " ".join(steps[-1][2].split())
    text = recipe.dockerfile.read_text(encoding="utf-8", errors="replace")
    for line, keyword, rest in dockerfile.instructions(text):
        if " ".join(f"{keyword} {rest}".split())[: len(said)] == said:
            return line
    return 1


def _end(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-LAST_LINES:])[-shell.TAIL :]
