"""Rows and files, both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.recovery.file_references import compare_references

KEYS = st.sets(st.text("ab", min_size=1, max_size=2))


@given(st.lists(st.text("ab", min_size=1, max_size=2)), KEYS)
def test_every_key_is_on_the_side_where_it_is_missing(values: list[str], keys: set[str]) -> None:
    """And on none if it is on both."""
    report = compare_references(values, keys)

    assert set(report.missing) == set(values) - keys
    assert report.missing == {key: values.count(key) for key in report.missing}
    assert set(report.unused) == keys - set(values)
    assert (report.references, report.files, report.empty) == (len(set(values)), len(keys), 0)


def test_values_are_completed_to_keys() -> None:
    """A value often lacks the folder, or begins with a slash; a row without a file is no reference."""
    report = compare_references(["/ring.jpg", None, ""], ["photos/ring.jpg"], base="photos/")

    assert (report.missing, report.unused, report.empty) == ({}, (), 2)
