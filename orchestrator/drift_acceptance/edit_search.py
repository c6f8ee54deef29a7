"""The search for an edit: one field first, then step by step towards what AWS has.  Writes nothing.

A step counts when what the component asks for comes closer to what AWS has.  That is only a way to find an edit:
whether it is one, the plan made with it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.drift_acceptance import candidate_edits
from orchestrator.drift_acceptance.draft import Draft, Thing
from orchestrator.manifest import minimal_edits, text_edits
from orchestrator.manifest.document import Declared
from orchestrator.manifest.document import Path as FieldPath
from orchestrator.planning.diff import diff
from orchestrator.values import Value, WriteOnly, plain
from orchestrator.vocabulary import FieldChange, Live, Resource

STEPS: Final = 24
TRIES: Final = 2000, 20, 200
"""At most so many steps for one difference, and looks at what an edit makes: 2,000 where there are few components, half
at 20, and at least 200.  Each look costs as much as there are components."""
WHOLE: Final = 1000.0
"""How far off a component is for a resource that it should ask for and does not, or the other way round."""

ASIDE: Final = 0.1
"""What a change beside the focus weighs: a description may follow, but nothing is changed by the way for nothing."""

Document = Mapping[str, Any]
Spot = tuple[Thing, str]
"""A field of a resource; "" is the whole of it."""


class Focus(Struct, frozen=True):
    """What a search is about: one ``spot``; or things that are ``wanted``; or the ``whole`` document."""

    spot: Spot | None = None
    wanted: Mapping[Thing, Live] = field(default_factory=dict)
    whole: bool = False

    def __contains__(self, spot: Spot) -> bool:
        return self.whole or spot == self.spot or spot[0] in self.wanted


def singles(draft: Draft, thing: Thing, one: FieldChange, declared: Declared) -> Iterator[tuple[FieldPath, Value]]:
    """Edits of one field of ``declared`` that change what is asked for of ``thing``."""
    before = _asked(draft, declared.value, thing)
    for path, value in candidate_edits.candidates(declared.value, one):
        made = _asked(draft, text_edits.changed(declared.value, path, value), thing)
        if made is not None and made != before:
            yield path, value


def lighter(draft: Draft, thing: Thing, address: str, declared: Declared) -> Iterator[tuple[FieldPath, Value]]:
    """Edits of ``declared`` by which ``thing`` is no longer asked for."""
    for path, value in candidate_edits.lighter(declared.value, address):
        made = draft.made(text_edits.changed(declared.value, path, value))
        if made is not None and thing not in made:
            yield path, value


def nearer(draft: Draft, start: Document, focus: Focus) -> Document:
    """From ``start`` towards a document that asks for what AWS has of ``focus``, and for nothing else than before.

    Looks in AWS at what stands under a name that ``focus`` wants: at all of it that is asked for (what was found by its
    mark was only looked at for that), and at what belongs to it, such as the policy of a bucket.  Raises AwsError.
    """
    climb = _Climb(draft, start, focus)
    most, half, least = TRIES
    allowed = max(least, most * half // (half + len(draft.manifest.components)))
    value, gap, tries = start, climb.gap(start), 0
    for _ in range(STEPS):
        best, nearest = value, gap
        for path, new in climb.moves(value) if gap.size else ():
            tries += 1
            there = text_edits.changed(value, path, new)
            now = climb.gap(there)
            if now.size < nearest.size:
                best, nearest = there, now
            if nearest.fields < gap.fields or tries > allowed:
                break  # a field less that differs: that is as well as it gets
        if best is value or tries > allowed:
            return best
        value, gap = best, nearest
    return value


def fewest(old: Document, new: Document) -> list[tuple[FieldPath, Value]]:
    """The edits that lead from one document to another and touch the least."""
    return list(minimal_edits.between(old, new))


def _asked(draft: Draft, value: Document, thing: Thing) -> Mapping[str, Value] | None:
    found = (draft.made(value) or {}).get(thing)
    return found.spec if found else None


class _Gap(Struct, frozen=True):
    """How far off a document is, and in how many fields."""

    size: float
    fields: int = 0


class _Climb:
    """How far a document is off, and where one might go from it."""

    def __init__(self, draft: Draft, start: Document, focus: Focus) -> None:
        self._draft = draft
        self._focus = focus
        self._names = {name for _, name in focus.wanted}
        self._first = self._gaps(start) or {}

    def gap(self, value: Document) -> _Gap:
        """How far off ``value`` is in the focus; what it changes beside that adds a little."""
        found, first, focus = self._gaps(value), self._first, self._focus
        if found is None:
            return _Gap(WHOLE * WHOLE, len(first) + 1)
        aside = [spot for spot in {*found, *first} if spot not in focus]
        moved = sum(abs(found.get(spot, WHOLE) - first.get(spot, 0.0)) for spot in aside)
        inside = [gap for spot, gap in found.items() if spot in focus and gap]
        return _Gap(sum(inside) + moved * ASIDE, len(inside))

    def moves(self, value: Document) -> Iterator[tuple[FieldPath, Value]]:
        """Edits that what AWS has of the focus suggests."""
        made = self._draft.made(value) or {}
        for (_, name), found in ((thing, live) for thing, live in self._focus.wanted.items() if thing not in made):
            suggestion = {"name": name, **{key: plain(each) for key, each in found.spec.items()}}
            yield from candidate_edits.candidates(value, FieldChange((name,), suggestion, None))
        for thing, resource in made.items():
            standing = self._live(resource)
            for one in diff(self._draft.spec(resource), standing.spec) if standing else ():
                if (thing, one.path[0]) in self._focus:
                    yield from candidate_edits.candidates(value, one)

    def _live(self, resource: Resource) -> Live | None:
        return self._draft.live(resource, looking=resource.physical in self._names)

    def _gaps(self, value: Document) -> dict[Spot, float] | None:
        made = self._draft.made(value)
        if made is None:
            return None
        found = {spot: gap for thing, one in made.items() for spot, gap in self._of(thing, one)}
        return found | {(thing, ""): WHOLE for thing in self._focus.wanted.keys() - made.keys()}

    def _of(self, thing: Thing, resource: Resource) -> Iterator[tuple[Spot, float]]:
        """How many leaves differ between what is asked for and what is there; their places in lists count a little."""
        live = self._live(resource)
        if live is None:
            yield (thing, ""), WHOLE
            return
        for name, asked in self._draft.spec(resource).items():
            found = _only(live.spec.get(name), asked)
            loose = Counter(_leaves(asked)), Counter(_leaves(found))
            strict = Counter(_leaves(asked, places=True)), Counter(_leaves(found, places=True))
            yield (thing, name), _apart(*loose) + _apart(*strict) / WHOLE


def _apart(one: Counter[Any], other: Counter[Any]) -> float:
    return float((one - other).total() + (other - one).total())


def _only(found: Value, asked: Value) -> Value:
    """Of what is there only what is asked for: the rest is left alone."""
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        return {name: _only(found[name], each) for name, each in asked.items() if name in found}
    return found


def _leaves(value: Value, path: tuple[str, ...] = (), *, places: bool = False) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, WriteOnly):
        return
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, (*path, str(name)), places=places)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _leaves(each, (*path, str(at) if places else "[]"), places=places)
    else:
        yield path, repr(plain(value))
