"""What a rollback holds back, and until when.  Pure.

A pin refuses one content of one part.  The same content again is replaced by what the rollback went back to; any other
content is taken for the fix, and the pin is lifted by the release that ships it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image
from orchestrator.release import Ledger, ManifestDocument, Pin, Release
from orchestrator.release.manifest_documents import document_digest, document_handle

PARTS = ("image", "site", "secret", "manifest")


class PinResolution(Struct, frozen=True):
    """Pins that hold, in words for the plan's reader, and pins that what is wanted now has lifted."""

    held: tuple[Pin, ...] = ()
    lifted: tuple[Pin, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(map(describe, group_by_rollback(self.held)))

    def __add__(self, other: PinResolution) -> PinResolution:
        return PinResolution(self.held + other.held, self.lifted + other.lifted)


def group_by_rollback(pins: Iterable[Pin]) -> tuple[tuple[Pin, ...], ...]:
    """The pins by the rollback that made them: what they have in common is told once."""
    groups: dict[tuple[int, int, str], list[Pin]] = {}
    for pin in pins:
        groups.setdefault((pin.left, pin.release, pin.reason), []).append(pin)
    return tuple(map(tuple, groups.values()))


def describe(pins: tuple[Pin, ...]) -> str:
    """Held pins of one rollback, with their way out."""
    reason = f" ({pins[0].reason})" if pins[0].reason else ""
    named_parts = [pin.part.partition(":") for pin in pins]
    part_list = ", ".join(f"{name} ({kind})" for kind, _, name in named_parts)
    is_plural = len(pins) > 1
    return (
        f"release {pins[0].left} was rolled back{reason}, and what is wanted now is the same again: "
        f"{part_list} {'stay' if is_plural else 'stays'} as in release {pins[0].release}. "
        f"A change of {'one' if is_plural else 'it'} lifts this, "
        f"or: orchestrator unpin {' '.join(pin.part for pin in pins)}"
    )


def differing_parts(old_release: Release, new_release: Release, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Each part in which ``before`` differs from ``after``, and what identifies its content in ``before``."""
    for name, image in old_release.vector.images.items():
        if image.tag and image != new_release.vector.images.get(name):
            yield f"image:{name}", image.tag
    for name, digest in old_release.vector.sites.items():
        if digest != new_release.vector.sites.get(name):
            yield f"site:{name}", digest
    old_digests, new_digests = _document_digests(ledger, old_release), _document_digests(ledger, new_release)
    for name, version in old_release.vector.secrets.items():
        if version != new_release.vector.secrets.get(name):
            yield f"secret:{name}", old_digests.get(name, "")
    for name in sorted({*old_digests, *new_digests}):
        if old_digests.get(name) != new_digests.get(name):
            yield f"manifest:{name}", old_digests.get(name, "")


def create_pins(
    old_release: Release,
    new_release: Release,
    ledger: Ledger,
    chosen_parts: Iterable[str],
    at: str,
    by: str,
    reason: str,
) -> tuple[Pin, ...]:
    """The pins of a rollback from ``before`` to ``after``, for the ``chosen`` parts."""
    wanted_parts = set(chosen_parts)
    return tuple(
        Pin(part, refused, new_release.number, old_release.number, at, by, reason)
        for part, refused in differing_parts(old_release, new_release, ledger)
        if part in wanted_parts
    )


def merge_pins(ledger: Ledger, new_pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """The ledger's pins with ``fresh`` ones beside them; several contents of one part may be refused."""
    added_pins = {(pin.part, pin.refused): pin for pin in new_pins}
    # What an older pin gave in its stead may be what is refused now: all pins of a part lead to the newest answer.
    replacement_releases = {pin.part: pin.release for pin in added_pins.values()}
    kept_pins = [
        replace(pin, release=replacement_releases.get(pin.part, pin.release))
        for pin in ledger.pins
        if (pin.part, pin.refused) not in added_pins
    ]
    return (*kept_pins, *added_pins.values())


def resolve_documents(
    ledger: Ledger, current_documents: Mapping[str, ManifestDocument]
) -> tuple[Mapping[str, ManifestDocument | None], PinResolution]:
    """By handle, the documents to put in place of ``wanted`` ones (None: leave it out), and which pins that is."""
    replacements: dict[str, ManifestDocument | None] = {}
    held, lifted = [], []
    for pin, name in _pins_of_kind(ledger, "manifest"):
        current_digest = document_digest(current_documents[name]) if name in current_documents else ""
        if current_digest != pin.refused:
            lifted.append(pin)
            continue
        held.append(pin)
        release = ledger.find(pin.release)
        release_documents = (
            {document_handle(document): document for document in ledger.documents_of(release)} if release else {}
        )
        replacements[name] = release_documents.get(name)
    return replacements, _build_resolution(held, lifted)


def resolve_images(ledger: Ledger, artefacts: Artefacts) -> tuple[Artefacts, PinResolution]:
    """``artefacts`` with every refused build replaced by the image that was gone back to."""
    resolved_images = dict(artefacts.images)
    held, lifted = [], []
    for pin, name in _pins_of_kind(ledger, "image"):
        release = ledger.find(pin.release)
        replacement = release.vector.images.get(name) if release else None
        if name in resolved_images and artefacts.images[name].tag == pin.refused and replacement is not None:
            resolved_images[name] = Image(replacement.tag, resolved_images[name].build, replacement.digest)
            held.append(pin)
        else:
            lifted.append(pin)
    return replace(artefacts, images=resolved_images), _build_resolution(held, lifted)


def resolve_sites(ledger: Ledger, artefacts: Artefacts) -> tuple[Mapping[str, str], PinResolution]:
    """Digests of earlier sites that stand in for refused ones, by handle."""
    replacements: dict[str, str] = {}
    held, lifted = [], []
    for pin, name in _pins_of_kind(ledger, "site"):
        release = ledger.find(pin.release)
        replacement = release.vector.sites.get(name) if release else None
        if name in artefacts.sites and artefacts.sites[name].digest == pin.refused and replacement is not None:
            replacements[name] = replacement
            held.append(pin)
        elif name in artefacts.sites:  # a site that was not built says nothing
            lifted.append(pin)
        else:
            held.append(pin)
    return replacements, _build_resolution(held, lifted)


def resolve_secrets(
    ledger: Ledger, current_documents: Mapping[str, ManifestDocument]
) -> tuple[Mapping[str, str], PinResolution]:
    """Version ids of secrets that stay as they were gone back to, by handle."""
    replacements: dict[str, str] = {}
    held, lifted = [], []
    for pin, name in _pins_of_kind(ledger, "secret"):
        release = ledger.find(pin.release)
        replacement = release.vector.secrets.get(name) if release else None
        held_digests = {pin.refused, _document_digests(ledger, release).get(name, "")} if release else set()
        if (
            replacement is not None
            and name in current_documents
            and document_digest(current_documents[name]) in held_digests
        ):
            replacements[name] = replacement
            held.append(pin)
        else:
            lifted.append(pin)
    return replacements, _build_resolution(held, lifted)


def _pins_of_kind(ledger: Ledger, kind: str) -> list[tuple[Pin, str]]:
    return [(pin, pin.part.partition(":")[2]) for pin in ledger.pins if pin.part.startswith(f"{kind}:")]


def _build_resolution(held: list[Pin], lifted: list[Pin]) -> PinResolution:
    """A part of which one content is held keeps its other pins: nothing new has come yet."""
    held_parts = {pin.part for pin in held}
    return PinResolution(tuple(held), tuple(pin for pin in lifted if pin.part not in held_parts))


def _document_digests(ledger: Ledger, release: Release | None) -> dict[str, str]:
    return (
        {document_handle(document): document_digest(document) for document in ledger.documents_of(release)}
        if release
        else {}
    )
