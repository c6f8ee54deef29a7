"""Carry a built image from the job that builds it to the job that pushes it.

The first has no credentials, the second runs nobody's code: it pushes the blobs through the registry's API as they
are. A folder has the image as ``image_layout`` writes it, and its packages beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Image
from orchestrator.artefacts.build_process import OnOutput, ignore_output
from orchestrator.artefacts.images import image_layout, registry_client, registry_push, sbom
from orchestrator.artefacts.images.package_inventory import PackageInventory
from orchestrator.artefacts.images.registry_client import Descriptor, ImageReference
from orchestrator.problems import Problems

PACKAGES_FILE = "packages.json"
Credentials = tuple[str, str]


class BuiltImage(Struct, frozen=True):
    """What a build job says about an image: its ``tag``, the hash of the inputs, and the ``digest`` of the manifest.

    ``digest`` is "" if the job has not built it: the registry has it, or its base needs a login.
    """

    tag: str
    digest: str = ""


class BuiltImages(Struct, frozen=True):
    """What a build job says about the images of a checkout, by component handle, and the folder where it left them."""

    folder: Path
    images: Mapping[str, BuiltImage]

    def attach_to(self, images: Mapping[str, Image]) -> dict[str, Image]:
        """Return ``images`` with the folder and digest of each that was built from the same inputs."""
        return {handle: self._attach(handle, image) for handle, image in images.items()}

    def _attach(self, handle: str, image: Image) -> Image:
        built = self.images.get(handle)
        if built is None or not built.digest or built.tag != image.tag:
            return image
        location = {"built_image": str(self.folder / handle), "built_digest": built.digest}
        return replace(image, build={**image.build, **location})


def save(archive: Path, inventory: PackageInventory | None, folder: Path) -> str:
    """Write the image of a Docker archive to ``folder``, and return the digest of its manifest.  Raises Problems."""
    digest = image_layout.write_layout(archive, folder)
    if inventory is not None:
        (folder / PACKAGES_FILE).write_bytes(msgspec.json.encode(inventory))
    return digest


def push(
    folder: Path, digest: str, target: ImageReference, credentials: Credentials, on_output: OnOutput = ignore_output
) -> str:
    """Push the image in ``folder`` as ``target`` with its SBOM, and return ``digest``, which the registry confirms.

    If the tag exists already, another run has pushed it, and the digest of its image is returned.  Raises Problems if
    a byte of the image differs from what was built, or the registry has another image afterwards.
    """
    manifest = image_layout.read_manifest(folder, digest)
    existing = registry_client.fetch_descriptor(target, credentials)
    if existing is not None:
        on_output(f"Another run has pushed {target.repository}:{target.tag}.")
        return existing.digest
    on_output(f"Pushing image {digest} from the build job.")
    try:
        _push_blobs(folder, manifest, target, credentials, on_output)
    except Problems:
        existing = registry_client.fetch_descriptor(target, credentials)
        if existing is None:
            raise
        return existing.digest  # tags are immutable: a run at the same time was faster
    descriptor = registry_client.fetch_descriptor(target, credentials)
    if descriptor is None or descriptor.digest != digest:
        found = descriptor.digest if descriptor else "nothing"
        message = f"the build job built {digest}, but the registry has {found} as {target.repository}:{target.tag}"
        raise Problems.from_message(
            message, hint="nothing was deployed because another process moved the tag; run the command again"
        )
    _push_packages(folder, manifest, descriptor, target, credentials)
    return digest


def _push_blobs(
    folder: Path, manifest: bytes, target: ImageReference, credentials: Credentials, on_output: OnOutput
) -> None:
    with registry_push.open_repository(target.registry, target.repository, credentials) as repository:
        for blob in image_layout.list_blobs(manifest):
            path = image_layout.blob_path(folder, blob)
            _verify_blob(path, blob)
            on_output(f"Pushing {blob} ({path.stat().st_size:,} bytes).")
            repository.push_blob_file(path, blob)
        repository.push_manifest(manifest, image_layout.MANIFEST_MEDIA_TYPE, target.tag)


def _push_packages(
    folder: Path, manifest: bytes, descriptor: Descriptor, target: ImageReference, credentials: Credentials
) -> None:
    packages = folder / PACKAGES_FILE
    if packages.exists():
        inventory = msgspec.json.decode(packages.read_bytes(), type=PackageInventory)
        labels = image_layout.read_labels(folder, manifest)
        push_sbom(sbom.build_document(inventory, target, descriptor.digest, labels), descriptor, target, credentials)


def push_sbom(bom: bytes, image: Descriptor, target: ImageReference, credentials: Credentials) -> None:
    """Push the SBOM as a referrer of the image. Raises Problems."""
    try:
        with registry_push.open_repository(target.registry, target.repository, credentials) as repository:
            repository.push_blob(sbom.EMPTY_CONFIG)
            repository.push_blob(bom)
            repository.push_manifest(sbom.build_referrer(bom, image), sbom.MANIFEST_MEDIA_TYPE)
    except Problems as error:
        message = f"the image was pushed, but its SBOM was not: {error.problems[0].message}"
        hint = "nothing was deployed; to deploy the image without an SBOM, run the command again"
        raise Problems.from_message(message, hint=hint) from None


def _verify_blob(path: Path, digest: str) -> None:
    try:
        with path.open("rb") as file:
            actual = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        actual = "missing"
    if actual != digest:
        message = f"the image changed after it was built: blob {digest} is {actual}"
        raise Problems.from_message(message, hint="run the workflow again; the image was not pushed")
