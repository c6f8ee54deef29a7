"""Search for manifest edits that resolve drift: a single field first, then hill climbing.  Writes nothing.

A step is taken if it brings the desired resources closer to those in AWS.  This only finds a candidate: the plan made
with it decides whether it resolves the drift.
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
"""Trials per difference: at most 2,000, half of that with 20 components, at least 200.  The cost of a trial grows with
the number of components."""
MISSING_RESOURCE_DISTANCE: Final = 1000.0
"""The distance of a resource that is declared but should not be, or the other way round."""

SIDE_EFFECT_WEIGHT: Final = 0.1
"""The weight of changes outside the goal: allows a description to follow, but discourages unrelated changes."""

Document = Mapping[str, Any]
FieldKey = tuple[ResourceKey, str]
"""A field of a resource; "" is the whole resource."""


class SearchGoal(Struct, frozen=True):
    """The goal of a search: one field, all ``target_resources``, or the whole document."""

    field_key: FieldKey | None = None
    target_resources: Mapping[ResourceKey, LiveResource] = field(default_factory=dict)
    is_document: bool = False

    def __contains__(self, field_key: FieldKey) -> bool:
        return self.is_document or field_key == self.field_key or field_key[0] in self.target_resources


def find_single_edits(
    draft: Draft, resource_key: ResourceKey, difference: FieldChange, declared: Declaration
) -> Iterator[tuple[FieldPath, Value]]:
    """Yield edits of one field of ``declared`` that change the desired spec of the resource."""
    spec_before = _desired_spec(draft, declared.value, resource_key)
    for path, value in candidate_edits.generate_edits(declared.value, difference):
        spec_after = _desired_spec(draft, text_edits.with_value(declared.value, path, value), resource_key)
        if spec_after is not None and spec_after != spec_before:
            yield path, value


def find_removals(
    draft: Draft, resource_key: ResourceKey, address: str, declared: Declaration
) -> Iterator[tuple[FieldPath, Value]]:
    """Yield edits of ``declared`` that remove the resource from the desired state."""
    for path, value in candidate_edits.generate_removals(declared.value, address):
        expanded = draft.expand_document(text_edits.with_value(declared.value, path, value))
        if expanded is not None and resource_key not in expanded:
            yield path, value


def climb_towards(draft: Draft, initial_document: Document, goal: SearchGoal) -> Document:
    """Return the nearest document found that matches AWS for ``goal`` and changes nothing else.

    Reads resources from AWS whose names the goal's wanted resources have: all desired fields (discovery read only the
    ownership mark), and related resources such as the policy of a bucket.  Raises AwsError.
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
                break  # one field fewer differs: the best a single step achieves
        if best_document is document or trial_count > trial_limit:
            return best_document
        document, distance = best_document, best_distance
    return document


def shortest_edits(old_document: Document, new_document: Document) -> list[tuple[FieldPath, Value]]:
    """Return the smallest edits that turn one document into another."""
    return list(minimal_edits.diff_values(old_document, new_document))


def _desired_spec(draft: Draft, value: Document, resource_key: ResourceKey) -> Mapping[str, Value] | None:
    desired_resource = (draft.expand_document(value) or {}).get(resource_key)
    return desired_resource.spec if desired_resource else None


class _Distance(Struct, frozen=True):
    """The distance of a document from the goal, and the number of differing fields."""

    size: float
    field_count: int = 0


class _HillClimb:
    """Measures the distance of documents from a goal, and generates neighbours."""

    def __init__(self, draft: Draft, initial_document: Document, goal: SearchGoal) -> None:
        self._draft = draft
        self._goal = goal
        self._names = {name for _, name in goal.target_resources}
        self._initial_distances = self._field_distances(initial_document) or {}

    def distance(self, value: Document) -> _Distance:
        """Return the distance of ``value`` from the goal; changes outside the goal add a little."""
        distances, initial_distances, goal = self._field_distances(value), self._initial_distances, self._goal
        if distances is None:
            return _Distance(MISSING_RESOURCE_DISTANCE * MISSING_RESOURCE_DISTANCE, len(initial_distances) + 1)
        side_effects = [field_key for field_key in {*distances, *initial_distances} if field_key not in goal]
        side_effect_distance = sum(
            abs(distances.get(field_key, MISSING_RESOURCE_DISTANCE) - initial_distances.get(field_key, 0.0))
            for field_key in side_effects
        )
        goal_distances = [
            field_distance for field_key, field_distance in distances.items() if field_key in goal and field_distance
        ]
        return _Distance(sum(goal_distances) + side_effect_distance * SIDE_EFFECT_WEIGHT, len(goal_distances))

    def neighbours(self, value: Document) -> Iterator[tuple[FieldPath, Value]]:
        """Yield edits suggested by what AWS has for the goal."""
        expanded = self._draft.expand_document(value) or {}
        for (_, name), wanted_live in (
            (resource_key, live)
            for resource_key, live in self._goal.target_resources.items()
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
            (resource_key, ""): MISSING_RESOURCE_DISTANCE
            for resource_key in self._goal.target_resources.keys() - expanded.keys()
        }

    def _resource_distances(self, resource_key: ResourceKey, resource: Resource) -> Iterator[tuple[FieldKey, float]]:
        """Yield, per field, how many leaves differ from AWS; differing list positions add a little."""
        live = self._read_live(resource)
        if live is None:
            yield (resource_key, ""), MISSING_RESOURCE_DISTANCE
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
                _count_differing(*unordered_leaves) + _count_differing(*ordered_leaves) / MISSING_RESOURCE_DISTANCE,
            )


def _count_differing(first: Counter[Any], second: Counter[Any]) -> float:
    return float((first - second).total() + (second - first).total())


def _restrict_to(live_value: Value, desired_value: Value) -> Value:
    """Return the members of ``live_value`` that ``desired_value`` has too; the others are not managed."""
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
