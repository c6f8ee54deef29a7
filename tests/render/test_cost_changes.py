"""What a plan changes of the cost: one table, now and then, in the terminal, in the comment and on the page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from orchestrator.render import plan_html, plan_markdown, plan_text, plan_view
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

Render = Callable[[plan_view.PlanView], str]
RENDERERS: dict[str, Render] = {
    "text": lambda view: plan_text.render(view, Style(), "brief"),
    "markdown": plan_markdown.render,
    "html": plan_html.render,
}
CHANGE = Change("rds_instance.main", Action.UPDATE, "main", "database.main", (FieldChange(("multi_az",), False, True),))


def rows(render: Render, *changes: tuple[str, float, float]) -> list[list[str]]:
    """Return the cells of the table, without markup, by row."""
    cost = plan_view.CostView("About 34.68 USD a month idle.", ("rds_instance.main  34.28  x",), (), changes)
    plan = Plan("shop", "prod", "123456789012", "eu-west-1", (CHANGE,), digest="d" * 64)
    shown = render(plan_view.build_view(plan, cost=cost))
    plain = re.sub(r"<tr>|</table>", "\n", re.sub(r"</t[hd]>", "  ", shown))
    lines = [re.sub(r"<[^>]+>|[|`*]", " ", line).strip() for line in plain.splitlines()]
    cells = [re.split(r"\s{2,}", line) for line in lines]
    start = next((index for index, found in enumerate(cells) if found[0] == "USD a month"), len(cells))
    return [row for row in cells[start:] if len(row) == 4]


@pytest.mark.parametrize("name", RENDERERS)
def test_every_form_shows_what_changes(name: str) -> None:
    shown = rows(RENDERERS[name], ("secretsmanager_secret.app", 0.8, 0.4), ("rds_instance.main", 17.14, 34.28))

    assert shown == [
        ["USD a month", "now", "then", "difference"],
        ["rds_instance.main", "17.14", "34.28", "+17.14"],
        ["secretsmanager_secret.app", "0.80", "0.40", "-0.40"],
        ["what changes", "17.94", "34.68", "+16.74"],
    ]


@pytest.mark.parametrize("name", ["text", "html"])
def test_a_new_stack_has_its_line_items_only(name: str) -> None:
    assert rows(RENDERERS[name], ("rds_instance.main", 0.0, 34.28)) == []
