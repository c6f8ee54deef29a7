"""Editing one value in the text of a manifest: what changes, and that nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.manifest import load, minimal_edits, schema, text_edits
from orchestrator.manifest.text_edits import REMOVE, Insertion
from orchestrator.problems import Problems

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "manifests").glob("*.yaml"))

HEAD = "apiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {name: files}  # ours\n"
CASES: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("spec:\n  a: true   # why\n  b: 1\n", ("a",), False, "spec:\n  a: false   # why\n  b: 1\n"),
    ("spec:\n  a: 'x'\n", ("a",), "y: z", "spec:\n  a: 'y: z'\n"),
    ('spec:\n  a: "x" # q\n', ("a",), "y", 'spec:\n  a: "y" # q\n'),
    ("spec:\n  a: x\n", ("a",), "true", "spec:\n  a: 'true'\n"),
    ("spec: {a: x, b: [1, 2]}\n", ("b",), [3], "spec: {a: x, b: [3]}\n"),
    ("spec: {a: x}\n", ("c", "d"), "e, f", "spec: {a: x, c: {d: 'e, f'}}\n"),
    ("spec: {}\n", ("c",), 1, "spec: {c: 1}\n"),
    ("spec:\n  a: 1  # one\n\n# end\n", ("b",), 2, "spec:\n  a: 1  # one\n  b: 2\n\n# end\n"),
    ("spec:\n  a:\n    b: |\n      text\n  # tail\n", ("a", "c"), 1, "spec:\n  a:\n    b: |\n      text\n    c: 1\n  # tail\n"),
    ("spec:\n  a: 1", ("b", "c"), [1, 2], "spec:\n  a: 1\n  b:\n    c: [1, 2]\n"),
    ("spec:\n  l:\n    - a: 1\n      b: 2\n    - a: 3\n", ("l", 0, "b"), 9, "spec:\n  l:\n    - a: 1\n      b: 9\n    - a: 3\n"),
    ("spec:\n  l:\n  - a\n  - b # c\n", ("l",), ["x", "y"], "spec:\n  l:\n  - x\n  - y # c\n"),
    ("spec:\n  l:\n    - a: 1\n", ("l", 1), {"b": 2, "c": 3}, "spec:\n  l:\n    - a: 1\n    - b: 2\n      c: 3\n"),
    ("spec:\n  l: [a]\n", ("l", 1), "b", "spec:\n  l: [a, b]\n"),
    ("spec:\n  l:\n    # one\n    - a: 1\n    # two\n    - a: 2\n", ("l", 1), Insertion({"a": 9, "b": []}), "spec:\n  l:\n    # one\n    - a: 1\n    - a: 9\n      b: []\n    # two\n    - a: 2\n"),
    ("spec:\n  l:\n  - a: 1 # c\n", ("l", 1), Insertion({"a": 2}), "spec:\n  l:\n  - a: 1 # c\n  - a: 2\n"),
    ("spec:\n  l: [a, {b: 1}]\n", ("l", 0), Insertion({"c": 2}), "spec:\n  l: [{c: 2}, a, {b: 1}]\n"),
    ("spec:\n  l: []\n", ("l", 0), Insertion({"c": 2}), "spec:\n  l: [{c: 2}]\n"),
    ("spec:\n  l:\n    - a: 1 # one\n      b: 2\n    # two\n    - a: 3\n", ("l", 0), REMOVE, "spec:\n  l:\n    # two\n    - a: 3\n"),
    ("spec:\n  a: 1\n  # about b\n  b: 2\n  c: 3\n", ("b",), REMOVE, "spec:\n  a: 1\n  # about b\n  c: 3\n"),
    ("spec: {a: 1, b: 2, c: 3}\n", ("b",), REMOVE, "spec: {a: 1, c: 3}\n"),
    ("spec: {a: 1, b: 2}\n", ("b",), REMOVE, "spec: {a: 1}\n"),
    ("spec:\n  a: 1\n  t:\n    x: 1\n", ("t", "x"), REMOVE, "spec:\n  a: 1\n"),
]  # fmt: skip
# ruff: noqa: E501 - a case is one line


@pytest.mark.parametrize(("text", "path", "value", "expected"), CASES)
def test_one_value(text: str, path: tuple[str | int, ...], value: Any, expected: str) -> None:
    """Comments, quotes, spaces and blank lines stay as they are."""
    other = "---\napiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {name: other}\n"
    text, expected = HEAD + text, HEAD + expected
    tail = other if text.endswith("\n") else ""

    assert text_edits.edit_value(text + tail, "x.yaml", "bucket.files", ("spec", *path), value) == expected + tail


def test_what_others_share_is_not_edited() -> None:
    """Through an alias a second place would change too."""
    text = HEAD + "spec:\n  a: &x {k: 1}\n  b: *x\n"

    with pytest.raises(Problems, match=r"cannot edit .* automatically"):
        text_edits.edit_value(text, "x.yaml", "bucket.files", ("spec", "b", "k"), 2)


def test_a_new_document_goes_to_the_end() -> None:
    comment = "# What is different in production.\n"
    first = text_edits.append_document(comment, "Bucket", "files", ("spec", "versioning"), False)
    second = text_edits.append_document(first, "Bucket", "web", ("spec", "cors", 0, "methods"), ["GET"])

    assert [one.handle for one in load.parse_documents(second, "prod.yaml")] == ["bucket.files", "bucket.web"]
    assert second.startswith(comment)
    assert second.endswith("spec:\n  cors:\n    - methods: [GET]\n")


SCALARS = st.booleans() | st.integers(-999, 999) | st.text(st.characters(codec="ascii", exclude_categories=["C"]))
LEAVES = [
    (path, document.handle, at)
    for path in FILES
    for document in load.parse_documents(path.read_text(), path.name)
    for at, value, _ in schema.iter_values(document.kind.lower(), document.value)
    if at[:1] == ("spec",) and not isinstance(value, dict | list)
]


@given(st.sampled_from(LEAVES), SCALARS)
def test_any_value_of_the_example_becomes_any_other(leaf: tuple[Path, str, Any], value: Any) -> None:
    """One line of the file changes, and it says the new value."""
    path, handle, at = leaf
    before = path.read_text()
    after = text_edits.edit_value(before, path.name, handle, at, value)
    lines, new = before.split("\n"), after.split("\n")

    assert len(lines) == len(new)
    assert sum(one != other for one, other in zip(lines, new, strict=True)) <= 1


ONE, TWO, THREE = (f"apiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {{name: {name}}}\n" for name in "abc")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (f"# head\n\n# of a\n{ONE}---\n# of b\n{TWO}---\n{THREE}", "b", f"# head\n\n# of a\n{ONE}---\n{THREE}"),
        (f"# head\n\n# of a\n{ONE}---\n# of b\n{TWO}", "a", f"# head\n\n# of b\n{TWO}"),
        (f"{ONE}---\n{TWO}# end\n", "b", ONE),
        (f"---\n{ONE}---\n{TWO}", "a", f"---\n{TWO}"),
        (f"# head\n\n{ONE}", "a", "# head\n\n"),
        (ONE, "a", ""),
    ],
)
def test_one_document_less(text: str, name: str, expected: str) -> None:
    """With the comment right above it; the others are not touched."""
    assert text_edits.remove_document(text, "x.yaml", f"bucket.{name}") == expected


def test_a_document_that_others_need_stays() -> None:
    with pytest.raises(Problems, match="does not declare bucket"):
        text_edits.remove_document(ONE, "x.yaml", "bucket.z")


VALUES = st.recursive(
    st.integers(0, 3) | st.booleans() | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("ab"), VALUES), st.dictionaries(st.sampled_from("ab"), VALUES))
def test_the_edits_between_two_values_lead_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    made: Any = old
    for path, value in minimal_edits.diff_values(old, new):
        made = text_edits.with_value(made, path, value)
    assert made == new


def test_of_a_list_only_what_differs_is_edited() -> None:
    old = {"l": [{"a": 1}, {"a": 2}, {"a": 3}]}
    assert list(minimal_edits.diff_values(old, {"l": [{"a": 1}, {"a": 3}]})) == [(("l", 1), REMOVE)]
    assert list(minimal_edits.diff_values(old, {"l": [{"a": 1}, {"a": 2}, {"a": 9}]})) == [(("l", 2, "a"), 9)]
