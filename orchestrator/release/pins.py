"""Pins: what a rollback holds back until the part at fault changes.  Pure.

A rollback pins every part that it restores, together: the parts of one commit are tested together, so they are held
back and released together.  While a pin holds, everything that is served stays at the current release; only what is not
served follows the checkout.  A change of every component that may be at fault lifts the pins of its rollback.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts
from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.release import Ledger, ManifestDocument, Pin, Release
from orchestrator.release.manifest_documents import document_digest, document_handle

PARTS = ("image", "site", "secret", "manifest")
SERVED_KINDS = frozenset({"ContainerService", "Cdn", "Secret"})
"""Kinds that take part in what users are served; so does a Bucket with a site."""
PROJECT_PREFIX = "project."


class PinResolution(Struct, frozen=True):
    """The pins that apply to the checkout, and the pins that its changes lift.

    ``undecided`` are the held pins of which the checkout changes some suspects, but not all: it is not known whether
    it fixes what was rolled back.  ``suspects`` are those that it changes.
    """

    held: tuple[Pin, ...] = ()
    lifted: tuple[Pin, ...] = ()
    undecided: tuple[Pin, ...] = ()
    suspects: frozenset[str] = frozenset()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(map(describe, group_by_rollback(self.held)))

    def raise_if_undecided(self) -> None:
        """Raise Problems (exit code 6), with the choices as commands, if a person has to say which part is at fault."""
        problems = [_describe_choice(pins, self.suspects) for pins in group_by_rollback(self.undecided)]
        if problems:
            raise Problems(problems, ExitCode.UNREVIEWED)


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
    suspects = " and ".join(sorted(list_suspects(pins)))
    return (
        f"Release {pins[0].left} was rolled back{reason}, and the checkout has the same content: "
        f"{part_list} {'stay' if len(pins) > 1 else 'stays'} at release {pins[0].release}, "
        f"and no other part changes either. To release the checkout, change {suspects}. To release it "
        "unchanged, start the workflow `deploy` with `unpin: all`, or run: "
        f"orchestrator unpin {' '.join(pin.part for pin in pins)}"
    )


def list_suspects(pins: Iterable[Pin]) -> frozenset[str]:
    """Return the components of one rollback that may be at fault: those that are known to be, or else all."""
    pin_list = list(pins)
    components = frozenset(_component(pin) for pin in pin_list if pin.at_fault) or frozenset(map(_component, pin_list))
    return frozenset(name for name in components if not name.startswith(PROJECT_PREFIX)) or components


def blame(pins: Iterable[Pin], components: Iterable[str]) -> tuple[Pin, ...]:
    """Return ``pins`` with ``components`` at fault, in every rollback that pinned one of them."""
    named = frozenset(components)
    return tuple(
        replace(pin, at_fault=_component(pin) in named) if named & frozenset(map(_component, group)) else pin
        for group in group_by_rollback(pins)
        for pin in group
    )


def expand_parts(pins: Iterable[Pin], parts: Iterable[str]) -> frozenset[Pin]:
    """Return the pins of every rollback that pinned one of ``parts``: they are lifted together."""
    named = frozenset(parts)
    return frozenset(pin for group in group_by_rollback(pins) if named & {pin.part for pin in group} for pin in group)


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


def create_pins(  # noqa: PLR0913 - the fields of a pin
    old_release: Release,
    new_release: Release,
    ledger: Ledger,
    chosen_parts: Iterable[str],
    at: str,
    by: str,
    reason: str,
    at_fault: Iterable[str] = (),
) -> tuple[Pin, ...]:
    """Return the pins of a rollback from ``old_release`` to ``new_release``, for ``chosen_parts``.

    ``at_fault`` are the components that are known to have failed.
    """
    part_set, faulty = set(chosen_parts), set(at_fault)
    return tuple(
        Pin(part, refused, new_release.number, old_release.number, at, by, reason, part.partition(":")[2] in faulty)
        for part, refused in differing_parts(old_release, new_release, ledger)
        if part in part_set
    )


def merge_pins(ledger: Ledger, new_pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """Return the ledger's pins with ``new_pins`` added; several contents of one part may be refused."""
    added_pins = {(pin.part, pin.refused, pin.left): pin for pin in new_pins}
    kept_pins = [pin for pin in ledger.pins if (pin.part, pin.refused, pin.left) not in added_pins]
    return (*kept_pins, *added_pins.values())


