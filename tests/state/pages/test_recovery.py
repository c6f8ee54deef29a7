"""The recovery page: which drill is due, and commands that the command line accepts."""

from __future__ import annotations

import shlex

import pytest

from orchestrator.state.protocol.records import RestoreDrill
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.pages.drill_view import build_drill_view, choose_worst
from orchestrator.state.server.pages.recovery_checklist import build_checklist
from tests.state.pages.sample_history import DAY_SECONDS, NOW
from tests.test_readme import type_words


def drill(verdict: str, days: float, limit_days: int) -> RestoreDrill:
    at = format_timestamp(NOW - days * DAY_SECONDS) if verdict else ""
    return RestoreDrill(f"{verdict}-{days:g}", verdict, at, 600, limit_days)


@pytest.mark.parametrize(
    ("verdict", "days", "limit_days", "is_due", "tone"),
    [
        ("passed", 29, 30, False, "good"),
        ("passed", 30, 30, True, "warn"),
        ("passed", 400, 0, False, "good"),
        ("unverified", 1, 30, False, "warn"),
        ("failed", 1, 30, True, "bad"),
        ("", 0, 30, True, "warn"),
        ("", 0, 0, True, "warn"),
    ],
)
def test_a_drill_is_due_from_its_limit_on(verdict: str, days: float, limit_days: int, is_due: bool, tone: str) -> None:
    """As the plan says it; what has failed, or was never tried, is due whatever its age."""
    view = build_drill_view(drill(verdict, days, limit_days), NOW)

    assert (view.is_due, view.tone) == (is_due, tone)


def test_the_overview_shows_the_drill_that_needs_attention_most() -> None:
    """Of several databases."""
    views = tuple(
        build_drill_view(drill(verdict, days, 30), NOW)
        for verdict, days in (("passed", 1.0), ("failed", 2.0), ("passed", 50.0))
    )

    assert [choose_worst(part) for part in (views, (), views[:1])] == [views[1], None, views[0]]


def test_every_command_of_the_checklist_can_be_typed() -> None:
    """Also for names that a shell would split."""
    commands = [
        shlex.split(step.command)
        for emergency in build_checklist("pre prod", "main")
        for step in emergency.steps
        if step.command
    ]

    assert len(commands) > 12
    for words in commands:
        assert words[0] == "orchestrator"
        assert words[-2:] == ["-e", "pre prod"]
        type_words(words[1:])
