"""Judge a restored throwaway: is everything in it that the database has? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.postgresql.comparison import Difference, compare
from orchestrator.postgresql.inventory import Inventory
from orchestrator.quantities import format_count
from orchestrator.resources.rds_instance.restore_check import describe


class DrillVerdict(Struct, frozen=True):
    """``problems``: what is missing in the restored database, none if it passed; ``lines`` describe what is in it."""

    problems: tuple[str, ...]
    lines: tuple[str, ...]


def judge(live: Inventory, restored: Inventory) -> DrillVerdict:
    """Compare the restored database with the one in use, which has gone on writing: rows may differ, nothing else."""
    return DrillVerdict(tuple(_iter_problems(live, restored)), tuple(describe(restored, live)))


def _iter_problems(live: Inventory, restored: Inventory) -> Iterator[str]:
    if live.rows and not restored.rows:
        yield f"the restored database is empty; the live database has {format_count(live.rows, 'row')}"
    for item in compare(live, restored):
        if not _is_expected(item, live, restored):
            yield _in_words_of_a_restore(item)


def _is_expected(item: Difference, live: Inventory, restored: Inventory) -> bool:
    """Return whether the writes since the restored moment explain a difference."""
    if item.kind == "sequence":
        return item.name in live.sequences and item.name in restored.sequences
    return item.kind == "table" and item.name in live.tables and item.name in restored.tables


def _in_words_of_a_restore(item: Difference) -> str:
    description = item.description.replace("in the source", "in the live database")
    return f"{item.kind} {item.name} {description.replace('in the target', 'in the restored database')}"
