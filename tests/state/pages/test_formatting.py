"""Texts of others on pages: escaped, whatever is in them."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.runs import approval, reporter
from orchestrator.state.server.pages.formatting import UNREVIEWED_CAUSES, format_code_spans, run_state


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `orchestrator drift` now", "run <code>orchestrator drift</code> now"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("no end `of it", "no end <code>of it</code>"),
    ],
)
def test_code_between_backticks(text: str, html: str) -> None:
    assert format_code_spans(text) == html


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        *((f"{cause}; nothing was changed", "not approved") for cause in UNREVIEWED_CAUSES),
        ("vetoed: MassRemoval", "vetoed"),
        ("the run was stopped", "interrupted"),
    ],
)
def test_a_run_that_nobody_approved_was_not_interrupted(cause: str, state: str) -> None:
    run: Any = SimpleNamespace(status="interrupted", cause=cause)

    assert run_state(run) == state


def test_the_causes_are_those_that_runs_record() -> None:
    """All but the one of older records."""
    recorded = inspect.getsource(approval) + inspect.getsource(reporter)

    assert [cause for cause in UNREVIEWED_CAUSES[:-1] if f'"{cause}' not in recorded] == []
