"""Name the base images that moved since an image was built: the tag of a base is somebody else's to move.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.artefacts import Image
from orchestrator.release import Ledger, Release

SHOWN_DIGITS = len("sha256:") + 12


def list_notes(ledger: Ledger, images: Mapping[str, Image]) -> Iterator[str]:
    """Yield a note for each base of an image to build that has another digest than in the current release."""
    release = ledger.last_complete
    for handle, image in images.items():
        built = release.vector.images.get(handle) if release else None
        if release is None or built is None or built.tag == image.tag:
            continue
        before = _find_bases(ledger, handle, built.tag)
        for name, digest in image.bases.items():
            if name in before and before[name] != digest:
                yield (
                    f"{handle}: the base image {name} moved since release {release.number} "
                    f"({before[name][:SHOWN_DIGITS]} → {digest[:SHOWN_DIGITS]}), so the image is built again. To "
                    f"decide when a base changes, pin it: {name}@{before[name]}"
                )


def _find_bases(ledger: Ledger, handle: str, tag: str) -> Mapping[str, str]:
    """Return the bases with which an image was built, from any release that built it; {} if none recorded them."""
    builds = [release for release in ledger.releases if _has_tag(release, handle, tag)]
    return next((release.bases[handle] for release in reversed(builds) if handle in release.bases), {})


def _has_tag(release: Release, handle: str, tag: str) -> bool:
    image = release.vector.images.get(handle)
    return image is not None and image.tag == tag
