"""Canonical JSON: what is written is what is read, and what was never written is refused."""

from __future__ import annotations

import pytest
from hypothesis import given

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.values import Unknown
from orchestrator.vocabulary import Plan
from tests.render.sample_plans import FULL_PLAN, PLANS


@given(PLANS)
def test_a_plan_survives_the_round_trip(plan: Plan) -> None:
    """Any plan is equal after JSON and back, and so is its digest."""
    again = canonical_json.load(canonical_json.dump(plan), Plan)

    assert again == plan
    assert canonical_json.digest(again) == canonical_json.digest(plan)


def test_equal_values_have_equal_bytes() -> None:
    """The order in which members were put in does not matter."""
    assert canonical_json.dump({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'
    assert (
        canonical_json.digest({"b": 1, "a": 2})
        == canonical_json.digest({"a": 2, "b": 1})
        != canonical_json.digest({"a": 2, "b": 2})
    )


def test_what_is_not_data_is_refused() -> None:
    """An Unknown that nobody made plain cannot slip into a stored plan."""
    with pytest.raises(TypeError):
        canonical_json.dump({"a": Unknown("x")})


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (b'"line":3', b'"line":"3"', "plan.json: changes[0].where.line: expected `int`, got `str`"),
        (b'"line":3', b'"line":3,"colour":1', "plan.json: unknown field `changes[0].where.colour`"),
        (b'"account":"123456789012",', b"", "plan.json: top level: object missing required field `account`"),
        (b'"action":"create"', b'"action":"make"', "plan.json: changes[0].action: invalid enum value 'make'"),
        (b'"version":1', b'"version":', "plan.json is not valid JSON: "),
        (b'"version":1', b'"version":1,"more":' + b"[" * 100_000, "plan.json is nested too deeply"),
        (
            b'"version":1',
            b'"version":1,"more":' + b'{"a":' * 900 + b"1" + b"}" * 900,
            "plan.json: unknown field `more`",
        ),
        (b'"version":1', b'"version":"\xff"', "plan.json is not valid JSON: "),
        (b'"version":1', b'"version":1e400', "plan.json"),
    ],
    ids=[
        "wrong type",
        "unknown member",
        "missing member",
        "unknown word",
        "cut off",
        "endless",
        "deep",
        "bytes",
        "huge",
    ],
)
def test_a_spoilt_document_is_refused_with_its_place(before: bytes, after: bytes, sentence: str) -> None:
    """Whatever is wrong is said with the path at which it is wrong."""
    spoilt = canonical_json.dump(FULL_PLAN).replace(before, after, 1)

    with pytest.raises(Problems) as found:
        canonical_json.load(spoilt, Plan, "plan.json")

    assert any(problem.message.startswith(sentence) for problem in found.value.problems), str(found.value)
