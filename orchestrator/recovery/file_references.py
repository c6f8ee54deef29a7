"""Compare the files that a database refers to with those of a bucket, both ways. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct


class ReferenceReport(Struct, frozen=True):
    """``missing``: keys that rows name and the bucket lacks, with the number of rows; ``unused``: keys without a row.

    ``empty``: rows whose value is NULL or "".
    """

    references: int
    files: int
    missing: Mapping[str, int]
    unused: tuple[str, ...]
    empty: int


def compare_references(values: Iterable[str | None], keys: Iterable[str], base: str = "") -> ReferenceReport:
    """Compare the values of the rows, each with ``base`` before it, with the keys of the bucket."""
    counts: dict[str, int] = {}
    empty = 0
    for value in values:
        if value:
            key = f"{base}{value.removeprefix('/')}"
            counts[key] = counts.get(key, 0) + 1
        else:
            empty += 1
    present = set(keys)
    missing = {key: count for key, count in sorted(counts.items()) if key not in present}
    return ReferenceReport(len(counts), len(present), missing, tuple(sorted(present - counts.keys())), empty)
