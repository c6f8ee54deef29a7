"""Looks at the files of a checkout and says what they would ship.  Reads files; writes nothing, builds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.artefacts import Artefacts, Image, Site
from orchestrator.vocabulary import Component

if TYPE_CHECKING:
    from orchestrator.artefacts.images.build_inputs import Recipe


def collect_artefacts(components: Iterable[Component]) -> Artefacts:
    """The images and sites of resolved ``components``; paths in a manifest are relative to the file that says them.

    Raises Problems when a folder or a Dockerfile is not there or cannot be read.
    """
    component_list = list(components)
    images, image_notes = _collect_images(component_list)
    sites, site_notes = _collect_sites(component_list)
    return Artefacts(images=images, sites=sites, notes=(*image_notes, *site_notes))


def placeholder_artefacts(components: Iterable[Component]) -> Artefacts:
    """What stands for the images of ``components`` where nothing is shipped: no file of the checkout is looked at."""
    handles = [component.handle for component in components if (component.spec.get("image") or {}).get("build")]
    return Artefacts(images={handle: Image("none", digest="none") for handle in handles})


def _collect_images(components: list[Component]) -> tuple[dict[str, Image], list[str]]:
    """The images to be built, by the hash of what goes into each, and a note where that hash changes for nothing."""
    images, notes = {}, []
    for component in components:
        build = (component.spec.get("image") or {}).get("build")
        if not build:
            continue
        from orchestrator.artefacts.images import dockerignore
        from orchestrator.artefacts.images.build_inputs import compute_tag

        recipe = _build_recipe(component, build)
        if dockerignore.includes_git(recipe.context, recipe.dockerfile):
            notes.append(
                f"{component.handle}: {build['context']} holds .git, which is built in too, so each commit is a new "
                f"image. Write `.git` into {build['context']}/.dockerignore."
            )
        images[component.handle] = Image(compute_tag(recipe), recipe.fields)
    return images, notes


def _build_recipe(component: Component, build: Mapping[str, Any]) -> Recipe:
    from orchestrator.artefacts.images.build_inputs import Recipe

    context = resolve_manifest_path(component, build["context"])
    return Recipe(
        context,
        (context / build["dockerfile"]).resolve(),
        build["args"],
        build.get("target"),
        build["platform"],
        build["resolveBases"],
        f"{build['context']} with {build['dockerfile']}",
        build["sbom"],
    )


def _collect_sites(components: list[Component]) -> tuple[dict[str, Site], list[str]]:
    """The sites that are there, and a note about those that are to be built first."""
    sites, notes = {}, []
    for component in components:
        spa = component.spec.get("spa")
        if not spa:
            continue
        folder = resolve_manifest_path(component, spa["dir"])
        if spa.get("build") and not folder.exists():
            notes.append(
                f"{component.handle}: its site is not built ({spa['dir']} is not there), so the plan leaves it as it "
                "is. `orchestrator deploy` builds it first."
            )
        else:
            from orchestrator.artefacts.sites.folder import scan

            sites[component.handle] = scan(folder)
    return sites, notes


def resolve_manifest_path(component: Component, path: str) -> Path:
    """A path written in the manifest of ``component``, as a path on this machine."""
    return (Path(component.where.file).parent / path).resolve()
