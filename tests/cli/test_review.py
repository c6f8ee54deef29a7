"""The monthly page: what is in AWS and what it costs, what nobody deletes, keys by age, drift and dates; reads only."""

from __future__ import annotations

import re
import socket
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from orchestrator.cost.billed_months import MonthSpend
from orchestrator.cost.by_component import ComponentCost
from orchestrator.cost.stack_cost import BudgetLimit, StackCost
from orchestrator.emulator import Emulator, Faults
from orchestrator.render import review_page
from orchestrator.runs import monthly_review
from orchestrator.runs.cost_explorer import ActualSpend
from orchestrator.runs.settings import Settings
from orchestrator.state.protocol.records import Run as RunRecord
from orchestrator.state.protocol.records import RunResult
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from tests.cli.conftest import MANIFESTS, ByHand, Run
from tests.state.api_service import run_api_service

BUDGET = """---
apiVersion: orchestrator/v1
kind: Budget
metadata: {name: monthly}
spec: {limit: 0.5, alerts: [0.2, 0.4], email: [ops@shop.example]}
"""


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "shop.yaml").write_text(MANIFESTS + BUDGET)
    return folder


def sections(page: str) -> dict[str, list[str]]:
    """Return the lines of each section of the page."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return {title: body.strip().splitlines() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_an_orderly_account_has_a_short_page(aws: Emulator, run: Run) -> None:
    assert run("apply", "--auto-approve").code == 0
    aws.clear_calls()

    page = sections(run("review").out)

    assert [call.name for call in aws.calls if call.access == "write"] == []
    assert "| bucket.files | 0.11 | 0.11 | 0.11 |" in page["Cost"]
    assert "* budget.monthly: 22 % of 0.5 USD a month; the first alert is at 0.2 USD." in page["Cost"]
    assert page["Cost"][-1] == "* Billed costs were not read: to read them, add --actual (0.01 USD)."
    assert page["Leftovers"] == ["No leftover resources were found."]
    assert page["Access keys"] == ["No IAM user in the account has an active access key."]
    assert page["Drift"][0].startswith("0 drifted, ")
    assert page["Not checked"] == ["All data was read."]


def test_what_nobody_deletes_and_what_is_old_is_named(
    aws: Emulator, run: Run, by_hand: ByHand, manifests: Path
) -> None:
    """A snapshot, logs of a service that is gone, a bucket that no manifest declares, a key of a colleague."""
    assert run("apply", "--auto-approve").code == 0
    (manifests / "shop.yaml").write_text(MANIFESTS.partition("---")[0] + BUDGET)
    by_hand("logs", "create_log_group", logGroupName="/aws/apprunner/shop-prod-api/0123/application")
    by_hand("logs", "create_log_group", logGroupName="/aws/apprunner/other-prod-api/0123/application")
    aws.faults = Faults(settle_seconds={"rds": 0})
    size = {"DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20}
    login = {"MasterUsername": "shop", "MasterUserPassword": "not-a-secret"}
    by_hand("rds", "create_db_instance", DBInstanceIdentifier="shop-prod-main", **size, **login)
    snapshot = {"DBInstanceIdentifier": "shop-prod-main", "DBSnapshotIdentifier": "before-the-import"}
    by_hand("rds", "create_db_snapshot", **snapshot)
    by_hand("iam", "create_user", UserName="ana")
    key = by_hand("iam", "create_access_key", UserName="ana")["AccessKey"]["AccessKeyId"]

    later = datetime.now(UTC) + timedelta(days=91)
    page = sections(review_page.render(monthly_review.gather(Settings(manifests), now=later)))

    text = "\n".join(page["Leftovers"])
    assert "shop-files (s3_bucket.shop-files) is in AWS but not in the manifests. A veto protects it" in text
    assert (
        "Snapshot before-the-import of shop-prod-main, 20 GB, is 91 days old. It is not deleted automatically." in text
    )
    assert "Log group /aws/apprunner/shop-prod-api/0123/application, 0.0 MB, belongs to a service that" in text
    assert "other-prod" not in text
    assert page["Access keys"] == [f"* ana, key ...{key[-4:]}: 91 days old: replace it, or use roles."]
    assert key not in str(page)


def test_what_may_not_be_read_is_named_and_the_rest_is_shown(aws: Emulator, run: Run, manifests: Path) -> None:
    assert run("apply", "--auto-approve").code == 0
    aws.faults = Faults(denied=("iam:ListUsers", "rds:DescribeDBSnapshots"))

    page = sections(run("review").out)

    assert len(page["Not checked"]) == 2
    assert "AccessDenied" in page["Not checked"][0] + page["Not checked"][1]
    assert page["Drift"][0].startswith("0 drifted, ")


def test_what_aws_billed_comes_from_the_kept_answer(aws: Emulator, run: Run, manifests: Path) -> None:
    """However old: only --actual asks, because AWS bills each question."""
    assert run("apply", "--auto-approve").code == 0
    today = datetime.now(UTC).date()
    last = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    months = (MonthSpend(last, date.fromordinal(today.replace(day=1).toordinal() - 1), {"AWS App Runner": 4.5}, -1.0),)
    kept = ActualSpend("123456789012", datetime.now(UTC) - timedelta(days=20), months)
    folder = manifests.parent / ".orchestrator"
    folder.mkdir(exist_ok=True)
    (folder / "cost-explorer-123456789012.json").write_bytes(msgspec.json.encode(kept))

    page = sections(run("review").out)

    assert f"* Billed for the whole account in {last:%Y-%m}: 4.50 USD before credits." in page["Cost"]


def test_components_are_compared_with_last_month_and_the_service_keeps_the_rest(
    aws: Emulator, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a real apply cost is what the service has; a component that is gone is still in the comparison."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    earlier = datetime.now(UTC) - timedelta(days=70)
    before = StackCost((ComponentCost("bucket.files", 0.05, 0.05, 0.05), ComponentCost("bucket.old", 4, 4, 4)))
    at = format_timestamp(earlier.timestamp())
    store.begin_run(RunRecord("r1", "shop/prod", "deploy", "ana", "c0ffee", at), "ana", from_journal=True)
    store.end_run("r1", None, RunResult("succeeded", at, cost=before), "ana")
    with run_api_service(store) as service:
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", service.address)
        monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", service.issue_token("read", "propose", "write"))
        assert run("apply", "--auto-approve").code == 0
        page = sections(run("review").out)
        shown = service.open_client("read").get("/e/shop/prod/review").text

    applied = store.list_applied_costs("shop/prod").items[0].cost
    assert applied is not None
    assert applied.budgets == (BudgetLimit("budget.monthly", 0.5, (0.2, 0.4)),)
    assert [(item.component, item.idle) for item in applied.components] == [("bucket.files", 0.11)]
    assert "| component | idle | expected | active | last month | change |" in page["Cost"]
    assert "| bucket.files | 0.11 | 0.11 | 0.11 | 0.05 | +0.06 |" in page["Cost"]
    assert "| bucket.old | 0.00 | 0.00 | 0.00 | 4.00 | -4.00 |" in page["Cost"]
    review = store.get_review("shop/prod")
    assert review is not None
    assert [section.heading for section in review.sections] == [title for title in page if title != "Cost"]
    assert review.section("Leftovers") == ("No leftover resources were found.",)
    assert "No leftover resources were found." in shown
    assert "bucket.<wbr>old" in shown


def test_a_service_that_is_away_takes_no_more_than_the_comparison(
    aws: Emulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("apply", "--auto-approve").code == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", f"http://127.0.0.1:{port}")

    result = run("review")

    page = sections(result.out)
    assert result.code == 0
    assert page["Not checked"][0].startswith("* last month's cost: the state service at http://127.0.0.1")
    assert "| component | idle | expected | active |" in page["Cost"]
    assert "Could not record the review" in result.err
