"""Compare two inventories and name what differs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.postgresql.inventory import Inventory
from orchestrator.quantities import format_count

QUERY_KINDS = frozenset({"view", "rule", "policy"})
"""Kinds of objects whose definition contains a query that the server prints."""
_QUALIFIER_PATTERN = re.compile(r'(?:"(?:[^"]|"")*"|\b[^\W\d][\w$]*)\.')


class Difference(Struct, frozen=True):
    """One difference: the ``kind`` and ``name`` of the object, and what differs in words."""

    kind: str
    name: str
    description: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.description}"


def compare(source: Inventory, target: Inventory) -> tuple[Difference, ...]:
    """Return every difference in rows, definitions, sequences and extensions, sorted by kind and name.

    Extensions that the target has beyond those of the source are no difference.
    """
    is_same_major = source.major == target.major
    definitions = [item if is_same_major else _without_qualifiers(item) for item in (source.objects, target.objects)]
    differences = [
        *_compare_tables(source, target),
        *_compare_definitions(definitions[0], definitions[1]),
        *_compare_sequences(source.sequences, target.sequences),
        *(
            Difference("extension", name, "is missing in the target")
            for name in source.extensions
            if name not in target.extensions
        ),
    ]
    return tuple(sorted(differences, key=lambda item: (item.kind, item.name)))


def list_differing_tables(source: Inventory, target: Inventory) -> tuple[str, ...]:
    """Return the tables of the source whose rows are not the target's."""
    return tuple(item.name for item in _compare_tables(source, target) if item.name in source.tables)


def _compare_tables(source: Inventory, target: Inventory) -> Iterator[Difference]:
    for name in sorted({*source.tables, *target.tables}):
        left, right = source.tables.get(name), target.tables.get(name)
        if left is None or right is None:
            yield Difference("table", name, f"is missing in the {'target' if right is None else 'source'}")
        elif left.rows != right.rows:
            yield Difference(
                "table", name, f"{format_count(left.rows, 'row')} in the source, {right.rows} in the target"
            )
        elif left.checksum != right.checksum:
            yield Difference(
                "table", name, f"{format_count(left.rows, 'row')} on both sides, but their contents differ"
            )


def _without_qualifiers(objects: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Return the definitions with queries as every version prints them.

    PostgreSQL 16 and newer qualify a column in a query only where it is ambiguous, older versions always.
    """
    return {
        key: _QUALIFIER_PATTERN.sub("", definition) if key[0] in QUERY_KINDS else definition
        for key, definition in objects.items()
    }


def _compare_definitions(
    source: Mapping[tuple[str, str], str], target: Mapping[tuple[str, str], str]
) -> Iterator[Difference]:
    for kind, name in sorted({*source, *target}):
        left, right = source.get((kind, name)), target.get((kind, name))
        if left is None or right is None:
            yield Difference(kind, name, f"is missing in the {'target' if right is None else 'source'}")
        elif left != right:
            yield Difference(kind, name, f"{left} in the source, {right} in the target")


def _compare_sequences(source: Mapping[str, str | None], target: Mapping[str, str | None]) -> Iterator[Difference]:
    for name in sorted({*source, *target}):
        if name not in source or name not in target:
            yield Difference("sequence", name, f"is missing in the {'target' if name in source else 'source'}")
        elif source[name] != target[name]:
            yield Difference("sequence", name, f"at {source[name]} in the source, at {target[name]} in the target")
