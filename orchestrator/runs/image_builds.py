"""Build the images of a checkout in a job without credentials, and take over what such a job has built."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.problems import Problems
from orchestrator.runs.display import display_build
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.artefacts.images.build_inputs import Recipe
    from orchestrator.artefacts.images.built_image import BuiltImage, BuiltImages

FOLDER_NAME = "images"


def save_built_images(settings: Settings, target: Path, pushed_tags: Collection[str] = ()) -> dict[str, BuiltImage]:
    """Build the images of the checkout into ``target``, and return what became of each, by component handle.

    Images with ``pushed_tags`` are in the registry already.  An image whose base is in a private registry of AWS is
    left to the job that has a login.  Raises Problems if the manifests are invalid or a build fails.
    """
    from orchestrator.artefacts import collect
    from orchestrator.planning import pipeline
    from orchestrator.release import promotion

    manifest = pipeline.validate(settings.manifests, settings.environment)
    built = {}
    for component, recipe in collect.iter_recipes(promotion.list_built_components(manifest)):
        folder = target / FOLDER_NAME / component.handle
        if (image := _build_image(settings, component.handle, recipe, folder, pushed_tags)) is not None:
            built[component.handle] = image
    return built


def _build_image(
    settings: Settings, handle: str, recipe: Recipe, folder: Path, pushed_tags: Collection[str]
) -> BuiltImage | None:
    """Build one image, unless it is known; return None if it has to be built with a login.  Raises Problems."""
    from orchestrator.artefacts.images import builder
    from orchestrator.artefacts.images.build_inputs import compute_tag
    from orchestrator.artefacts.images.built_image import BuiltImage

    if builder.needs_registry_login(recipe):
        settings.terminal.print_out(
            f"{handle}: a base image is in a private AWS registry, so the deploy job builds this image."
        )
        return None
    tag = compute_tag(recipe)
    if tag in pushed_tags:
        settings.terminal.print_out(f"{handle}: an earlier run pushed the image for these inputs ({tag}).")
        return BuiltImage(tag)
    with display_build(handle, ["build", recipe.source], settings) as on_output:
        digest = builder.build_to_folder(recipe, handle.partition(".")[2], tag, folder, on_output=on_output)
    return BuiltImage(tag, digest)


def read_built_images(source: Path, text: str) -> BuiltImages | None:
    """Return the images in ``source`` that a build job describes by the JSON ``text``; None if that is empty.

    Raises Problems if the text is not what such a job writes.
    """
    from orchestrator.artefacts.images.built_image import BuiltImage, BuiltImages

    if not text:
        return None
    try:
        images = msgspec.json.decode(text, type=dict[str, BuiltImage])
    except msgspec.MsgspecError as error:
        raise Problems.from_message(f"the build job describes its images in an unknown format: {error}") from None
    return BuiltImages(source / FOLDER_NAME, images)
