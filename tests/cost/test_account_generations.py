"""What an account of either generation pays for the stack of manifests/: in plans, comments and pages, and by day.

Source: AWS Billing user guide, "Choosing an AWS Free Tier plan": free months for accounts created before 2025-07-15,
then credits for a year; the Free plan ends after six months.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestrator import cost
from orchestrator.planning import pipeline
from orchestrator.planning.plan import build
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Position, Problems
from orchestrator.render import cost_report
from orchestrator.render.style import Style
from orchestrator.runs import cost_estimate, plan_output
from orchestrator.vocabulary import Resource

ROOT = Path(__file__).parents[2]
SECRETS = tuple(
    Resource("secretsmanager_secret", f"s{number}", f"s{number}", {}, "secret.a", Position("x.yaml"))
    for number in range(50)
)
"""Fifty secrets at 0.40 USD: 20 USD a month."""

CREDITS = "200 USD of credits pay for 10 months of this stack."
AFTER = "Without free months and credits, the stack costs 20.00 USD a month."


@pytest.mark.parametrize(
    ("created", "on", "sentences"),
    [
        (date(2025, 7, 14), date(2026, 7, 14), ["gets 12 free months, ", "this offer ends on 2026-07-14", AFTER]),
        (date(2025, 7, 14), date(2026, 7, 15), ["gets 12 free months, ", "this offer ended on 2026-07-14", AFTER]),
        (
            date(2025, 7, 15),
            date(2026, 1, 15),
            [
                "gets credits of 100 to 200 USD, ",
                "ends on 2026-07-15",
                CREDITS,
                "closes the account on 2026-01-15",
                AFTER,
            ],
        ),
        (
            date(2025, 7, 15),
            date(2026, 1, 16),
            ["ends on 2026-07-15", CREDITS, "The Free plan of this account ended on 2026-01-15", AFTER],
        ),
        (date(2025, 7, 15), date(2026, 7, 15), ["this offer ends on 2026-07-15", CREDITS, AFTER]),
        (date(2025, 7, 15), date(2026, 7, 16), ["this offer ended on 2026-07-15", AFTER]),
    ],
)
def test_both_sides_of_every_date(created: date, on: date, sentences: list[str]) -> None:
    told = " ".join(cost_report.describe_account(cost.estimate(SECRETS, "eu-west-1"), on, created))

    assert all(sentence in told for sentence in sentences), told
    assert ("credits pay for" in told) == (CREDITS in sentences)
    assert ("Upgrade the account to the Paid plan" in told) == any(
        "closes the account" in sentence for sentence in sentences
    )


def manifests(folder: Path, created: str) -> Path:
    """The first user's manifests, with the day of the account."""
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    project = folder / "manifests" / "project.yaml"
    project.write_text(project.read_text().replace("  approval:", f"  accountCreated: {created}\n  approval:"))
    return folder / "manifests"


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
@pytest.mark.parametrize(
    ("created", "offer"),
    [("2024-12-01", "12 free months"), ("2026-11-01", "credits of 100 to 200 USD")],
)
def test_a_plan_tells_the_cost_after_the_offer_and_the_alert_below_it(
    tmp_path: Path, created: str, offer: str, form: Any
) -> None:
    """The first user's figures: alerts at 20, 40 and 60 USD, and 25 to 45 USD with VAT and traffic after the offer.

    Before both it is 20.53 USD idle and 32.20 USD active, so that the first alert fires every month.
    """
    desired = pipeline.load_desired(manifests(tmp_path, created), "prod", include_artefacts=False)
    planned = build(desired, Snapshot("123456789012", {}))

    told = " ".join(plan_output.format_plan(planned, form, Style(), steps=False).replace("\\", "").split())

    assert f"An account created on {created} gets {offer}" in told
    assert "Without free months and credits, the stack costs 20.53 to 32.20 USD a month." in told
    assert "20 USD budget alert will fire every month" in told
    assert "40 USD budget alert" not in told


def test_cost_reads_the_day_of_the_project(tmp_path: Path) -> None:
    assert cost_estimate.estimate_manifests(manifests(tmp_path, "2026-11-01"), "prod").account_created == date(
        2026, 11, 1
    )
    assert cost_estimate.estimate_manifests(ROOT / "manifests", "prod").account_created is None


def test_a_day_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"spec\.accountCreated is 2026-02-30, which is not a valid date"):
        pipeline.validate(manifests(tmp_path, "2026-02-30"), "prod")
