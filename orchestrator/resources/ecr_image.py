"""An image in an ECR repository.  API: ECR DescribeImages, GetAuthorizationToken; the push itself is a registry's.

Its tag is the hash of what it is built from, so an image of that tag needs no building; what is deployed is its digest.
An image is never changed and never removed from here: retention does that, by what the releases need.
What builds is imported where an image is built: most plans build none.
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
"""The step is named after the call that ends a push; a plan shows no `docker push`."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """How it is built is not to be compared: the tag says it."""
    build = spec.get("build")
    if build is None or isinstance(build, WriteOnly):
        return spec
    return {**spec, "build": WriteOnly(build)}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """One call: by its tag, or by its digest where that is given."""
    image_id = {"imageDigest": spec["digest"]} if "digest" in spec else {"imageTag": spec["tag"]}
    repository = spec["repository"]
    response = aws.get(
        "ecr", "describe_images", repositoryName=repository, imageIds=[image_id], missing=NOT_FOUND_CODES
    )
    if not response or not response.get("imageDetails"):
        return None
    digest = response["imageDetails"][0]["imageDigest"]
    live_spec = {key: spec[key] for key in ("repository", "tag", "digest", "source") if key in spec}
    return LiveResource(live_spec, _build_outputs(scope, repository, digest), owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Log in, build, push.

    Raises Problems, while planning, for an image of an earlier release that is gone: it cannot be built as it was.
    """
    repository, tag = spec["repository"], spec["tag"]
    if "digest" in spec:
        message = f"image {spec['digest'][:19]} is gone from repository {repository}, and it is not built anew"
        raise Problems.from_message(message, hint="orchestrator releases shows which releases can come back")
    from orchestrator.artefacts.images import builder

    build = spec["build"].value if isinstance(spec["build"], WriteOnly) else spec["build"]
    images = yield ApiCall("ecr", "describe_images", {"repositoryName": repository}, ok_codes=NOT_FOUND_CODES)
    cache_tag = yield Compute("the newest image, whose layers may be taken", newest_tag, (images,))
    login = yield ApiCall("ecr", "get_authorization_token", {}, is_sensitive=True)
    note = f"build {spec['source']} and push"
    digest = yield LocalCall(PUSH_ACTION, builder.build_and_push, (login, build, repository, tag, cache_tag), note)
    return _build_outputs(scope, repository, digest)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """There is nothing that could differ: other bytes are another image."""
    yield from ()
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """It stays until retention removes it, or goes with its repository."""
    yield from ()
    return {}


def newest_tag(response: Mapping[str, Any]) -> str | None:
    """The tag of the image pushed last, of those that one answer of DescribeImages lists; a layer's is none."""
    from orchestrator.artefacts.images import builder_commands

    newest_first = sorted(
        response.get("imageDetails", ()), key=lambda image: str(image.get("imagePushedAt", "")), reverse=True
    )
    tags = (str(tag) for image in newest_first for tag in image.get("imageTags", ()))
    return next((tag for tag in tags if not builder_commands.LAYER_TAG_PATTERN.fullmatch(tag)), None)


def _build_outputs(scope: Scope, repository: str, digest: Value) -> dict[str, Value]:
    registry_url = f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com/{repository}"
    return {"digest": digest, "reference": join_parts([f"{registry_url}@", digest])}
