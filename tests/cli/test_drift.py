"""drift with --accept and --ignore, against an emulated AWS: what becomes of the files, and of the next plan."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
ByHand = Callable[..., Any]


def suspend(by_hand: ByHand, bucket: str = "shop-files") -> None:
    by_hand("s3", "put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.usefixtures("aws")
class TestSmallStack:
    def test_accepting_edits_the_manifest_and_nothing_else(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """AWS is not touched, and the next look finds no drift."""
        run("apply", "--auto-approve")
        suspend(by_hand)
        before = (manifests / "shop.yaml").read_text()

        shown = run("drift", "--accept", "all")

        assert shown.code == 0, shown.err
        after = (manifests / "shop.yaml").read_text()
        assert after == before.replace("versioning: true", "versioning: false")
        assert "s3_bucket.files: versioning: bucket.files says so in spec.versioning" in shown.out
        assert run("drift").code == 0

    def test_ignoring_lets_it_be(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """In the manifest, with who and why; drift and plan say so, and an apply leaves it alone."""
        run("apply", "--auto-approve")
        suspend(by_hand)
        words = ("--until", "2099-12-31", "--owner", "ana", "--reason", "the import runs")

        assert run("drift", "--ignore", "s3_bucket.files:versioning", *words).code == 0

        assert "owner: ana" in (manifests / "shop.yaml").read_text()
        seen = run("drift")
        assert seen.code == 0
        assert "1 ignored" in seen.out
        assert "versioning is let be: until 2099-12-31 (ana: the import runs)" in " ".join(seen.out.split())
        assert "is let be until 2099-12-31" in " ".join(run("plan").out.split())
        assert run("apply", "--auto-approve").code == 0
        assert by_hand("s3", "get_bucket_versioning", Bucket="shop-files")["Status"] == "Suspended"

    def test_what_no_field_says_is_left(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """Nothing is written, and what can be done is said."""
        run("apply", "--auto-approve")
        by_hand("s3", "delete_bucket", Bucket="shop-files")
        before = (manifests / "shop.yaml").read_text()

        shown = run("drift", "--accept", "s3_bucket.files")

        assert shown.code == 2
        assert "left as it is: s3_bucket.files: it is not in AWS" in shown.err
        assert (manifests / "shop.yaml").read_text() == before

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--accept", "s3_bucket.fils"), "no drift is called s3_bucket.fils"),
            (("--ignore", "all"), "until when is it let be?"),
            (("--ignore", "all", "--until", "2020-01-01", "--reason", "x"), "2020-01-01 is past"),
            (("--ignore", "all", "--until", "2099-01-01"), "why is it let be?"),
            (("--ignore", "all", "--accept", "all"), "two answers"),
        ],
    )
    def test_half_an_answer_is_refused(self, run: Run, words: tuple[str, ...], message: str) -> None:
        shown = run("drift", *words)

        assert shown.code == 1
        assert message in shown.err


@pytest.mark.slow
class TestExampleStack:
    """The manifests of the first user: what somebody does by hand, and the very lines that accepting it changes."""

    def test_accepting_changes_these_lines(
        self, aws: Emulator, by_hand: ByHand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
        where = ("-f", str(tmp_path / "manifests"))
        assert main(["apply", "--auto-approve", *where]) == 0
        self._meddle(by_hand)
        capsys.readouterr()

        code = main(["drift", "--accept", "all", *where])

        out, err = capsys.readouterr()
        changed = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
        assert changed == [
            "-    expireOldVersionsAfterDays: 30",
            "+    expireOldVersionsAfterDays: 60",
            "-  limit: 60",
            "+  limit: 75",
            "-    retentionDays: 7",
            "+    retentionDays: 14",
            "-    connections: 60",
            "+    connections: 75",
        ], (out, err)
        assert code == 0, err
        assert "threshold: database.main says so in spec.alarms.connections; applying it changes description" in out
        assert main(["drift", *where]) == 2  # the alarm's own words, which follow
        assert main(["apply", "--auto-approve", *where]) == 0
        assert main(["drift", *where]) == 0

    @staticmethod
    def _meddle(by_hand: ByHand) -> None:
        found = by_hand("s3", "get_bucket_lifecycle_configuration", Bucket="joiabagur-files-prod")
        rules = found["Rules"]
        for rule in rules:
            if "NoncurrentVersionExpiration" in rule:
                rule["NoncurrentVersionExpiration"]["NoncurrentDays"] = 60
        by_hand(
            "s3",
            "put_bucket_lifecycle_configuration",
            Bucket="joiabagur-files-prod",
            LifecycleConfiguration={"Rules": rules},
        )
        by_hand("rds", "modify_db_instance", DBInstanceIdentifier="joiabagur-prod-main", BackupRetentionPeriod=14)
        (budget,) = by_hand("budgets", "describe_budgets", AccountId="123456789012")["Budgets"]
        budget["BudgetLimit"]["Amount"] = "75"
        by_hand("budgets", "update_budget", AccountId="123456789012", NewBudget=budget)
        alarms = by_hand("cloudwatch", "describe_alarms")["MetricAlarms"]
        (alarm,) = [one for one in alarms if one["MetricName"] == "DatabaseConnections"]
        kept = (
            "AlarmName", "MetricName", "Namespace", "Dimensions", "Statistic", "Period", "EvaluationPeriods",
            "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions", "ActionsEnabled", "AlarmDescription",
        )  # fmt: skip
        by_hand("cloudwatch", "put_metric_alarm", **{key: alarm[key] for key in kept if key in alarm}, Threshold=75.0)
