"""What a stack costs by the use that manifests declare, and which alert that reaches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import cost
from orchestrator.cli.main import cli
from orchestrator.cost import declared_usage
from orchestrator.problems import Position, Problems
from orchestrator.vocabulary import Component, Resource

IRELAND = "eu-west-1"
MANIFESTS = Path(__file__).parents[2] / "manifests"


def make(address: str, component: str, **spec: Any) -> Resource:
    kind, _, name = address.partition(".")
    return Resource(kind, name, name, spec, component, Position("x.yaml"))


SERVICE = [
    make("apprunner_service.api", "containerservice.api", cpu="1 vCPU", memory="2 GB"),
    make("apprunner_autoscaling.api", "containerservice.api", min_size=1, max_size=3),
]
STACK = [*SERVICE, make("s3_bucket.files", "bucket.files"), make("cloudfront_distribution.web", "cdn.web")]


def declare(handle: str, **measures: dict[str, float]) -> Component:
    kind, _, name = handle.partition(".")
    return Component(kind, name, {"usage": measures}, Position("x.yaml"))


def estimate(*components: Component, resources: list[Resource] = STACK) -> cost.Estimate:
    return cost.estimate(resources, IRELAND, usage=declared_usage.collect(components))


@pytest.mark.parametrize(
    ("component", "address", "amounts"),
    [
        # 0.064 USD a vCPU-hour (AWS price list): 2 GB all day, 1 vCPU for 6 of 24 hours of 730 a month
        (
            declare("containerservice.api", activeHoursPerDay={"low": 0, "expected": 6, "high": 24}),
            "apprunner_service.api",
            (10.22, 21.90, 56.94),
        ),
        # a second instance, half of the day on average: its memory counts while it is there
        (
            declare("containerservice.api", activeHoursPerDay={"expected": 12}, instances={"expected": 1, "high": 2}),
            "apprunner_service.api",
            (33.58, 33.58, 62.05),
        ),
        (
            declare("bucket.files", storageGb={"low": 1, "expected": 10, "high": 100}),
            "s3_bucket.files",
            (0.02, 0.23, 2.3),
        ),
        # 5 GB of logs are free, 0.57 USD each after that
        (declare("containerservice.api", logsGb={"low": 1, "expected": 5, "high": 15}), "cloudwatch_logs", (0, 0, 5.7)),
        (declare("bucket.files", trafficGb={"expected": 100, "high": 200}), "data_transfer", (0, 0, 9)),
        (declare("cdn.web", trafficGb={"expected": 1024, "high": 2024}), "cloudfront_traffic", (0, 0, 85)),
        (declare("cdn.web", requestsMillion={"expected": 10, "high": 11}), "cloudfront_requests", (0, 0, 1.2)),
    ],
)
def test_use_is_priced_by_level(component: Component, address: str, amounts: tuple[float, float, float]) -> None:
    [line] = [item for item in estimate(component).line_items if item.address == address]

    assert line.by_usage == pytest.approx(amounts, abs=0.005)


def test_what_is_free_is_free_once() -> None:
    """The 100 GB are the account's: two components share them."""
    both = estimate(
        declare("bucket.files", trafficGb={"expected": 80}), declare("containerservice.api", trafficGb={"expected": 80})
    )

    assert [item.levels[1] for item in both.line_items if item.address == "data_transfer"] == [5.4]


def test_without_declared_use_nothing_changes() -> None:
    assert estimate() == cost.estimate(STACK, IRELAND)
    assert (estimate().by_usage, estimate().expected) == (None, estimate().idle)


def test_use_of_what_is_not_there_counts_nothing() -> None:
    assert estimate(declare("cdn.web", trafficGb={"expected": 9000}), resources=SERVICE).by_usage is None


def test_use_without_a_price_is_named() -> None:
    """Ohio's list has no price of logs."""
    logs = declared_usage.collect([declare("containerservice.api", logsGb={"expected": 50})])
    found = cost.estimate([make("iam_role.api", "containerservice.api")], "us-east-2", usage=logs)

    assert found.unpriced == (("cloudwatch_logs", "no price for GB of logs in us-east-2"),)


MEASURES = {
    "containerservice.api": ("activeHoursPerDay", 24),
    "bucket.files": ("storageGb", 5000),
    "cdn.web": ("trafficGb", 9000),
}


@given(
    handle=st.sampled_from(sorted(MEASURES)),
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
    more=st.floats(0, 1),
)
def test_more_use_never_costs_less(handle: str, shares: list[float], more: float) -> None:
    measure, most = MEASURES[handle]
    low, expected, high = (share * most for share in shares)
    found = estimate(declare(handle, **{measure: {"low": low, "expected": expected, "high": high}})).by_usage
    busier = expected + more * (most - expected)
    larger = estimate(
        declare(handle, **{measure: {"low": low, "expected": busier, "high": max(high, busier)}})
    ).by_usage

    assert found is not None
    assert larger is not None
    assert list(found) == sorted(found)
    assert larger[1] >= found[1]


BUDGET = make(
    "budgets_budget.monthly", "budget.monthly", limit=60, notifications=[{"threshold": 20, "unit": "ABSOLUTE_VALUE"}]
)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0, "is 9.67 USD above the idle cost of the stack: it reports higher usage"),
        (12, "is 9.67 USD above the idle cost of the stack, but the declared usage exceeds it every month"),
    ],
)
def test_the_first_alert_is_compared_with_what_the_stack_always_costs(hours: float, words: str) -> None:
    use = declare("containerservice.api", activeHoursPerDay={"expected": hours})
    [note] = cost.list_warnings(estimate(use, resources=[*STACK, BUDGET]))

    assert note.startswith("The first budget alert (20 USD)")
    assert words in note


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("{low: 9, expected: 4}", "api.yaml:41:30: `low` is above `expected`, which is 4"),
        ("{expected: 4, high: 1}", "api.yaml:41:44: `high` is below `expected`, which is 4"),
    ],
)
def test_levels_out_of_order_are_refused_with_their_place(levels: str, words: str, tmp_path: Path) -> None:
    result = run(tmp_path, f"\n  usage:\n    activeHoursPerDay: {levels}\n", "validate")

    assert isinstance(result.exception, Problems)
    assert words in str(result.exception)


def test_the_report_shows_the_expected_cost_by_component(tmp_path: Path) -> None:
    usage = "\n  usage:\n    activeHoursPerDay: {low: 2, expected: 8, high: 14}\n    logsGb: {expected: 6}\n"
    text = run(tmp_path, usage, "cost").output
    data = json.loads(run(tmp_path, usage, "cost", "--format", "json").output)

    assert "24.99 expected with the declared usage (22.07 to 27.91)" in text
    assert "component               idle  expected  active" in text
    assert data["usage_usd"] == {"low": 22.07, "expected": 24.99, "high": 27.91}


def run(folder: Path, extra: str, *arguments: str) -> Any:
    """Run a command on a copy of this repository's manifests, with lines added to the service."""
    for path in MANIFESTS.rglob("*.yaml"):
        copy = folder / path.relative_to(MANIFESTS)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text() + (extra if path.name == "api.yaml" else ""))
    return CliRunner().invoke(cli, [*arguments, "--manifests", str(folder)])
