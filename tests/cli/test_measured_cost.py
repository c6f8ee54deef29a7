"""`cost --measured` on the emulated AWS: metrics are asked once for a region, and what may not be read is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from orchestrator.emulator import Emulator, Faults
from tests.cli.conftest import ByHand, Run


def test_the_size_of_a_bucket_is_read_from_cloudwatch(aws: Emulator, run: Run, by_hand: ByHand) -> None:
    """In Ireland a GB costs 0.023 USD: 100 GB on average, where the estimate assumes 5."""
    assert run("apply", "--auto-approve").code == 0
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    for days_before, gigabytes in ((0, 150), (1, 50)):
        datum = {
            "MetricName": "BucketSizeBytes",
            "Dimensions": [
                {"Name": "BucketName", "Value": "shop-files"},
                {"Name": "StorageType", "Value": "StandardStorage"},
            ],
            "Timestamp": yesterday - timedelta(days=days_before),
            "Value": gigabytes * 1024.0**3,
        }
        by_hand("cloudwatch", "put_metric_data", Namespace="AWS/S3", MetricData=[datum])
    aws.clear_calls()

    shown, data = run("cost", "--measured"), json.loads(run("cost", "--measured", "--format", "json").out)

    assert "2.30 expected with the measured usage (1.15 to 3.45)" in shown.out
    assert "  bucket.files storageGb  100 (50 to 150)" in shown.out
    assert data["usage_usd"] == {"low": 1.15, "expected": 2.3, "high": 3.45}
    assert data["measured"]["last_day"] == f"{yesterday:%Y-%m-%d}"
    assert [call.name for call in aws.calls if call.access == "write"] == []
    assert len([call for call in aws.calls if "GetMetricData" in call.name]) == 2  # one for each command


def test_a_stack_without_metrics_keeps_what_is_declared(aws: Emulator, run: Run) -> None:
    shown = run("cost", "--measured")

    assert shown.code == 0
    assert "CloudWatch measured no usage " in shown.out
    assert "0.11 USD a month idle" in shown.out


def test_a_role_that_may_not_read_metrics_is_told_what_it_needs(aws: Emulator, run: Run) -> None:
    assert run("apply", "--auto-approve").code == 0
    aws.faults = Faults(denied=("cloudwatch:GetMetricData",))

    shown = run("cost", "--measured")

    assert shown.code == 1
    assert "cannot read what CloudWatch measured in eu-west-1" in shown.err
    assert "cloudwatch:GetMetricData" in shown.err
    assert "omit --measured" in shown.err
