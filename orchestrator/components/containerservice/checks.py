"""Check what a schema cannot express about a ContainerService in any runtime: sizes, images and secrets.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from orchestrator.components.containerservice import injected_secrets
from orchestrator.vocabulary import Component

Siblings: TypeAlias = Mapping[str, Component]
Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

RELEASE_VARIABLE = "ORCHESTRATOR_RELEASE"
"""Environment variable with the build of a service: the tag of its image."""


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield problems as (path, message, hint); text that still contains references is not checked."""
    yield from _check_instances(component)
    yield from _check_image(component)
    yield from _check_repository(component, siblings)
    if isinstance(component.spec["secrets"], Mapping):
        yield from _check_selected_secrets(component, siblings)
    else:
        yield from _check_whole_secrets(component, siblings)


def check_cpu_and_memory(
    component: Component, memory_by_cpu: Mapping[float, tuple[float, ...]], runtime_name: str
) -> Iterator[Finding]:
    """Yield a problem if the runtime does not offer the memory with the CPU (``memory_by_cpu``: GB by vCPU)."""
    cpu, memory = component.spec["cpu"], component.spec["memory"]
    allowed_memory = memory_by_cpu.get(cpu, ())
    if allowed_memory and memory not in allowed_memory:
        sizes = _format_choices(allowed_memory)
        message = f"spec.memory {memory} cannot be combined with spec.cpu {cpu}: {runtime_name} offers {sizes} GB"
        yield ("spec", "memory"), message, f"set `memory: {allowed_memory[0]:g}`"


def _format_choices(sizes: tuple[float, ...]) -> str:
    words = [f"{size:g}" for size in sizes]
    return " or ".join(words) if len(words) <= 5 else f"{words[0]} to {words[-1]}"


def _check_instances(component: Component) -> Iterator[Finding]:
    instances = component.spec["instances"]
    if instances["min"] > instances["max"]:
        message = f"spec.instances.min {instances['min']} is greater than spec.instances.max {instances['max']}"
        yield ("spec", "instances", "min"), message, None


def _check_image(component: Component) -> Iterator[Finding]:
    image = component.spec["image"]
    path = ("spec", "image")
    if "build" not in image and "prebuilt" not in image:
        hint = (
            "set `build`, such as `build: {context: ../api}`, to build the image, or `prebuilt` to use an existing one"
        )
        yield path, "spec.image has neither `build` nor `prebuilt`", hint
    elif "build" in image and "prebuilt" in image:
        message = "spec.image has both `build` and `prebuilt`, but a service runs only one image"
        yield (*path, "prebuilt"), message, "remove one of the two"
    if "build" in image and "repository" not in image:
        message = "spec.image.build requires spec.image.repository, to which the image is pushed"
        yield (*path, "build"), message, f"set `repository: {component.name}`"
    if "build" in image and RELEASE_VARIABLE in component.spec["environment"]:
        message = f"the orchestrator sets {RELEASE_VARIABLE} to the tag of the image"
        yield ("spec", "environment", RELEASE_VARIABLE), message, "remove it"


def _check_repository(component: Component, siblings: Siblings) -> Iterator[Finding]:
    own_repository = _repository_name(component)
    for other in siblings.values():
        is_later = other.kind == component.kind and other.handle > component.handle  # Report each pair once.
        if own_repository is not None and is_later and _repository_name(other) == own_repository:
            message = (
                f"`{own_repository}` is also the repository of {other.handle}: each service needs its own repository"
            )
            yield ("spec", "image", "repository"), message, None


def _repository_name(component: Component) -> str | None:
    repository: str | None = component.spec.get("image", {}).get("repository")
    return repository


def _check_selected_secrets(component: Component, siblings: Siblings) -> Iterator[Finding]:
    for variable, text in component.spec["secrets"].items():
        handle, key = injected_secrets.parse_key_reference(text)
        path = ("spec", "secrets", variable)
        available_keys = _secret_keys(handle, siblings)
        if handle not in siblings:
            yield path, f"unknown component {handle}", None
        elif key not in available_keys:
            yield (
                path,
                f"{handle} has no key `{key}`",
                f"available keys: {', '.join(available_keys)}" if available_keys else None,
            )
        if variable in component.spec["environment"]:
            yield path, f"{variable} is also set in spec.environment", "remove one of the two"


def _check_whole_secrets(component: Component, siblings: Siblings) -> Iterator[Finding]:
    sources = dict.fromkeys(component.spec["environment"], "spec.environment")
    for index, handle in enumerate(component.spec["secrets"]):
        for variable in map(injected_secrets.to_variable_name, _secret_keys(handle, siblings)):
            if variable in sources:
                message = f"{handle} injects {variable}, which {sources[variable]} already sets"
                yield ("spec", "secrets", index), message, "choose keys by name: `VARIABLE: secret.NAME[KEY]`"
            sources[variable] = handle


def _secret_keys(handle: str, siblings: Siblings) -> list[str]:
    return list(siblings[handle].spec.get("data", {})) if handle in siblings else []
