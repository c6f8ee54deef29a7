"""Take over what an earlier job of the run has built without credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from orchestrator.problems import Problems
from orchestrator.runs import image_builds, site_builds

if TYPE_CHECKING:
    from orchestrator.artefacts.images.built_image import BuiltImages
    from orchestrator.runs.settings import Settings


class _NeededJob(Struct, frozen=True):
    result: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


class BuildJob(Struct, frozen=True):
    """The folder where a job has left what it built, its result, what it said if it failed, and about its images.

    The digests of the images come from the outputs of the job, not from the folder, which is an artefact.
    """

    folder: Path
    result: str = ""
    failure: str = ""
    images: str = ""

    @classmethod
    def parse(cls, folder: Path, text: str) -> BuildJob:
        """Return the job that ``text`` describes as GitHub's context ``needs`` does.  Raises Problems."""
        try:
            job = msgspec.json.decode(text, type=_NeededJob) if text else _NeededJob()
        except msgspec.MsgspecError as error:
            raise Problems.from_message(
                f"--build-job is not valid JSON of GitHub's `needs.build` context: {error}"
            ) from None
        return cls(folder, job.result, job.outputs.get("failure", ""), job.outputs.get("images", ""))

    def restore_sites(self, settings: Settings) -> bool:
        """Put the sites into the checkout and return whether that was possible.  Raises Problems if the job failed."""
        return site_builds.restore_built_sites(settings, self.folder, self.result, self.failure)

    def read_images(self) -> BuiltImages | None:
        """Return the images, or None if the checkout has none.  Raises Problems."""
        return image_builds.read_built_images(self.folder, self.images)

    def save_tags(self, file: Path) -> None:
        """Write the tags of the images that the job of the next run need not build, one per line.

        A hint only: a deploy builds an image that is not in the registry.
        """
        if (built := self.read_images()) is not None:
            file.write_text("".join(f"{image.tag}\n" for image in built.images.values()))
