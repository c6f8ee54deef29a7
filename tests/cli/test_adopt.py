"""`orchestrator adopt`: what it shows, asks, writes into the manifests and changes in AWS, and how it continues."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.adopt import AdoptOptions, adopt
from orchestrator.runs.settings import Settings
from orchestrator.runs.terminal import Terminal
from tests.cli.conftest import ByHand, Run
from tests.planning import existing_resources

PROJECT = """\
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
"""
BUCKET = """\
---
# What customers upload.
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: files  # since 2019
spec:
  name: legacy-files
  # The page shows them with http, too.
  tlsOnly: false
"""
ADOPTED = """\
---
# What customers upload.
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: files  # since 2019
  adopt: true
spec:
  name: legacy-files
  # The page shows them with http, too.
  tlsOnly: false
  versioning: false
  policy:
    - Effect: Allow
      Principal:
        AWS: ['arn:aws:iam::210987654321:root']
      Action: ['s3:GetObject']
      Resource: ['arn:aws:s3:::legacy-files/*']
  lifecycle:
    rules:
      - prefix: log/
        expireAfterDays: 30
  cors:
    - origins: ['https://old.example']
      methods: [GET]
"""
SECRET = """\
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {name: legacy/app, data: {"Jwt:Key": {generate: {length: 32}}, Issuer: shop}}
"""
DATABASE = """\
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec: {identifier: legacy-postgres, version: "16", database: shop, username: shop}
"""


@pytest.fixture
def bucket(aws: Emulator, manifests: Path) -> Path:
    """The manifest of a bucket that somebody has made by hand."""
    existing_resources.make_bucket()
    path = manifests / "shop.yaml"
    path.write_text(PROJECT + BUCKET)
    return path


@pytest.fixture
def database(aws: Emulator, manifests: Path) -> Path:
    existing_resources.make_database()
    path = manifests / "shop.yaml"
    path.write_text(PROJECT + DATABASE)
    return path


def answer(path: Path, *answers: str) -> tuple[int, str]:
    """Adopt what the manifests declare on a terminal, with these answers; return the exit code and the output."""
    out = io.StringIO()
    stdin = io.StringIO("".join(f"{text}\n" for text in answers))
    terminal = Terminal(stdin, out, out, is_interactive=True)
    component = {"Bucket": "bucket.files", "Database": "database.main", "Secret": "secret.app"}[
        path.read_text().rpartition("kind: ")[2].partition("\n")[0]
    ]
    code = adopt(Settings(manifests=path.parent, terminal=terminal), (component,), AdoptOptions())
    return code, out.getvalue()


class TestBucket:
    def test_the_manifest_describes_what_exists_and_only_additions_remain(
        self, run: Run, by_hand: ByHand, bucket: Path
    ) -> None:
        shown = run("adopt", "bucket.files", "--auto-approve")

        assert shown.code == 0, shown.err
        assert bucket.read_text() == PROJECT + ADOPTED
        before, after = shown.out.split("Manifest edits")
        assert 'is removed  lifecycle {"Expiration": {"Days": 30}' in before
        assert "stays       encryption, public_access, ownership, region, namespace" in before
        assert "is removed" not in after
        assert "Adopted bucket.files." in after
        rules = by_hand("s3", "get_bucket_lifecycle_configuration", Bucket="legacy-files")["Rules"]
        assert {"log/", ""} == {rule["Filter"]["Prefix"] for rule in rules}
        (cors,) = by_hand("s3", "get_bucket_cors", Bucket="legacy-files")["CORSRules"]
        assert cors["AllowedOrigins"] == ["https://old.example"]
        policy = json.loads(by_hand("s3", "get_bucket_policy", Bucket="legacy-files")["Policy"])
        assert [statement["Principal"] for statement in policy["Statement"]] == [existing_resources.PARTNER]
        assert run("drift").code == 0
        assert "Already managed: bucket.files." in run("adopt", "bucket.files").out

    def test_nothing_is_marked_without_consent(self, aws: Emulator, bucket: Path) -> None:
        aws.clear_calls()

        with pytest.raises(Problems) as caught:
            answer(bucket, "yes", "no")

        assert caught.value.problems[0].message == "not approved; nothing was changed"
        assert bucket.read_text() == PROJECT + ADOPTED
        assert [call.operation for call in aws.calls if call.access == "write"] == []

    def test_it_continues_after_an_interruption(self, run: Run, aws: Emulator, bucket: Path) -> None:
        """First no write reaches AWS, then only the tags: each time the next run does the rest."""
        aws.faults = Faults(deny_writes=True)
        assert run("adopt", "bucket.files", "--auto-approve").code == 1
        assert bucket.read_text() == PROJECT + ADOPTED

        aws.faults = Faults(rules=(Rule("error", "s3", "PutBucketLifecycle*", status=403, code="AccessDenied"),))
        second = run("adopt", "bucket.files", "--auto-approve")
        assert (second.code, "Manifest edits" in second.out) == (1, False)

        aws.faults = Faults()
        assert "To see the remaining differences, run: " in run("adopt", "bucket.files", "--auto-approve").out
        assert run("apply", "--auto-approve").code == 0
        assert run("drift").code == 0


class TestDatabase:
    def test_what_no_manifest_can_keep_needs_a_second_consent(self, database: Path, by_hand: ByHand) -> None:
        """The instance keeps its settings and its network; its password changes only after the word for it."""
        with pytest.raises(Problems) as caught:
            answer(database, "yes", "yes")
        assert caught.value.problems[0].message == "database.main: not adopted; nothing was changed in AWS"

        code, out = answer(database, "remove", "yes")

        assert code == 0, out
        assert "is removed  the current master password, which clients use" in out
        (instance,) = by_hand("rds", "describe_db_instances")["DBInstances"]
        assert (instance["DBInstanceClass"], instance["AllocatedStorage"]) == ("db.t4g.small", 50)
        assert (instance["BackupRetentionPeriod"], instance["StorageEncrypted"]) == (14, False)
        assert instance["DBSubnetGroup"]["DBSubnetGroupName"] == existing_resources.SUBNET_GROUP
        assert len(instance["VpcSecurityGroups"]) == 2


class TestSecret:
    """No value is read into a manifest, so there is little to search for."""

    @pytest.fixture
    def secret(self, aws: Emulator, manifests: Path) -> Path:
        existing_resources.make_secret()
        path = manifests / "shop.yaml"
        path.write_text(PROJECT + SECRET)
        return path

    def test_a_plan_changes_neither_files_nor_aws(self, run: Run, aws: Emulator, secret: Path) -> None:
        aws.clear_calls()

        shown = run("adopt", "secret.app", "--plan")

        assert shown.code == ExitCode.CHANGES
        assert "+metadata: {name: app, adopt: true}" in shown.out
        assert secret.read_text() == PROJECT + SECRET
        assert [call.operation for call in aws.calls if call.access == "write" or call.reads_secret] == []

    def test_no_file_is_written_without_consent(self, secret: Path) -> None:
        with pytest.raises(Problems):
            answer(secret, "no")

        assert secret.read_text() == PROJECT + SECRET

    def test_without_a_terminal_the_token_of_the_plan_is_the_consent(self, run: Run, secret: Path) -> None:
        vetoed = run("adopt", "secret.app", "--auto-approve")
        assert vetoed.code == ExitCode.VETOED
        assert "is removed  the current values of the keys Issuer, if they exist" in vetoed.out
        token = vetoed.out.split("--allow ")[1].split()[0]

        assert run("adopt", "secret.app", "--auto-approve", "--allow", token).code == 0

        response = existing_resources.call("secretsmanager", "get_secret_value", SecretId=existing_resources.SECRET)
        assert json.loads(response["SecretString"]).items() >= existing_resources.DOCUMENT.items()


class TestRefusals:
    def test_a_component_that_is_not_declared(self, run: Run, bucket: Path) -> None:
        shown = run("adopt", "bucket.file")

        assert shown.code == 1
        assert "the manifests do not declare bucket.file" in shown.err
        assert "bucket.files" in shown.err

    def test_nothing_exists(self, run: Run, aws: Emulator, manifests: Path) -> None:
        (manifests / "shop.yaml").write_text(PROJECT + DATABASE)

        shown = run("adopt", "database.main", "--auto-approve")

        assert shown.code == 1
        assert "legacy-postgres does not exist in AWS" in shown.err
        assert (manifests / "shop.yaml").read_text() == PROJECT + DATABASE

    def test_it_belongs_to_another_environment(self, run: Run, by_hand: ByHand, bucket: Path) -> None:
        tags = [{"Key": f"orchestrator:{key}", "Value": "other"} for key in ("project", "environment", "component")]
        by_hand("s3", "put_bucket_tagging", Bucket="legacy-files", Tagging={"TagSet": tags})

        shown = run("adopt", "bucket.files", "--auto-approve")

        assert shown.code == 1
        assert "legacy-files already exists and belongs to other/other" in shown.err
        assert bucket.read_text() == PROJECT + BUCKET

    def test_what_it_depends_on_is_adopted_with_it(self, run: Run, bucket: Path) -> None:
        distribution = existing_resources.make_distribution()
        cdn = f"kind: Cdn\nmetadata: {{name: web}}\nspec: {{origin: bucket.files, distributionId: {distribution}}}\n"
        bucket.write_text(f"{PROJECT}{BUCKET}---\napiVersion: orchestrator/v1\n{cdn}")

        alone = run("adopt", "bucket.files", "--auto-approve")

        assert alone.code == 1
        assert "bucket.files depends on cdn.web, which exists and is also unmanaged" in alone.err
        assert "orchestrator adopt bucket.files cdn.web" in alone.err
        both = run("adopt", "bucket.files", "cdn.web", "--auto-approve")
        assert both.code == 0, both.out + both.err
        assert "index: home.html" in bucket.read_text()
        assert run("plan").code == 0
