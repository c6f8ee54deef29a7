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
from orchestrator.drift_acceptance.draft import Draft, ResourceKey
from orchestrator.manifest import minimal_edits, text_edits
from orchestrator.manifest.document import Declaration
from orchestrator.manifest.document import Path as FieldPath
from orchestrator.planning.diff import diff
from orchestrator.values import Value, WriteOnly, to_plain
from orchestrator.vocabulary import FieldChange, LiveResource, Resource

MAX_STEPS: Final = 24
TRIAL_LIMITS: Final = 2000, 20, 200
"""At most so many steps for one difference, and looks at what an edit makes: 2,000 where there are few components, half
at 20, and at least 200.  Each look costs as much as there are components."""
WHOLE_RESOURCE_DISTANCE: Final = 1000.0
"""How far off a component is for a resource that it should ask for and does not, or the other way round."""

SIDE_EFFECT_WEIGHT: Final = 0.1
"""What a change beside the focus weighs: a description may follow, but nothing is changed by the way for nothing."""

Document = Mapping[str, Any]
FieldKey = tuple[ResourceKey, str]
"""A field of a resource; "" is the whole of it."""


class SearchGoal(Struct, frozen=True):
    """What a search is about: one ``spot``; or things that are ``wanted``; or the ``whole`` document."""

    field_key: FieldKey | None = None
    wanted_resources: Mapping[ResourceKey, LiveResource] = field(default_factory=dict)
    is_whole_document: bool = False

    def __contains__(self, field_key: FieldKey) -> bool:
        return self.is_whole_document or field_key == self.field_key or field_key[0] in self.wanted_resources


def find_single_edits(
    draft: Draft, resource_key: ResourceKey, difference: FieldChange, declared: Declaration
) -> Iterator[tuple[FieldPath, Value]]:
    """Edits of one field of ``declared`` that change what is asked for of ``thing``."""
    spec_before = _desired_spec(draft, declared.value, resource_key)
    for path, value in candidate_edits.generate_edits(declared.value, difference):
        spec_after = _desired_spec(draft, text_edits.with_value(declared.value, path, value), resource_key)
        if spec_after is not None and spec_after != spec_before:
            yield path, value


def find_removals(
    draft: Draft, resource_key: ResourceKey, address: str, declared: Declaration
) -> Iterator[tuple[FieldPath, Value]]:
    """Edits of ``declared`` by which ``thing`` is no longer asked for."""
    for path, value in candidate_edits.generate_removals(declared.value, address):
        expanded = draft.expand_document(text_edits.with_value(declared.value, path, value))
        if expanded is not None and resource_key not in expanded:
            yield path, value


