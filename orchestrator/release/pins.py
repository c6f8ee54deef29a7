"""Pins: the parts that a rollback holds back until they change.  Pure.

A pin refuses one content of one part.  While the checkout still has that content, the content of the restored release
is used instead.  Any other content counts as the fix, and the release that ships it lifts the pin.
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
    """The pins that apply to the checkout, and the pins that its changes lift."""

    held: tuple[Pin, ...] = ()
    lifted: tuple[Pin, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(map(describe, group_by_rollback(self.held)))

    def __add__(self, other: PinResolution) -> PinResolution:
        return PinResolution(self.held + other.held, self.lifted + other.lifted)


def group_by_rollback(pins: Iterable[Pin]) -> tuple[tuple[Pin, ...], ...]:
    """Group pins by the rollback that created them, so that a report shows their reason once."""
    groups: dict[tuple[int, int, str], list[Pin]] = {}
    for pin in pins:
        groups.setdefault((pin.left, pin.release, pin.reason), []).append(pin)
    return tuple(map(tuple, groups.values()))


def describe(pins: tuple[Pin, ...]) -> str:
    """Return a sentence about the held pins of one rollback, with the command that removes them."""
    reason = f" ({pins[0].reason})" if pins[0].reason else ""
    named_parts = [pin.part.partition(":") for pin in pins]
    part_list = ", ".join(f"{name} ({kind})" for kind, _, name in named_parts)
    is_plural = len(pins) > 1
    return (
        f"Release {pins[0].left} was rolled back{reason}, and the checkout has the same content: "
        f"{part_list} {'stay' if is_plural else 'stays'} at release {pins[0].release}. "
        f"To lift {'a pin, change the part' if is_plural else 'the pin, change it'} "
        f"or run: orchestrator unpin {' '.join(pin.part for pin in pins)}"
    )


def differing_parts(old_release: Release, new_release: Release, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield each part that differs between two releases, with the identity of its content in ``old_release``."""
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
    """Return the pins of a rollback from ``old_release`` to ``new_release``, for ``chosen_parts``."""
    part_set = set(chosen_parts)
    return tuple(
        Pin(part, refused, new_release.number, old_release.number, at, by, reason)
        for part, refused in differing_parts(old_release, new_release, ledger)
        if part in part_set
    )


def merge_pins(ledger: Ledger, new_pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """Return the ledger's pins with ``new_pins`` added; several contents of one part may be refused."""
    added_pins = {(pin.part, pin.refused): pin for pin in new_pins}
    # The replacement of an older pin may be refused now: all pins of a part use the newest replacement.
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
    """Return, by handle, the documents that replace current ones (None: remove it), and the resolved pins."""
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
    """Return ``artefacts`` with every refused build replaced by the restored release's image."""
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
    """Return, by handle, the digests of earlier sites that replace refused ones."""
    replacements: dict[str, str] = {}
    held, lifted = [], []
    for pin, name in _pins_of_kind(ledger, "site"):
        release = ledger.find(pin.release)
        replacement = release.vector.sites.get(name) if release else None
        if name in artefacts.sites and artefacts.sites[name].digest == pin.refused and replacement is not None:
            replacements[name] = replacement
            held.append(pin)
        elif name in artefacts.sites:  # only a site that was built can lift its pin
            lifted.append(pin)
        else:
            held.append(pin)
    return replacements, _build_resolution(held, lifted)


def resolve_secrets(
    ledger: Ledger, current_documents: Mapping[str, ManifestDocument]
) -> tuple[Mapping[str, str], PinResolution]:
    """Return, by handle, the version ids of secrets that stay at the restored release's version."""
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
    """Lift a pin only if no other pin of its part is held: the part has no new content yet."""
    held_parts = {pin.part for pin in held}
    return PinResolution(tuple(held), tuple(pin for pin in lifted if pin.part not in held_parts))


def _document_digests(ledger: Ledger, release: Release | None) -> dict[str, str]:
    return (
        {document_handle(document): document_digest(document) for document in ledger.documents_of(release)}
        if release
        else {}
    )
