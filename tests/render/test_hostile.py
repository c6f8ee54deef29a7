"""Text, pages, drift and reports: hostile text does nothing, secrets do not show."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given

from orchestrator.problems import Position, Problem
from orchestrator.redaction.redact import escape_unprintable, redact, sanitise
from orchestrator.render import (
    apply_report,
    drift,
    field_values,
    plan_html,
    plan_text,
    plan_view,
    problem_text,
    workflow_commands,
)
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, FieldChange, Health, Outcome, Plan
from tests.render.sample_plans import FULL_PLAN, HOSTILE_TEXTS, PLANS, hostile_plan

ACTS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|^\s*::|##\[", re.MULTILINE
)


def everything(plan: Plan) -> list[str]:
    """Every plain-text rendering of a plan."""
    seen = plan_view.build_view(plan, include_steps=True)
    narrow = Style(width=40)
    outcome = Outcome(plan.project, Action.CREATE, Actuation.FAILED, Health.FAILED, plan.environment, 1.0, plan.token)
    ended = apply_report.build_view([outcome], 1.0, "orchestrator apply")
    return [
        plan_text.render(seen),
        plan_text.render(seen, narrow),
        drift.render_text(drift.build_view(plan), narrow),
        apply_report.render_text(ended, narrow),
        problem_text.render_text([Problem(plan.project, Position(plan.region), plan.account)], narrow),
    ]


@given(PLANS)
def test_any_plan_is_harmless_text(plan: Plan) -> None:
    """No rendering holds a control character, a direction mark, or a line that GitHub's runner would obey."""
    assert [found for shown in everything(plan) for found in ACTS.findall(shown)] == []


@pytest.mark.parametrize("words", HOSTILE_TEXTS)
def test_hostile_text_is_spelt_out(words: str) -> None:
    """At whichever place it stands."""
    assert [found for shown in everything(hostile_plan(words)) for found in ACTS.findall(shown)] == []


class Tags(HTMLParser):
    """The tags and attributes of a page, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))


def tags(page: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = Tags()
    parser.feed(page)
    return parser.seen


@pytest.mark.parametrize("words", HOSTILE_TEXTS)
def test_a_page_has_the_same_tags_whatever_the_names(words: str) -> None:
    """Names and values add no tag and no attribute to the page."""
    harmless = "harm:less" if ":" in words else "harmless"  # only what has a colon is an API call

    assert tags(plan_html.render(plan_view.build_view(hostile_plan(words), include_steps=True))) == tags(
        plan_html.render(plan_view.build_view(hostile_plan(harmless), include_steps=True))
    )


def test_a_page_needs_nothing_else() -> None:
    """No address in it, and only its own script may run."""
    page = plan_html.render(plan_view.build_view(FULL_PLAN))

    assert not re.search(r"(src|href|url)\s*[=(]|https?:", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("value", "key", "shown"),
    [
        ("hunter2", "MasterUserPassword", "(secret)"),
        ("hunter2", "master_user_password", "(secret)"),
        ("hunter2", "Jwt:SecretKey", "(secret)"),
        ({"SecretString": "hunter2"}, "", {"SecretString": "(secret)"}),
        (["hunter2"], "password", ["(secret)"]),
        ("${database.main.password}", "password", "${database.main.password}"),
        ("Host=db;Password=hunter2;Pool=5", "text", "Host=db;Password=(secret);Pool=5"),
        ("postgres://app:hunter2@db/x", "url", "postgres://app:(secret)@db/x"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:x", "secret_arn", "arn:aws:secretsmanager:eu-west-1:1:secret:x"),
        ("key AKIAIOSFODNN7EXAMPLE", "text", "key (secret)"),
        (True, "password", True),
    ],
)
def test_secrets_are_blotted_out(value: object, key: str, shown: object) -> None:
    """By the name they go under, or by their looks; what only talks about secrets stays."""
    assert redact(value, key) == shown


def test_no_secret_of_the_plan_shows() -> None:
    """A password that slipped into a plan is in no rendering."""
    seen = plan_view.build_view(FULL_PLAN, include_steps=True, max_value_characters=4_000)

    assert [page for page in (plan_text.render(seen), plan_html.render(seen)) if "correct-horse" in page] == []


def test_cutting_does_not_hide_what_differs() -> None:
    """Of two long values the part that differs is shown."""
    old, new = "a" * 500 + "OLD" + "b" * 500, "a" * 500 + "NEW" + "b" * 500
    (line,) = field_values.build_field_views((FieldChange(("code",), old, new),))

    assert "OLD" in str(line)
    assert "NEW" in str(line)
    assert len(str(line)) < 400


def test_a_long_value_says_how_long_it_is() -> None:
    """The middle makes way for the length."""
    assert field_values.shorten("x" * 1_000, 60) == "x" * 27 + "…(1,000 characters)…" + "x" * 13


def test_lists_show_what_comes_and_goes() -> None:
    """Items that stay are not repeated."""
    lines = field_values.build_field_views((FieldChange(("methods",), ["GET", "PUT"], ["GET", "HEAD"]),))

    assert [str(line) for line in lines] == ['methods[]: "PUT"', 'methods[]: "HEAD"']


def test_annotations_cannot_be_ended_early() -> None:
    """Newlines, colons and commas in a file's name or a message are escaped as GitHub asks."""
    line = workflow_commands.error("100%\nbad", Position("a,b:c.yaml", 3, 7))

    assert line == "::error file=a%2Cb%3Ac.yaml,line=3,col=7::100%25%0Abad"


def test_plain_text_is_left_as_it_is() -> None:
    """Accents and symbols are no danger."""
    assert escape_unprintable("résumé → 日本 ::1 a::b").startswith("résumé → 日本 ")
    assert sanitise("arn:aws:s3:::joiabagur-files") == "arn:aws:s3:::joiabagur-files"
