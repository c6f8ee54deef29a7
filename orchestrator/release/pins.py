"""What a rollback holds back, and until when.  Pure.

A pin refuses one content of one part.  The same content again is replaced by what the rollback went back to; any other
content is taken for the fix, and the pin is lifted by the release that ships it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.artefacts import Artefacts, Image
from orchestrator.release import Ledger, Pin, Release, Written
from orchestrator.release.manifest_documents import handle, identity

PARTS = ("image", "site", "secret", "manifest")


class Honoured(Struct, frozen=True):
    """Pins that hold, in words for the plan's reader, and pins that what is wanted now has lifted."""

    held: tuple[Pin, ...] = ()
    lifted: tuple[Pin, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(map(sentence, together(self.held)))

    def __add__(self, other: Honoured) -> Honoured:
        return Honoured(self.held + other.held, self.lifted + other.lifted)


def together(pins: Iterable[Pin]) -> tuple[tuple[Pin, ...], ...]:
    """The pins by the rollback that made them: what they have in common is told once."""
    found: dict[tuple[int, int, str], list[Pin]] = {}
    for pin in pins:
        found.setdefault((pin.left, pin.release, pin.reason), []).append(pin)
    return tuple(map(tuple, found.values()))


def sentence(held: tuple[Pin, ...]) -> str:
    """Held pins of one rollback, with their way out."""
    why = f" ({held[0].reason})" if held[0].reason else ""
    named = [pin.part.partition(":") for pin in held]
    what = ", ".join(f"{name} ({kind})" for kind, _, name in named)
    several = len(held) > 1
    return (
        f"release {held[0].left} was rolled back{why}, and what is wanted now is the same again: {what} "
        f"{'stay' if several else 'stays'} as in release {held[0].release}. A change of {'one' if several else 'it'} "
        f"lifts this, or: orchestrator unpin {' '.join(pin.part for pin in held)}"
    )


def parts(before: Release, after: Release, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Each part in which ``before`` differs from ``after``, and what identifies its content in ``before``."""
    for name, built in before.vector.images.items():
        if built.tag and built != after.vector.images.get(name):
            yield f"image:{name}", built.tag
    for name, digest in before.vector.sites.items():
        if digest != after.vector.sites.get(name):
            yield f"site:{name}", digest
    old, new = _documents(ledger, before), _documents(ledger, after)
    for name, version in before.vector.secrets.items():
        if version != after.vector.secrets.get(name):
            yield f"secret:{name}", old.get(name, "")
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"manifest:{name}", old.get(name, "")


def made(
    before: Release, after: Release, ledger: Ledger, chosen: Iterable[str], at: str, by: str, why: str
) -> tuple[Pin, ...]:
    """The pins of a rollback from ``before`` to ``after``, for the ``chosen`` parts."""
    wanted = set(chosen)
    return tuple(
        Pin(part, refused, after.number, before.number, at, by, why)
        for part, refused in parts(before, after, ledger)
        if part in wanted
    )


def renew(ledger: Ledger, fresh: Iterable[Pin]) -> tuple[Pin, ...]:
    """The ledger's pins with ``fresh`` ones beside them; several contents of one part may be refused."""
    added = {(pin.part, pin.refused): pin for pin in fresh}
    # What an older pin gave in its stead may be what is refused now: all pins of a part lead to the newest answer.
    answers = {pin.part: pin.release for pin in added.values()}
    kept = [
        replace(pin, release=answers.get(pin.part, pin.release))
        for pin in ledger.pins
        if (pin.part, pin.refused) not in added
    ]
    return (*kept, *added.values())


def documents(ledger: Ledger, wanted: Mapping[str, Written]) -> tuple[Mapping[str, Written | None], Honoured]:
    """By handle, the documents to put in place of ``wanted`` ones (None: leave it out), and which pins that is."""
    instead: dict[str, Written | None] = {}
    held, lifted = [], []
    for pin, name in _of(ledger, "manifest"):
        now = identity(wanted[name]) if name in wanted else ""
        if now != pin.refused:
            lifted.append(pin)
            continue
        held.append(pin)
        release = ledger.find(pin.release)
        found = {handle(one): one for one in ledger.written(release)} if release else {}
        instead[name] = found.get(name)
    return instead, _settled(held, lifted)


def images(ledger: Ledger, artefacts: Artefacts) -> tuple[Artefacts, Honoured]:
    """``artefacts`` with every refused build replaced by the image that was gone back to."""
    found = dict(artefacts.images)
    held, lifted = [], []
    for pin, name in _of(ledger, "image"):
        release = ledger.find(pin.release)
        good = release.vector.images.get(name) if release else None
        if name in found and artefacts.images[name].tag == pin.refused and good is not None:
            found[name] = Image(good.tag, found[name].build, good.digest)
            held.append(pin)
        else:
            lifted.append(pin)
    return replace(artefacts, images=found), _settled(held, lifted)


def sites(ledger: Ledger, artefacts: Artefacts) -> tuple[Mapping[str, str], Honoured]:
    """Digests of earlier sites that stand in for refused ones, by handle."""
    instead: dict[str, str] = {}
    held, lifted = [], []
    for pin, name in _of(ledger, "site"):
        release = ledger.find(pin.release)
        good = release.vector.sites.get(name) if release else None
        if name in artefacts.sites and artefacts.sites[name].digest == pin.refused and good is not None:
            instead[name] = good
            held.append(pin)
        elif name in artefacts.sites:  # a site that was not built says nothing
            lifted.append(pin)
        else:
            held.append(pin)
    return instead, _settled(held, lifted)


def secrets(ledger: Ledger, wanted: Mapping[str, Written]) -> tuple[Mapping[str, str], Honoured]:
    """Version ids of secrets that stay as they were gone back to, by handle."""
    instead: dict[str, str] = {}
    held, lifted = [], []
    for pin, name in _of(ledger, "secret"):
        release = ledger.find(pin.release)
        good = release.vector.secrets.get(name) if release else None
        same = {pin.refused, _documents(ledger, release).get(name, "")} if release else set()
        if good is not None and name in wanted and identity(wanted[name]) in same:
            instead[name] = good
            held.append(pin)
        else:
            lifted.append(pin)
    return instead, _settled(held, lifted)


def _of(ledger: Ledger, kind: str) -> list[tuple[Pin, str]]:
    return [(pin, pin.part.partition(":")[2]) for pin in ledger.pins if pin.part.startswith(f"{kind}:")]


def _settled(held: list[Pin], lifted: list[Pin]) -> Honoured:
    """A part of which one content is held keeps its other pins: nothing new has come yet."""
    busy = {pin.part for pin in held}
    return Honoured(tuple(held), tuple(pin for pin in lifted if pin.part not in busy))


def _documents(ledger: Ledger, release: Release | None) -> dict[str, str]:
    return {handle(one): identity(one) for one in ledger.written(release)} if release else {}
