"""Values that are not plain JSON yet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.values import (
    Ref,
    Sensitive,
    TemplateString,
    Unknown,
    UnknownValueError,
    is_known,
    iter_references,
    resolve,
    reveal,
    sort_canonically,
    to_json,
    to_plain,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
QUESTIONS = {
    "truth": bool,
    "equality": lambda value: value == "x",
    "inequality": lambda value: value != "x",
    "text": str,
    "order": lambda value: value < 1,
    "length": len,
    "iteration": list,
    "membership": lambda value: "x" in value,
    "number": int,
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_an_unknown_cannot_be_asked(question: Any) -> None:
    """Code that would decide something by a value that only AWS can tell is stopped."""
    with pytest.raises(UnknownValueError, match="only after apply"):
        question(Unknown("rds_instance.main.host"))


def test_an_unknown_may_be_picked_apart_and_shows_as_the_reference() -> None:
    """What is passed on keeps the name of where it will come from."""
    assert to_plain({"host": Unknown("rds_instance.main")["host"]}) == {"host": "${rds_instance.main.host}"}


def test_text_around_an_unknown_shows_the_text() -> None:
    """A half-known text reads as it was written."""
    value = resolve(
        TemplateString(("https://", Ref("cloudfront_distribution.web", "domain"))), lambda _: Unknown("web.domain")
    )

    assert to_plain(value) == "https://${web.domain}"
    assert not is_known(value)


def test_text_is_joined_once_everything_is_known() -> None:
    """Resolved text is plain text."""
    assert resolve(TemplateString(("port ", Ref("a.b", "port"))), lambda _: 5432) == "port 5432"


def test_a_secret_inside_text_makes_all_of_it_secret() -> None:
    """A connection string with a password in it is a password."""
    value = resolve(TemplateString(("Password=", Ref("a.b", "password"))), lambda _: Sensitive("hunter2"))

    assert "hunter2" not in f"{value} {value!r} {to_plain([value])}"
    assert reveal({"dsn": [value]}) == {"dsn": ["Password=hunter2"]}


@given(JSON)
def test_plain_json_goes_through_untouched(value: Any) -> None:
    """Values without references resolve to themselves, and are known."""
    assert resolve(value, lambda ref: pytest.fail(str(ref))) == value
    assert is_known(value)
    assert list(iter_references(value)) == []
    assert json.loads(to_json(value)) == value


@given(st.lists(JSON))
def test_canonical_order_is_the_same_for_every_spelling(items: list[Any]) -> None:
    """A set written in another order is the same set."""
    assert sort_canonically(items) == sort_canonically(list(reversed(items)))


def test_references_are_found_at_any_depth() -> None:
    """Every Ref counts, inside lists, mappings and text."""
    spec = {"a": [Ref("x.y", "id")], "b": {"c": TemplateString(("-", Ref("z.w", "arn")))}}

    assert [str(ref) for ref in iter_references(spec)] == ["${x.y.id}", "${z.w.arn}"]


def test_json_around_an_unknown_shows_the_text() -> None:
    """A document that names what AWS will tell reads as the document; a whole one is its text."""
    shown = to_json({"b": Unknown("iam_role.a.arn"), "a": 1})

    assert isinstance(shown, Unknown)
    assert '{"a": 1, "b": "${iam_role.a.arn}"}' in str(to_plain(shown))
    assert to_json({"b": [2], "a": 1}) == '{"a":1,"b":[2]}'