def resolve(ledger: Ledger, documents: Mapping[str, ManifestDocument], artefacts: Artefacts) -> PinResolution:
    """Return which pins hold for a checkout with ``documents`` and ``artefacts``, and which it lifts.

    Pins are lifted only all at once: while one rollback holds, all of what is served stays.
    """
    held: list[Pin] = []
    undecided: list[Pin] = []
    suspects: set[str] = set()
    for group in group_by_rollback(ledger.pins):
        changed = {name for name in list_suspects(group) if _is_changed(name, group, documents, artefacts)}
        if changed == list_suspects(group):
            continue
        held += group
        undecided += group if changed else ()
        suspects |= changed
    return PinResolution(tuple(held), () if held else ledger.pins, tuple(undecided), frozenset(suspects))


def hold_documents(
    ledger: Ledger, base: Release, held: Iterable[Pin], documents: Mapping[str, ManifestDocument]
) -> Mapping[str, ManifestDocument | None]:
    """Return, by handle, the documents that replace those of the checkout while pins hold (None: remove it)."""
    base_documents = {document_handle(document): document for document in ledger.documents_of(base)}
    pinned = {_component(pin) for pin in held if pin.part.startswith("manifest:")}
    served = {
        handle
        for source in (documents, base_documents)
        for handle, document in source.items()
        if document.value["kind"] in SERVED_KINDS or "spa" in (document.value.get("spec") or {})
    }
    return {
        handle: base_documents.get(handle)
        for handle in sorted(pinned | served)
        if documents.get(handle) != base_documents.get(handle)
    }


def _is_changed(
    component: str, pins: Iterable[Pin], documents: Mapping[str, ManifestDocument], artefacts: Artefacts
) -> bool:
    return any(_is_part_changed(pin, documents, artefacts) for pin in pins if _component(pin) == component)


def _is_part_changed(pin: Pin, documents: Mapping[str, ManifestDocument], artefacts: Artefacts) -> bool:
    kind, _, name = pin.part.partition(":")
    if kind == "image":
        image = artefacts.images.get(name)
        return image is None or bool(image.rebuild) or image.tag != pin.refused
    if kind == "site":
        # Only a site that was built can lift its pin.
        is_built = name in artefacts.sites
        return artefacts.sites[name].digest != pin.refused if is_built else name not in documents
    return (document_digest(documents[name]) if name in documents else "") != pin.refused


def _describe_choice(pins: tuple[Pin, ...], changed: frozenset[str]) -> Problem:
    suspects = list_suspects(pins)
    others = sorted(suspects - changed)
    reason = f" ({pins[0].reason})" if pins[0].reason else ""
    message = (
        f"release {pins[0].left} was rolled back{reason}, and it is not known which of its components caused the "
        f"problem: the checkout changes {', '.join(sorted(suspects & changed))}, but not {', '.join(others)}. "
        "Nothing was changed"
    )
    hint = (
        f"if the checkout fixes the problem, start the workflow `deploy` with `unpin: all`, or run: "
        f"orchestrator unpin {' '.join(pin.part for pin in pins)}; "
        f"otherwise, keep the release pinned: orchestrator blame {' '.join(others)}; then deploy again"
    )
    return Problem(message, hint=hint)


def _component(pin: Pin) -> str:
    return pin.part.partition(":")[2]


def _document_digests(ledger: Ledger, release: Release | None) -> dict[str, str]:
    return (
        {document_handle(document): document_digest(document) for document in ledger.documents_of(release)}
        if release
        else {}
    )
