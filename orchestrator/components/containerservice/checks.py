"""What a schema cannot say of a ContainerService in any runtime: names and secrets that do not go together.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from orchestrator.components.containerservice import injected_secrets
from orchestrator.vocabulary import Component

Siblings: TypeAlias = Mapping[str, Component]
Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

RELEASE = "ORCHESTRATOR_RELEASE"
"""The variable that tells a service which build it is: the tag of its image."""


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Problems as (path, sentence, hint); text may still hold references, which go unjudged."""
    yield from _bounds(component)
    yield from _image(component)
    yield from _repository(component, siblings)
    if isinstance(component.spec["secrets"], Mapping):
        yield from _chosen(component, siblings)
    else:
        yield from _whole(component, siblings)


def pairs(component: Component, offered: Mapping[float, tuple[float, ...]], who: str) -> Iterator[Finding]:
    """Sizes that do not go together, of those that the runtime has ``offered``: vCPU -> GB."""
    cpu, memory = component.spec["cpu"], component.spec["memory"]
    fitting = offered.get(cpu, ())
    if fitting and memory not in fitting:
        sizes = _either(fitting)
        sentence = f"spec.memory {memory} does not go with spec.cpu {cpu}: {who} offers {sizes} GB with it"
        yield ("spec", "memory"), sentence, f"memory: {fitting[0]:g}"


def _either(sizes: tuple[float, ...]) -> str:
    words = [f"{size:g}" for size in sizes]
    return " or ".join(words) if len(words) <= 5 else f"{words[0]} to {words[-1]}"


def _bounds(component: Component) -> Iterator[Finding]:
    instances = component.spec["instances"]
    if instances["min"] > instances["max"]:
        sentence = f"spec.instances.min {instances['min']} is more than spec.instances.max {instances['max']}"
        yield ("spec", "instances", "min"), sentence, None


def _image(component: Component) -> Iterator[Finding]:
    image = component.spec["image"]
    path = ("spec", "image")
    if "build" not in image and "prebuilt" not in image:
        yield path, "spec.image says neither `build` nor `prebuilt`", "build: {context: ../api}, to build it here"
    elif "build" in image and "prebuilt" in image:
        sentence = "spec.image says both `build` and `prebuilt`: one of them is the image"
        yield (*path, "prebuilt"), sentence, "remove one of the two"
    if "build" in image and "repository" not in image:
        sentence = "spec.image.build needs spec.image.repository: what is built is pushed there"
        yield (*path, "build"), sentence, f"repository: {component.name}"
    if "build" in image and RELEASE in component.spec["environment"]:
        sentence = f"{RELEASE} is set by the orchestrator, to the tag of the image"
        yield ("spec", "environment", RELEASE), sentence, "remove it"


def _repository(component: Component, siblings: Siblings) -> Iterator[Finding]:
    mine = _keeps(component)
    for other in siblings.values():
        is_later = other.kind == component.kind and other.handle > component.handle  # said once, not by both
        if mine is not None and is_later and _keeps(other) == mine:
            sentence = f"`{mine}` is the repository of {other.handle} too: each service keeps images of its own"
            yield ("spec", "image", "repository"), sentence, None


def _keeps(component: Component) -> str | None:
    repository: str | None = component.spec.get("image", {}).get("repository")
    return repository


def _chosen(component: Component, siblings: Siblings) -> Iterator[Finding]:
    for variable, text in component.spec["secrets"].items():
        handle, key = injected_secrets.key(text)
        path = ("spec", "secrets", variable)
        known = _keys(handle, siblings)
        if handle not in siblings:
            yield path, f"there is no {handle}", None
        elif key not in known:
            yield path, f"{handle} has no key `{key}`", f"it has {', '.join(known)}" if known else None
        if variable in component.spec["environment"]:
            yield path, f"{variable} stands under spec.environment too", "name it once"


def _whole(component: Component, siblings: Siblings) -> Iterator[Finding]:
    given = dict.fromkeys(component.spec["environment"], "spec.environment")
    for index, handle in enumerate(component.spec["secrets"]):
        for variable in map(injected_secrets.plain, _keys(handle, siblings)):
            if variable in given:
                sentence = f"{handle} injects {variable}, which {given[variable]} sets already"
                yield ("spec", "secrets", index), sentence, "choose and name keys: `VARIABLE: secret.NAME[KEY]`"
            given[variable] = handle


def _keys(handle: str, siblings: Siblings) -> list[str]:
    return list(siblings[handle].spec.get("data", {})) if handle in siblings else []
