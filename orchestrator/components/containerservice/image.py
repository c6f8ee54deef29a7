"""Build the image and the ECR repository of a ContainerService, for every runtime.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.artefacts import Image
from orchestrator.components import Stack
from orchestrator.components.containerservice.builders import build_resource
from orchestrator.components.containerservice.checks import RELEASE_VARIABLE
from orchestrator.components.containerservice.injected_secrets import fingerprint_variables
from orchestrator.problems import Problems
from orchestrator.values import Ref, Value, WriteOnly
from orchestrator.vocabulary import Component, Resource

PUBLIC_REGISTRY_PREFIX = "public.ecr.aws/"
UNTAGGED_RETENTION_DAYS = 7


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return its repository, and its image if it is built here."""
    return [*_build_repository(component, stack), *_build_image(component, stack)]


def image_reference(component: Component) -> Value:
    """Return the image by digest, as a Ref until the digest is known."""
    return component.spec["image"].get("prebuilt") or Ref(f"ecr_image.{component.name}", "reference")


def environment_variables(component: Component, stack: Stack) -> dict[str, Value]:
    """Return the variables of the manifest, the fingerprints of its secrets and the variable with its release."""
    is_built = "build" in component.spec["image"]
    release_variable = (
        {RELEASE_VARIABLE: get_image_artefact(component, stack).tag} if is_built else {}
    )  # A probe compares it to know which build answers.
    return {**component.spec["environment"], **fingerprint_variables(component, stack), **release_variable}


def is_private(component: Component) -> bool:
    """Return whether pulling the image requires a role."""
    return not str(component.spec["image"].get("prebuilt", "")).startswith(PUBLIC_REGISTRY_PREFIX)


def get_image_artefact(component: Component, stack: Stack) -> Image:
    """Return the artefact of the image that is built here.

    Raises Problems if the release was made without one.
    """
    image = stack.artefacts.images.get(component.handle)
    if image is None:
        message = f"the requested release has no image for {component.handle}"
        raise Problems.from_message(
            message, where=component.where, hint="choose another release: run `orchestrator releases`"
        )
    return image


def _build_repository(component: Component, stack: Stack) -> Iterator[Resource]:
    image = component.spec["image"]
    if "repository" not in image:
        return
    spec = {
        "tag_mutability": "IMMUTABLE",
        "scan_on_push": image["scanOnPush"],
        "encryption": {"type": "AES256", "key": None},
        "lifecycle": _lifecycle_policy(component, stack),
    }
    deletable = image["deletionPolicy"] == "delete"
    yield build_resource(component, stack, "ecr_repository", image["repository"], spec, deletable=deletable)


def _build_image(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the image, named after its repository and tagged with the hash of its inputs."""
    image_spec = component.spec["image"]
    if "build" not in image_spec:
        return
    image = get_image_artefact(component, stack)
    repository = image_spec["repository"]
    spec: dict[str, Value] = {"repository": repository, "tag": image.tag}
    if image.digest is not None:
        spec["digest"] = image.digest
        if image.origin:
            spec["origin"] = WriteOnly(image.origin)
    else:
        # Where ECR keeps images by a count of tags, the tags of cached layers would expire images.
        build_spec = {**image.build, "keep_layers": stack.release_bucket is not None}
        if image.rebuild:
            spec["rebuild"] = image.rebuild
            build_spec["without_cache"] = True
        spec |= {"source": image.build["source"], "build": WriteOnly(build_spec)}
    after = frozenset({f"ecr_repository.{component.name}"})
    physical, where = f"{repository}:{image.tag}", component.where
    yield Resource("ecr_image", component.name, physical, spec, component.handle, where, after)


def _lifecycle_policy(component: Component, stack: Stack) -> Mapping[str, Value] | None:
    """Return the lifecycle policy, or None if nothing expires.

    With releases it expires no tagged image, because retention removes unused ones. It expires no untagged image where
    SBOMs are pushed: they have no tag, and ECR's rules count them as images (containers-roadmap issue 2613). Tags
    cannot move, so no image loses its tag; an SBOM is deleted with its image, by retention or by ECR within a day.
    """
    image = component.spec["image"]
    build = image.get("build")
    selections = {}
    if build is None or not build.get("sbom", True):
        untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
        selections[f"untagged for {UNTAGGED_RETENTION_DAYS} days"] = {
            **untagged,
            "countNumber": UNTAGGED_RETENTION_DAYS,
        }
    if build is None or stack.release_bucket is None:
        newest = {"tagStatus": "tagged", "tagPatternList": ["*"], "countType": "imageCountMoreThan"}
        selections[f"all but the newest {image['keep']}"] = {**newest, "countNumber": image["keep"]}
    rules = [
        {"rulePriority": number, "description": text, "selection": selection, "action": {"type": "expire"}}
        for number, (text, selection) in enumerate(selections.items(), start=1)
    ]
    return {"rules": rules} if rules else None
