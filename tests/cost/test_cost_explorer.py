"""What AWS has billed beside the estimate: asked with one request, kept for a day, and never for another account.

Requests and responses are validated by botocore's model of Cost Explorer.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import cost
from orchestrator.aws import AwsError
from orchestrator.cost import billed_months
from orchestrator.problems import Position, Problems
from orchestrator.render import spend_report
from orchestrator.runs import cost_explorer
from orchestrator.vocabulary import Resource

ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
DATABASE_SERVICE = "Amazon Relational Database Service"


def group(service: str, usd: str, record_type: str = "Usage") -> dict[str, Any]:
    return {"Keys": [service, record_type], "Metrics": {"UnblendedCost": {"Amount": usd, "Unit": "USD"}}}


def month(start: str, end: str, *groups: dict[str, Any]) -> dict[str, Any]:
    return {"TimePeriod": {"Start": start, "End": end}, "Total": {}, "Groups": list(groups), "Estimated": False}


OCTOBER = month(
    "2026-10-01",
    "2026-11-01",
    group(DATABASE_SERVICE, "17.1400000000"),
    group("AWS App Runner", "5.25"),
    group("AWS App Runner", "1.10", "Tax"),
    group(DATABASE_SERVICE, "-10.00", "Credit"),
    group("AWS Key Management Service", "0.0000012"),
)
NOVEMBER = month(
    "2026-11-01", "2026-11-16", group(DATABASE_SERVICE, "8.5"), group("Amazon Simple Email Service", "1.5")
)
ANSWER = {"ResultsByTime": [OCTOBER, NOVEMBER], "GroupDefinitions": []}


class CostExplorer:
    """Answers as AWS does, through botocore's validation of both directions; counts the billed requests."""

    def __init__(self, *answers: dict[str, Any], account: str = ACCOUNT, error: AwsError | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._account, self._error = account, error
        session = botocore.session.get_session()
        self._client = session.create_client(
            "ce", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
        )
        stubber = Stubber(self._client)
        for answer in answers:
            stubber.add_response("get_cost_and_usage", answer)
        stubber.activate()

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if service == "sts":
            return {"Account": self._account}
        assert (service, operation, region) == ("ce", "get_cost_and_usage", "us-east-1")
        self.requests.append(parameters)
        if self._error is not None:
            raise self._error
        return self._client.get_cost_and_usage(**parameters)


def estimate() -> cost.Estimate:
    database = {"instance_class": "db.t3.micro", "storage_type": "gp2", "storage_gb": 20}
    resource = Resource("rds_instance", "main", "main", database, "database.main", Position("x.yaml"))
    return cost.estimate([resource], "eu-west-1")


def test_one_request_brings_both_months_and_lasts_a_day(tmp_path: Path) -> None:
    explorer = CostExplorer(ANSWER, ANSWER)

    first = cost_explorer.read_spend(explorer, ACCOUNT, NOW, tmp_path)
    again = cost_explorer.read_spend(explorer, ACCOUNT, NOW + timedelta(hours=23, minutes=59), tmp_path)
    next_day = cost_explorer.read_spend(explorer, ACCOUNT, NOW + timedelta(hours=24), tmp_path)

    assert [item.requests for item in (first, again, next_day)] == [1, 0, 1]
    assert again.months == first.months
    assert len(explorer.requests) == 2
    assert explorer.requests[0]["TimePeriod"] == {"Start": "2026-10-01", "End": "2026-11-16"}
    october, november = first.months
    assert (october.total, october.credits) == (23.49, -10.0)
    assert (november.total, november.projected) == (10.0, 20.0)


def test_every_page_is_read_and_counted(tmp_path: Path) -> None:
    split = {"ResultsByTime": [month("2026-10-01", "2026-11-01", group("AWS Secrets Manager", "0.40"))]}
    explorer = CostExplorer({**ANSWER, "NextPageToken": "2"}, split)

    found = cost_explorer.read_spend(explorer, ACCOUNT, NOW, tmp_path)

    assert found.requests == 2
    assert explorer.requests[1]["NextPageToken"] == "2"
    assert found.months[0].total == 23.89


@pytest.mark.parametrize("kept", [b"", b"{}", b'{"account": "999999999999"}', b"\xff"])
def test_a_damaged_answer_is_asked_for_again(kept: bytes, tmp_path: Path) -> None:
    (tmp_path / f"cost-explorer-{ACCOUNT}.json").write_bytes(kept)

    assert cost_explorer.read_spend(CostExplorer(ANSWER), ACCOUNT, NOW, tmp_path).requests == 1


def test_an_answer_from_the_future_is_asked_for_again(tmp_path: Path) -> None:
    """A clock that was wrong must not keep it for ever."""
    explorer = CostExplorer(ANSWER, ANSWER)
    cost_explorer.read_spend(explorer, ACCOUNT, NOW + timedelta(days=300), tmp_path)

    assert cost_explorer.read_spend(explorer, ACCOUNT, NOW, tmp_path).requests == 1


def test_another_account_is_refused_before_anything_is_billed(tmp_path: Path) -> None:
    explorer = CostExplorer(ANSWER, account="210987654321")

    with pytest.raises(Problems, match="belong to account 210987654321"):
        cost_explorer.read_spend(explorer, ACCOUNT, NOW, tmp_path)
    assert explorer.requests == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [("AccessDeniedException", "ce:GetCostAndUsage"), ("DataUnavailableException", "try again tomorrow")],
)
def test_a_refusal_says_what_to_do(code: str, hint: str, tmp_path: Path) -> None:
    error = AwsError("ce", "GetCostAndUsage", code, "no")

    with pytest.raises(Problems) as refusal:
        cost_explorer.read_spend(CostExplorer(error=error), ACCOUNT, NOW, tmp_path)
    assert hint in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_the_report_stands_beside_the_estimate(tmp_path: Path) -> None:
    found = cost_explorer.read_spend(CostExplorer(ANSWER), ACCOUNT, NOW, tmp_path)

    lines = spend_report.render_text(found.months, estimate(), found.read_at, found.requests, 0.01).splitlines()

    assert lines[1] == "This month until 2026-11-15: 10.00 USD; forecast for the whole month: 20.00 USD."
    assert lines[2] == "Credits and refunds in 2026-10: -10.00 USD."
    assert lines[4:9] == [
        "AWS service                         last month  this month  estimated",
        "Amazon Relational Database Service       17.14        8.50      17.14",
        "AWS App Runner                            6.35           -          -",
        "Amazon Simple Email Service                  -        1.50          -",
        "total                                    23.49       10.00      17.14",
    ]
    assert lines[-1] == "Sent 1 request to Cost Explorer, for 0.01 USD; the result is cached for a day."
    kept = spend_report.render_text(found.months, estimate(), found.read_at, 0, 0.01)
    assert kept.endswith("at 2026-11-16 08:30 UTC and cached for a day; nothing was charged.")
    data = spend_report.to_json(found.months, estimate(), found.read_at, 1)
    assert json.loads(json.dumps(data))["this_month_projected_usd"] == 20.0


@given(today=st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_the_period_is_last_month_and_this_one(today: date) -> None:
    """Cost Explorer refuses a period that is empty or ends in the future."""
    start, end = billed_months.request_period(today)

    assert start.day == 1
    assert start < end <= today
    assert 28 <= (today.replace(day=1) - start).days <= 31
