"""Markdown: any plan fits in a comment, and nothing in it is more than text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from msgspec.structs import replace

from orchestrator.render import plan_markdown, plan_view
from orchestrator.vocabulary import Action, Change, FieldChange, Plan, Veto
from tests.render.sample_plans import FULL_PLAN, HOSTILE_TEXTS, PLANS, hostile_plan

OURS = re.compile(r"</?(details|summary|code|sub)>|<!-- orchestrator:plan [\w/.-]* -->")


def check(text: str, limit: int = plan_markdown.MAX_COMMENT_BYTES) -> None:
    assert len(text.encode()) <= limit
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    raw = "".join(t.content for b in tokens for t in (b, *(b.children or ())) if t.type.startswith("html_"))
    leftover = re.sub(r"<summary>(.*?)</summary>", lambda m: m[1], raw)
    assert "<" not in OURS.sub("", leftover), leftover
    assert text.count("<details>") >= raw.count("<details>") == raw.count("</details>")
    prose = "\n".join(t.content for b in tokens for t in b.children or () if t.type == "text")
    assert not re.search(r"@\w|#\d", prose), prose
    kinds = {t.type for b in tokens for t in (b, *(b.children or ()))}
    assert not kinds & {"link_open", "image", "hr", "table_open", "code_block"}, kinds


@given(PLANS)
def test_any_plan_is_a_comment(plan: Plan) -> None:
    """Whatever is planned: under the limit, every fence and fold closed, no mark-up but ours, nobody is pinged."""
    check(plan_markdown.render(plan_view.build_view(plan, include_steps=True, max_value_characters=400)))


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_text_stays_text(text: str) -> None:
    """Names and values cannot leave their place."""
    check(plan_markdown.render(plan_view.build_view(hostile_plan(text), include_steps=True)))


@pytest.mark.parametrize("size", [400, 4_000])
def test_a_long_plan_is_cut_between_sections(size: int) -> None:
    """What does not fit is left out whole and said to be; what matters most stays."""
    changes = tuple(
        Change(f"s3_bucket.b{n}", Action.CREATE, f"b{n}", f"bucket.b{n}", (FieldChange(("f",), None, "x" * 300),))
        for n in range(size)
    )
    doomed = replace(FULL_PLAN.changes[2], address="rds_instance.last")
    seen = plan_markdown.render(
        plan_view.build_view(replace(FULL_PLAN, changes=(*changes, doomed))),
        full_plan_location="the artefact plan.html",
    )

    check(seen)
    assert "rds_instance.last" in seen
    assert "**Omitted because the comment is too long:**" in seen
    assert "The full plan is in the artefact plan.html." in seen
    assert FULL_PLAN.digest in seen
    assert f"{size} to create" in seen


def test_a_huge_component_is_cut_between_changes() -> None:
    """One component alone may be too much; its first changes are shown and the rest is counted."""
    changes = tuple(
        Change(f"s3_bucket.b{n}", Action.CREATE, f"b{n}", "bucket.all", (FieldChange(("f",), None, "x" * 300),))
        for n in range(400)
    )
    seen = plan_markdown.render(plan_view.build_view(replace(FULL_PLAN, changes=changes)))

    check(seen)
    assert re.search(r"# \d+ more changes of this component omitted", seen)


def test_many_vetoes_still_say_vetoed() -> None:
    """However much is forbidden, and at whatever length, the comment opens with it."""
    vetoes = tuple(Veto("\U0001f600" * 200, "\U0001f600" * 2_000) for _ in range(500))
    seen = plan_markdown.render(plan_view.build_view(replace(FULL_PLAN, vetoes=vetoes)))

    check(seen)
    assert "Vetoed: nothing is applied" in seen


def test_the_comment_is_found_again() -> None:
    """The marker names the environment, so each environment keeps one comment."""
    seen = plan_markdown.render(plan_view.build_view(FULL_PLAN))

    assert seen.startswith(plan_markdown.marker("joiabagur/prod") + "\n")
    assert plan_markdown.marker("joiabagur/prod") != plan_markdown.marker("joiabagur/dev")


def test_a_note_keeps_its_advice() -> None:
    """The longest notes have about 450 characters, and the advice is at their end or in their middle."""
    words = " ".join(f"word{number}" for number in range(70))
    seen = plan_markdown.render(plan_view.build_view(replace(FULL_PLAN, notes=(f"{words} and run it",))))

    assert len(words) > 450
    assert f"{words} and run it" in seen
