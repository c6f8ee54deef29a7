"""Build and push an image to an ECR repository, or copy it from another. API: ECR DescribeImages,
GetAuthorizationToken; the registry's API for the push.

The tag is the hash of the build inputs, so an existing tag needs no build; deployments refer to the digest. Images are
never changed or deleted here: retention deletes them once no release needs them. An image that is built again from the
same inputs gets the tag ``TAG-RUN``, because tags are immutable; of several, the newest is used. The builder is
imported only when an image is built, because most plans build none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Compute, LocalCall, Steps
from orchestrator.values import Value, WriteOnly, join_parts
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ecr_repository"})
ARN = None

NOT_FOUND_CODES = ("ImageNotFoundException", "RepositoryNotFoundException")
PUSH_ACTION = "ecr:PutImage"
"""Name of the step in plans: the IAM action of the last call of a push."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ``build`` write-only: the tag already identifies the build."""
    build = spec.get("build")
    if build is None or isinstance(build, WriteOnly):
        return spec
    return {**spec, "build": WriteOnly(build)}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the image with the spec's digest or tag, or None."""
    repository = spec["repository"]
    newest = _read_digest(aws, repository, spec["digest"]) if "digest" in spec else _read_newest(aws, spec)
    if newest is None:
        return None
    digest, rebuild = newest
    live_spec = {key: spec[key] for key in ("repository", "tag", "digest", "source") if key in spec}
    if "rebuild" in spec and rebuild:
        live_spec["rebuild"] = rebuild
    return LiveResource(live_spec, _build_outputs(scope, repository, digest), owner=scope.owner)


def _read_digest(aws: AwsReader, repository: str, digest: str) -> tuple[str, str] | None:
    image_ids = [{"imageDigest": digest}]
    response = aws.get("ecr", "describe_images", repositoryName=repository, imageIds=image_ids, missing=NOT_FOUND_CODES)
    return (digest, "") if response and response.get("imageDetails") else None


def _read_newest(aws: AwsReader, spec: Mapping[str, Value]) -> tuple[str, str] | None:
    """Return the digest of the newest image of the tag, and the run that built it again, or None."""
    repository, tag = spec["repository"], spec["tag"]
    tagged: Any = {"tagStatus": "TAGGED"}
    images = aws.all(
        "ecr", "describe_images", "imageDetails", missing=NOT_FOUND_CODES, repositoryName=repository, filter=tagged
    )
    builds = [
        (name.removeprefix(tag).removeprefix("-"), image["imageDigest"])
        for image in images
        for name in image.get("imageTags", ())
        if name == tag or name.startswith(f"{tag}-")
    ]
    rebuild, digest = max(builds, default=("", ""))
    return (digest, rebuild) if digest else None


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Log in, build and push the image, under a tag of its own if it is built again.

    Raises Problems during planning if an image of an earlier release no longer exists: it cannot be rebuilt
    identically.
    """
    repository, tag = spec["repository"], spec["tag"]
    if "origin" in spec:
        return (yield from _copy(scope, spec, spec["origin"].value))
    if "digest" in spec:
        image = spec["digest"][:19] or f"with tag {tag}"
        message = f"image {image} no longer exists in repository {repository} and cannot be rebuilt"
        raise Problems.from_message(message, hint="list the releases you can roll back to: `orchestrator releases`")
    from orchestrator.artefacts.images import builder

    build = spec["build"].value if isinstance(spec["build"], WriteOnly) else spec["build"]
    images = yield ApiCall("ecr", "describe_images", {"repositoryName": repository}, ok_codes=NOT_FOUND_CODES)
    cache_tag = yield Compute("newest image, for its layer cache", newest_tag, (images,))
    login = yield ApiCall("ecr", "get_authorization_token", {}, is_sensitive=True)
    note = f"build {spec['source']} and push"  # part of the plan's digest: the same whoever builds
    pushed_tag = f"{tag}-{spec['rebuild']}" if "rebuild" in spec else tag
    arguments = (login, build, repository, pushed_tag, cache_tag)
    digest = yield LocalCall(PUSH_ACTION, builder.build_and_push, arguments, note, has_output=True)
    return _build_outputs(scope, repository, digest)


def _copy(scope: Scope, spec: Mapping[str, Value], origin: str) -> Steps:
    """Copy the image by its digest from the repository of another environment, where it was proved."""
    from orchestrator.artefacts.images import image_copy

    repository, tag, digest = spec["repository"], spec["tag"], spec["digest"]
    login = yield ApiCall("ecr", "get_authorization_token", {}, is_sensitive=True)
    note = f"copy {digest[:19]} from {origin}"
    arguments = (login, image_copy.ImageCopy(origin, repository, digest, tag))
    copied = yield LocalCall(PUSH_ACTION, image_copy.copy_image, arguments, note)
    return _build_outputs(scope, repository, copied)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Build the image again; nothing else changes, because an image with other content is another image."""
    return (yield from create(scope, name, spec)) if "rebuild" in changed else {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: retention deletes the image, or it is deleted with its repository."""
    yield from ()
    return {}


def newest_tag(response: Mapping[str, Any]) -> str | None:
    """Return the tag of the most recently pushed image in a DescribeImages response; cached layers do not count."""
    from orchestrator.artefacts.images import builder_commands

    newest_first = sorted(
        response.get("imageDetails", ()), key=lambda image: str(image.get("imagePushedAt", "")), reverse=True
    )
    tags = (str(tag) for image in newest_first for tag in image.get("imageTags", ()))
    return next((tag for tag in tags if not builder_commands.LAYER_TAG_PATTERN.fullmatch(tag)), None)


def _build_outputs(scope: Scope, repository: str, digest: Value) -> dict[str, Value]:
    registry_url = f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com/{repository}"
    return {"digest": digest, "reference": join_parts([f"{registry_url}@", digest])}