def climb_towards(draft: Draft, initial_document: Document, goal: SearchGoal) -> Document:
    """From ``start`` towards a document that asks for what AWS has of ``focus``, and for nothing else than before.

    Looks in AWS at what stands under a name that ``focus`` wants: at all of it that is asked for (what was found by its
    mark was only looked at for that), and at what belongs to it, such as the policy of a bucket.  Raises AwsError.
    """
    hill_climb = _HillClimb(draft, initial_document, goal)
    max_trials, half_at_count, min_trials = TRIAL_LIMITS
    trial_limit = max(min_trials, max_trials * half_at_count // (half_at_count + len(draft.manifest.components)))
    document, distance, trial_count = initial_document, hill_climb.distance(initial_document), 0
    for _ in range(MAX_STEPS):
        best_document, best_distance = document, distance
        for path, new_value in hill_climb.neighbours(document) if distance.size else ():
            trial_count += 1
            neighbour = text_edits.with_value(document, path, new_value)
            neighbour_distance = hill_climb.distance(neighbour)
            if neighbour_distance.size < best_distance.size:
                best_document, best_distance = neighbour, neighbour_distance
            if best_distance.field_count < distance.field_count or trial_count > trial_limit:
                break  # a field less that differs: that is as well as it gets
        if best_document is document or trial_count > trial_limit:
            return best_document
        document, distance = best_document, best_distance
    return document


def shortest_edits(old_document: Document, new_document: Document) -> list[tuple[FieldPath, Value]]:
    """The edits that lead from one document to another and touch the least."""
    return list(minimal_edits.diff_values(old_document, new_document))


def _desired_spec(draft: Draft, value: Document, resource_key: ResourceKey) -> Mapping[str, Value] | None:
    desired_resource = (draft.expand_document(value) or {}).get(resource_key)
    return desired_resource.spec if desired_resource else None


class _Distance(Struct, frozen=True):
    """How far off a document is, and in how many fields."""

    size: float
    field_count: int = 0


class _HillClimb:
    """How far a document is off, and where one might go from it."""

    def __init__(self, draft: Draft, initial_document: Document, goal: SearchGoal) -> None:
        self._draft = draft
        self._goal = goal
        self._names = {name for _, name in goal.wanted_resources}
        self._initial_distances = self._field_distances(initial_document) or {}

    def distance(self, value: Document) -> _Distance:
        """How far off ``value`` is in the focus; what it changes beside that adds a little."""
        distances, initial_distances, goal = self._field_distances(value), self._initial_distances, self._goal
        if distances is None:
            return _Distance(WHOLE_RESOURCE_DISTANCE * WHOLE_RESOURCE_DISTANCE, len(initial_distances) + 1)
        side_effects = [field_key for field_key in {*distances, *initial_distances} if field_key not in goal]
        side_effect_distance = sum(
            abs(distances.get(field_key, WHOLE_RESOURCE_DISTANCE) - initial_distances.get(field_key, 0.0))
            for field_key in side_effects
        )
        goal_distances = [
            field_distance for field_key, field_distance in distances.items() if field_key in goal and field_distance
        ]
        return _Distance(sum(goal_distances) + side_effect_distance * SIDE_EFFECT_WEIGHT, len(goal_distances))

    def neighbours(self, value: Document) -> Iterator[tuple[FieldPath, Value]]:
        """Edits that what AWS has of the focus suggests."""
        expanded = self._draft.expand_document(value) or {}
        for (_, name), wanted_live in (
            (resource_key, live)
            for resource_key, live in self._goal.wanted_resources.items()
            if resource_key not in expanded
        ):
            suggested_object = {
                "name": name,
                **{key: to_plain(field_value) for key, field_value in wanted_live.spec.items()},
            }
            yield from candidate_edits.generate_edits(value, FieldChange((name,), suggested_object, None))
        for resource_key, resource in expanded.items():
            current_live = self._read_live(resource)
            for difference in diff(self._draft.resolve_spec(resource), current_live.spec) if current_live else ():
                if (resource_key, difference.path[0]) in self._goal:
                    yield from candidate_edits.generate_edits(value, difference)

    def _read_live(self, resource: Resource) -> LiveResource | None:
        return self._draft.read_live(resource, should_read=resource.physical in self._names)

    def _field_distances(self, value: Document) -> dict[FieldKey, float] | None:
        expanded = self._draft.expand_document(value)
        if expanded is None:
            return None
        distances = {
            field_key: field_distance
            for resource_key, resource in expanded.items()
            for field_key, field_distance in self._resource_distances(resource_key, resource)
        }
        return distances | {
            (resource_key, ""): WHOLE_RESOURCE_DISTANCE
            for resource_key in self._goal.wanted_resources.keys() - expanded.keys()
        }

    def _resource_distances(self, resource_key: ResourceKey, resource: Resource) -> Iterator[tuple[FieldKey, float]]:
        """How many leaves differ between what is asked for and what is there; their places in lists count a little."""
        live = self._read_live(resource)
        if live is None:
            yield (resource_key, ""), WHOLE_RESOURCE_DISTANCE
            return
        for name, desired_value in self._draft.resolve_spec(resource).items():
            live_value = _restrict_to(live.spec.get(name), desired_value)
            unordered_leaves = Counter(_iterate_leaves(desired_value)), Counter(_iterate_leaves(live_value))
            ordered_leaves = (
                Counter(_iterate_leaves(desired_value, with_positions=True)),
                Counter(_iterate_leaves(live_value, with_positions=True)),
            )
            yield (
                (resource_key, name),
                _count_differing(*unordered_leaves) + _count_differing(*ordered_leaves) / WHOLE_RESOURCE_DISTANCE,
            )


def _count_differing(first: Counter[Any], second: Counter[Any]) -> float:
    return float((first - second).total() + (second - first).total())


def _restrict_to(live_value: Value, desired_value: Value) -> Value:
    """Of what is there only what is asked for: the rest is left alone."""
    if isinstance(live_value, Mapping) and isinstance(desired_value, Mapping):
        return {
            name: _restrict_to(live_value[name], desired_member)
            for name, desired_member in desired_value.items()
            if name in live_value
        }
    return live_value


def _iterate_leaves(
    value: Value, path: tuple[str, ...] = (), *, with_positions: bool = False
) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, WriteOnly):
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _iterate_leaves(member, (*path, str(name)), with_positions=with_positions)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _iterate_leaves(
                member, (*path, str(position) if with_positions else "[]"), with_positions=with_positions
            )
    else:
        yield path, repr(to_plain(value))
