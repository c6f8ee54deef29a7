"""Collect the images and sites that a checkout would ship. Reads files; writes and builds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.artefacts import Artefacts, Image, Site, repository_paths
from orchestrator.quantities import format_count
from orchestrator.vocabulary import Component

if TYPE_CHECKING:
    from orchestrator.artefacts.images.base_image import FindDigest
    from orchestrator.artefacts.images.build_inputs import Recipe
    from orchestrator.artefacts.sites.site_options import SiteOptions

MAX_NAMED_FILES = 5
"""How many files a note names."""


def collect_artefacts(components: Iterable[Component], find_digest: FindDigest | None = None) -> Artefacts:
    """Return the images and sites of resolved ``components``.

    ``find_digest`` resolves base images that are not asked for at their registry. Paths in a manifest are relative to
    the file that contains them. Raises Problems if a folder or a Dockerfile is missing or unreadable.
    """
    component_list = list(components)
    images, image_notes = _collect_images(component_list, find_digest)
    sites, site_notes = _collect_sites(component_list)
    return Artefacts(images=images, sites=sites, notes=(*image_notes, *site_notes))


def placeholder_artefacts(components: Iterable[Component]) -> Artefacts:
    """Return placeholder images for ``components``, for commands that ship nothing. Reads no files."""
    handles = [component.handle for component in components if (component.spec.get("image") or {}).get("build")]
    return Artefacts(images={handle: Image("none", digest="none") for handle in handles})


def _collect_images(components: list[Component], find_digest: FindDigest | None) -> tuple[dict[str, Image], list[str]]:
    """Return the images to build, by component handle, and a note for each whose hash changes with every commit."""
    images, notes = {}, []
    for component, recipe in iter_recipes(components):
        from orchestrator.artefacts.images import dockerignore
        from orchestrator.artefacts.images.build_inputs import compute_tag, resolve_bases

        if dockerignore.includes_git(recipe.context, recipe.dockerfile):
            context = component.spec["image"]["build"]["context"]
            notes.append(
                f"{component.handle}: the build context {context} contains .git, so every commit builds a new "
                f"image. Add `.git` to {context}/.dockerignore."
            )
        tag = compute_tag(recipe, find_digest)
        bases = {name: digest for name, digest in resolve_bases(recipe, find_digest).items() if digest != name}
        images[component.handle] = Image(tag, recipe.fields, bases=bases)
    return images, notes


def iter_recipes(components: Iterable[Component]) -> Iterator[tuple[Component, Recipe]]:
    """Yield each component whose image is built, with its build.

    Raises Problems if a path of the build is outside the repository.
    """
    for component in components:
        if build := (component.spec.get("image") or {}).get("build"):
            yield component, _build_recipe(component, build)


def _build_recipe(component: Component, build: Mapping[str, Any]) -> Recipe:
    from orchestrator.artefacts.images.build_inputs import Recipe

    context = repository_paths.resolve(component, build["context"], "context")
    dockerfile = (context / build["dockerfile"]).resolve()
    repository_paths.check_inside(component, dockerfile, f"`dockerfile: {build['dockerfile']}`")
    return Recipe(
        context,
        dockerfile,
        build["args"],
        build.get("target"),
        build["platform"],
        build["resolveBases"],
        f"{build['context']} with {build['dockerfile']}",
        build["sbom"],
    )


def _collect_sites(components: list[Component]) -> tuple[dict[str, Site], list[str]]:
    """Return the sites that exist on disk, and a note for each that must be built first."""
    sites, notes = {}, []
    for component in components:
        spa = component.spec.get("spa")
        if not spa:
            continue
        folder = repository_paths.resolve(component, spa["dir"], "dir")
        if spa.get("build") and not folder.exists():
            notes.append(
                f"{component.handle}: the site is not built ({spa['dir']} does not exist), so the plan leaves it "
                "unchanged. `orchestrator deploy` builds it first."
            )
        else:
            from orchestrator.artefacts.sites import site_options
            from orchestrator.artefacts.sites.folder import scan

            options = site_options.from_spec(spa)
            site = sites[component.handle] = scan(folder, options)
            notes += [*_note_unknown_types(component, site, options), *_note_revalidated(component, site)]
    return sites, notes


def _note_revalidated(component: Component, site: Site) -> Iterator[str]:
    """Yield a note if the names of files look hashed, and nothing says that they are."""
    from orchestrator.artefacts.sites.http_headers import REVALIDATE_CACHE_CONTROL

    asked = [file for file in site.files.values() if not file.entry and file.cache_control == REVALIDATE_CACHE_CONTROL]
    if asked:
        yield (
            f"{component.handle}: the names of {format_count(len(asked), 'file')} look hashed, but no bundler manifest "
            "lists them, so browsers revalidate them on every visit. With Vite, set `build.manifest: true`; otherwise, "
            "set `cacheControl` for them in `spa.headers`."
        )


def _note_unknown_types(component: Component, site: Site, options: SiteOptions) -> Iterator[str]:
    """Yield a note if the type of some files is not known: browsers download them instead of showing them."""
    from orchestrator.artefacts.sites import media_types

    paths = [key.removeprefix(site.prefix) for key in site.files]
    unknown = [
        path
        for path in paths
        if media_types.find(path) is None and not any(rule.content_type for rule in options.rules_for(path))
    ]
    if unknown:
        named = ", ".join(unknown[:MAX_NAMED_FILES]) + (" ..." if len(unknown) > MAX_NAMED_FILES else "")
        yield (
            f"{component.handle}: the media type of {format_count(len(unknown), 'file')} is unknown; served as "
            f"{media_types.UNKNOWN_TYPE}: {named}. Set the type with `spa.headers`."
        )
