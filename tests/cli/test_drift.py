"""drift with --accept and --ignore, against an emulated AWS: what becomes of the files, and of the next plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
ByHand = Callable[..., Any]
LISTS = """\
# What the shop shows.
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: photos}
spec:
  name: shop-photos
  cors:
    # the old shop, until it is gone
    - origins: [https://old.example]  # one
      methods: [GET]
    # everybody else
    - origins: ["https://*.example"]
      methods: [GET, HEAD]
  lifecycle:
    rules: # prefixes in the order of the import
      - prefix: tmp/
        expireAfterDays: 3  # days
  # nobody else reads it
"""
NEW_RULE = """\
    - origins: ['https://new.example']
      methods: [GET, PUT]
      maxAgeSeconds: 60
"""
ACCEPTED = f"""\
# What the shop shows.
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: photos}}
spec:
  name: shop-photos
  cors:
    # the old shop, until it is gone
    - origins: [https://old.example]  # one
      methods: [GET]
{NEW_RULE}    # everybody else
    - origins: ["https://*.example"]
      methods: [GET, HEAD]
    - origins: ['*']
      methods: [HEAD]
      exposeHeaders: [ETag]
  lifecycle:
    rules: # prefixes in the order of the import
      - prefix: tmp/
        expireAfterDays: 3  # days
      - prefix: raw/
        expireAfterDays: 365
        transitions:
          - afterDays: 90
            storageClass: GLACIER_IR
  policy:
    - Sid: Partner
      Effect: Allow
      Principal:
        AWS: ['arn:aws:iam::210987654321:root']
      Action: ['s3:GetObject']
      Resource: ['arn:aws:s3:::shop-photos/raw/*']
  # nobody else reads it
"""


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
        assert "s3_bucket.files: versioning: accepted in bucket.files spec.versioning" in shown.out
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
        assert "versioning is ignored until 2099-12-31 (ana: the import runs)" in " ".join(seen.out.split())
        assert "is ignored until 2099-12-31" in " ".join(run("plan").out.split())
        assert run("apply", "--auto-approve").code == 0
        assert by_hand("s3", "get_bucket_versioning", Bucket="shop-files")["Status"] == "Suspended"

    def test_what_is_gone_is_declared_no_more(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """The document goes with all of its resources, and the others stay as they are."""
        run("apply", "--auto-approve")
        by_hand("s3", "delete_bucket", Bucket="shop-files")
        before = (manifests / "shop.yaml").read_text()

        shown = run("drift", "--accept", "s3_bucket.files")

        assert shown.code == 0, shown.err
        assert "s3_bucket.files: bucket.files is no longer declared" in shown.out
        assert (manifests / "shop.yaml").read_text() == before.partition("---")[0]
        assert run("drift").code == 0

    def test_what_others_need_is_left(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """Nothing is written, and it is said what stands in the way and what can be done."""
        log = "kind: Bucket\nmetadata: {name: log}\nspec: {accessLog: {bucket: '${bucket.files.name}', prefix: a/}}\n"
        (manifests / "log.yaml").write_text(f"apiVersion: orchestrator/v1\n{log}")
        run("apply", "--auto-approve")
        by_hand("s3", "delete_bucket", Bucket="shop-files")
        before = (manifests / "shop.yaml").read_text()

        shown = run("drift", "--accept", "s3_bucket.files")

        assert shown.code == 2
        said = " ".join(shown.err.split())
        assert (
            "Not changed: s3_bucket.files: it is not in AWS, and removing bucket.files does not resolve the drift:"
            in said
        )
        assert "unknown component bucket.files" in said
        assert "recreate it with `orchestrator apply`" in said
        assert (manifests / "shop.yaml").read_text() == before

    def test_what_another_environment_has_is_left(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        for name in ("prod", "staging"):
            (manifests / "environments").mkdir(exist_ok=True)
            (manifests / f"environments/{name}.yaml").write_text("# as the base\n")
        run("apply", "--auto-approve", "-e", "prod")
        by_hand("s3", "delete_bucket", Bucket="shop-files")

        shown = run("drift", "--accept", "bucket.files", "-e", "prod")

        assert shown.code == 2
        assert "bucket.files is also declared for staging" in " ".join(shown.err.split())

    def test_what_nobody_declares_is_declared(self, run: Run, manifests: Path) -> None:
        """What is ours by its mark comes back into the manifests as it is, with all that it brings along."""
        bucket = {"name": "shop-old", "lifecycle": {"expireOldVersionsAfterDays": 9}, "tlsOnly": False}
        cdn = {"origin": "bucket.files", "priceClass": "asia"}
        old = manifests / "old.yaml"
        old.write_text(
            "---\n".join(
                f"apiVersion: orchestrator/v1\nkind: {kind}\nmetadata: {{name: old}}\nspec: {json.dumps(spec)}\n"
                for kind, spec in (("Bucket", bucket), ("Cdn", cdn))
            )
        )
        assert run("apply", "--auto-approve").code == 0
        old.unlink()
        before = (manifests / "shop.yaml").read_text()

        shown = run("drift", "--accept", "all")

        assert shown.code == 0, shown.err
        assert "s3_bucket.shop-old: bucket.old is declared" in shown.out
        after = (manifests / "shop.yaml").read_text()
        assert after.startswith(before)
        specs = [document["spec"] for document in yaml.safe_load_all(after[len(before) :].removeprefix("---\n"))]
        assert sorted(specs, key=len) == [cdn, bucket]
        assert run("drift").code == 0

    def test_what_a_tool_cannot_declare_is_left(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        secret = manifests / "app.yaml"
        text = "kind: Secret\nmetadata: {name: app}\nspec: {data: {Key: {generate: {length: 40}}}}\n"
        secret.write_text(f"apiVersion: orchestrator/v1\n{text}")
        assert run("apply", "--auto-approve").code == 0
        secret.unlink()

        shown = run("drift", "--accept", "all")

        assert shown.code == 2
        reason = "no manifest declares it, and a secret value cannot be written into a manifest; declare it manually"
        assert reason in " ".join(shown.err.split())

    def test_objects_come_into_lists_and_go(self, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """Each as its manifest would say it, at its place, and what people wrote around it stays."""
        (manifests / "cdn.yaml").write_text(LISTS)
        assert run("apply", "--auto-approve").code == 0
        self._meddle_with_lists(by_hand)

        shown = run("drift", "--accept", "all")

        assert shown.code == 0, shown.err
        assert (manifests / "cdn.yaml").read_text() == ACCEPTED
        assert run("drift").code == 0

        rules = by_hand("s3", "get_bucket_cors", Bucket="shop-photos")["CORSRules"]
        by_hand("s3", "put_bucket_cors", Bucket="shop-photos", CORSConfiguration={"CORSRules": [rules[0], *rules[2:]]})
        assert run("drift", "--accept", "s3_bucket_cors.photos").code == 0
        assert (manifests / "cdn.yaml").read_text() == ACCEPTED.replace(NEW_RULE, "")

    @staticmethod
    def _meddle_with_lists(by_hand: ByHand) -> None:
        rules = by_hand("s3", "get_bucket_cors", Bucket="shop-photos")["CORSRules"]
        new = {"AllowedOrigins": ["https://new.example"], "AllowedMethods": ["PUT", "GET"], "MaxAgeSeconds": 60}
        last = {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 3600}
        rules = [rules[0], new, rules[1], last]
        by_hand("s3", "put_bucket_cors", Bucket="shop-photos", CORSConfiguration={"CORSRules": rules})
        found = by_hand("s3", "get_bucket_lifecycle_configuration", Bucket="shop-photos")["Rules"]
        moved = {
            "ID": "by-hand", "Status": "Enabled", "Filter": {"Prefix": "raw/"}, "Expiration": {"Days": 365},
            "Transitions": [{"Days": 90, "StorageClass": "GLACIER_IR"}],
        }  # fmt: skip
        by_hand(
            "s3",
            "put_bucket_lifecycle_configuration",
            Bucket="shop-photos",
            LifecycleConfiguration={"Rules": [*found, moved]},
        )
        policy = json.loads(by_hand("s3", "get_bucket_policy", Bucket="shop-photos")["Policy"])
        policy["Statement"].append(
            {
                "Sid": "Partner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
                "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop-photos/raw/*",
            }
        )  # fmt: skip
        by_hand("s3", "put_bucket_policy", Bucket="shop-photos", Policy=json.dumps(policy))

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--accept", "s3_bucket.fils"), "no drift matches `s3_bucket.fils`"),
            (("--ignore", "all"), "--ignore requires --until"),
            (("--ignore", "all", "--until", "2020-01-01", "--reason", "x"), "--until 2020-01-01 is in the past"),
            (("--ignore", "all", "--until", "2099-01-01"), "--ignore requires --reason"),
            (("--ignore", "all", "--accept", "all"), "--accept and --ignore cannot be combined"),
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
        database = tmp_path / "manifests/database.yaml"
        database.write_text(database.read_text().replace("    cpuCredits: 20\n", ""))  # now nobody asks for that alarm
        capsys.readouterr()

        code = main(["drift", "--accept", "all", *where])

        out, err = capsys.readouterr()
        changed = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
        assert changed == [
            "-  cpu: 0.25",  # which half a gigabyte allows no more of: the other is accepted first
            "-  memory: 0.5",
            "+  cpu: 0.5",
            "+  memory: 1",
            "-    expireOldVersionsAfterDays: 30",
            "+    expireOldVersionsAfterDays: 60",
            "-  limit: 60",
            "+  limit: 75",
            "-    retentionDays: 7",
            "+    retentionDays: 14",
            "-    connections: 60",
            "-    freeStorageGb: 4",
            "+    connections: 75",
            "+    cpuCredits: 20",
        ], (out, err)
        assert code == 0, err
        assert (
            "threshold: accepted in database.main spec.alarms.connections; the next apply also updates description"
            in out
        )
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
        (service,) = by_hand("apprunner", "list_services")["ServiceSummaryList"]
        more = {"Cpu": "0.5 vCPU", "Memory": "1 GB"}
        by_hand("apprunner", "update_service", ServiceArn=service["ServiceArn"], InstanceConfiguration=more)
        by_hand("rds", "modify_db_instance", DBInstanceIdentifier="joiabagur-prod-main", BackupRetentionPeriod=14)
        (budget,) = by_hand("budgets", "describe_budgets", AccountId="123456789012")["Budgets"]
        budget["BudgetLimit"]["Amount"] = "75"
        by_hand("budgets", "update_budget", AccountId="123456789012", NewBudget=budget)
        alarms = by_hand("cloudwatch", "describe_alarms")["MetricAlarms"]
        (gone,) = [one["AlarmName"] for one in alarms if one["MetricName"] == "FreeStorageSpace"]
        by_hand("cloudwatch", "delete_alarms", AlarmNames=[gone])
        (alarm,) = [one for one in alarms if one["MetricName"] == "DatabaseConnections"]
        kept = (
            "AlarmName", "MetricName", "Namespace", "Dimensions", "Statistic", "Period", "EvaluationPeriods",
            "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions", "ActionsEnabled", "AlarmDescription",
        )  # fmt: skip
        by_hand("cloudwatch", "put_metric_alarm", **{key: alarm[key] for key in kept if key in alarm}, Threshold=75.0)
