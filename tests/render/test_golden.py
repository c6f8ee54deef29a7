"""One plan with everything in it, in every form.  `make test ARGS=--force-regen` writes the files anew."""

from __future__ import annotations

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.render import drift, plan_differences, plan_html, plan_markdown, plan_text, plan_view
from orchestrator.render.style import Style
from orchestrator.vocabulary import Plan
from tests.render.sample_plans import FULL_PLAN

COST = plan_view.CostView("About 27.10 USD a month", ("rds_instance.main  db.t3.micro, single-AZ  13.87 USD",))


@pytest.mark.parametrize(
    ("style", "name"),
    [(Style(), "plain"), (Style(colour=True, width=80), "terminal"), (Style(encoding="ascii"), "ascii")],
    ids=["plain", "terminal", "ascii"],
)
def test_text(style: Style, name: str, file_regression: FileRegressionFixture) -> None:
    """The text of the plan, in a log, on a terminal, and where there is nothing but ASCII."""
    file_regression.check(
        plan_text.render(plan_view.build_view(FULL_PLAN, cost=COST), style), basename=f"plan-{name}", newline=""
    )


def test_text_in_brief(file_regression: FileRegressionFixture) -> None:
    """What is new on one line, what changes or goes with all there is to say: what `plan` prints unless told more."""
    file_regression.check(
        plan_text.render(plan_view.build_view(FULL_PLAN, cost=COST), Style(width=100), "brief"),
        basename="plan-brief",
        encoding="utf-8",
    )


def test_text_with_steps(file_regression: FileRegressionFixture) -> None:
    """With `--steps`: each API call, and the permissions they need by the names that IAM knows."""
    seen = plan_text.render(plan_view.build_view(FULL_PLAN, include_steps=True), Style())

    file_regression.check(seen, basename="plan-steps")
    assert "s3:PutEncryptionConfiguration" in seen


def test_markdown(file_regression: FileRegressionFixture) -> None:
    """The comment on a pull request."""
    file_regression.check(
        plan_markdown.render(plan_view.build_view(FULL_PLAN, cost=COST, max_value_characters=400)),
        basename="plan",
        extension=".md",
        encoding="utf-8",
    )


def test_html(file_regression: FileRegressionFixture) -> None:
    """The page."""
    page = plan_html.render(plan_view.build_view(FULL_PLAN, cost=COST, include_steps=True, max_value_characters=4_000))

    file_regression.check(page, basename="plan", extension=".html", encoding="utf-8")


def test_json_is_the_plan() -> None:
    """JSON is no rendering: it is the plan, and can be read back."""
    assert canonical_json.load(canonical_json.dump(FULL_PLAN), Plan) == FULL_PLAN


def test_drift(file_regression: FileRegressionFixture) -> None:
    """The same plan read as drift: drifted first, then what could not be checked, then what is in sync."""
    seen = drift.build_view(FULL_PLAN)

    file_regression.check(drift.render_text(seen, Style()), basename="drift")
    file_regression.check(drift.render_markdown(seen), basename="drift", extension=".md", encoding="utf-8")
    file_regression.check(drift.to_json(seen), basename="drift", extension=".json", encoding="utf-8")


def test_nothing_to_do() -> None:
    """A plan without changes says so in one line, and has nothing to approve."""
    quiet = Plan("shop", "prod", "123456789012", "eu-west-1", (), digest="d" * 64)

    assert plan_text.render(plan_view.build_view(quiet)) == (
        "shop/prod (account 123456789012, eu-west-1)\nNo changes: there are no resources.\n"
    )


def test_stale(file_regression: FileRegressionFixture) -> None:
    """A plan that is not the reviewed one any more is refused, with each field that moved."""
    from msgspec.structs import replace

    fields = FULL_PLAN.changes[0].fields
    moved = replace(FULL_PLAN.changes[0], fields=(replace(fields[0], before="aws:kms"), *fields[2:]))
    fresh = replace(FULL_PLAN, changes=(moved, *FULL_PLAN.changes[1:5], *FULL_PLAN.changes[6:]), digest="0" * 64)

    with pytest.raises(Problems) as found:
        plan_differences.raise_if_stale(fresh, reviewed=FULL_PLAN)

    file_regression.check(str(found.value), basename="stale")
