"""The diff compares only what the desired side says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from orchestrator.planning.diff import diff
from orchestrator.values import ABSENT, Unknown, WriteOnly
from tests.test_values import JSON

CASES = {
    "equal": ({"a": 1}, {"a": 1}, []),
    "one field": ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", 3, 2)]),
    "what is unsaid is left alone": ({"a": 1}, {"a": 1, "aws": "default"}, []),
    "nested": ({"tags": {"x": "1"}}, {"tags": {"x": "2", "theirs": "kept"}}, [("tags.x", "2", "1")]),
    "missing": ({"a": 1}, {}, [("a", None, 1)]),
    "null is not missing": ({"a": None}, {}, [("a", None, None)]),
    "must not be there": ({"a": ABSENT}, {"a": 1}, [("a", 1, None)]),
    "must not be there, is not": ({"a": ABSENT}, {}, []),
    "lists are one value": ({"a": [1, 2]}, {"a": [2, 1]}, [("a", [2, 1], [1, 2])]),
    "a number in another dress": ({"a": 1}, {"a": 1.0}, []),
    "text is no number": ({"a": "1"}, {"a": 1}, [("a", 1, "1")]),
    "true is not one": ({"a": True}, {"a": 1}, [("a", 1, True)]),
    "unknown always differs": ({"a": Unknown("x.y")}, {"a": "y"}, [("a", "y", "${x.y}")]),
    "what AWS never gives back": ({"a": WriteOnly({"b": 1})}, {}, []),
    "unknown inside a list": ({"a": [Unknown("x.y")]}, {"a": ["y"]}, [("a", ["y"], ["${x.y}"])]),
}


@pytest.mark.parametrize(("desired", "live", "expected"), CASES.values(), ids=CASES.keys())
def test_cases(desired: Any, live: Any, expected: list[tuple[str, Any, Any]]) -> None:
    """Each pair gives exactly these field changes."""
    assert [(".".join(change.path), change.before, change.after) for change in diff(desired, live)] == expected


@given(JSON)
def test_nothing_differs_from_itself(value: Any) -> None:
    """A converged resource has no changes, whatever its shape."""
    assert diff({"spec": value}, {"spec": value}) == ()


@given(JSON, JSON)
def test_only_desired_paths_are_named(desired: Any, live: Any) -> None:
    """No field change speaks of a field the manifest does not mention."""
    assert {change.path[0] for change in diff({"a": desired}, {"a": live, "other": live})} <= {"a"}
