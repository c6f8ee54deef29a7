"""plan, apply, drift and destroy against an emulated AWS: exit codes, and what scripts read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator import canonical_json
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from orchestrator.steps import is_read
from orchestrator.vocabulary import Plan
from tests.cli.conftest import MANIFESTS, Run

ByHand = Callable[..., Any]
SCHEMA = Path(__file__).parents[2] / "schemas" / "plan.schema.json"
STACK = Path(__file__).parents[2] / "manifests"


def suspend_versioning(by_hand: ByHand) -> None:
    by_hand("s3", "put_bucket_versioning", Bucket="shop-files", VersioningConfiguration={"Status": "Suspended"})


def buckets(by_hand: ByHand) -> list[str]:
    return [bucket["Name"] for bucket in by_hand("s3", "list_buckets")["Buckets"]]


def test_a_dead_network_is_told_at_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the tries that a single lost answer is worth; of the real stack, which looks at its releases first."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    began = time.monotonic()

    assert main(["plan", "-f", str(STACK)]) == 1
    assert time.monotonic() - began < 10
    said = capsys.readouterr().err
    assert "cannot query AWS: sts:GetCallerIdentity: Unreachable: no response from http://127.0.0.1:9" in said
    assert "check the network, and AWS_ENDPOINT_URL if it is set; nothing was changed" in said


@pytest.mark.usefixtures("aws")
class TestPlan:
    def test_it_shows_what_would_change(self, run: Run) -> None:
        """Exit 0, the change in text, and how to apply exactly this."""
        shown = run("plan")

        assert shown.code == 0
        assert re.search(r"^  \+ s3_bucket.files +shop-files, versioned, AES256", shown.out, re.MULTILINE)
        assert "orchestrator apply --expect" in shown.out

    def test_verbose_shows_every_field(self, run: Run) -> None:
        """What is new is told in one line, and in full on demand."""
        assert "+ public_access:" not in run("plan").out
        assert '+ public_access: "blocked"' in " ".join(run("plan", "--verbose").out.split())

    def test_a_change_shows_its_fields(self, run: Run, by_hand: ByHand) -> None:
        """What becomes different in a thing that stands is always told."""
        run("apply", "--auto-approve")
        suspend_versioning(by_hand)

        assert "~ versioning: false → true" in run("plan").out

    def test_detailed_exit_code(self, run: Run) -> None:
        """2 while there are changes, 0 when there are none."""
        assert run("plan", "--detailed-exitcode").code == 2
        assert run("apply", "--auto-approve").code == 0
        assert run("plan", "--detailed-exitcode").code == 0

    def test_json_keeps_to_its_schema(self, run: Run, tmp_path: Path) -> None:
        """What `--format json` prints is what `--out` writes, is a Plan, and is as the schema says."""
        file = tmp_path / "plan.json"
        shown = run("plan", "--format", "json", "--out", str(file))

        assert file.read_text() == shown.out
        assert canonical_json.load(file.read_bytes(), Plan).pending_changes
        jsonschema.validate(json.loads(shown.out), json.loads(SCHEMA.read_text()))

    @pytest.mark.parametrize(
        ("form", "begins"), [("markdown", "<!-- orchestrator:plan shop/"), ("html", "<!doctype html>")]
    )
    def test_other_forms(self, run: Run, form: str, begins: str) -> None:
        """Nothing but the document is on standard output."""
        shown = run("plan", "--format", form)

        assert shown.out.startswith(begins)
        assert shown.err == ""

    def test_steps_names_calls_and_permissions(self, run: Run) -> None:
        """Each API call, and what IAM calls the right to make it."""
        shown = run("plan", "--steps").out

        assert "1. s3:CreateBucket" in shown
        assert "• s3:PutEncryptionConfiguration" in shown

    def test_a_veto_is_exit_3(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the reason on standard output, where the plan is."""
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        shown = run("plan")

        assert shown.code == 3
        assert "us-east-1" in shown.out
        assert "(WrongRegion)" in shown.out

    def test_an_unknown_target_is_a_problem(self, run: Run) -> None:
        """A typing mistake must not plan nothing."""
        shown = run("plan", "--target", "s3_bucket.fils")

        assert shown.code == 1
        assert "did you mean `s3_bucket.files`?" in shown.err


class TestApply:
    def test_nobody_approved(self, aws: Emulator, run: Run) -> None:
        """Without a terminal and without approval: exit 1, the ways to approve, and not one write."""
        shown = run("apply")

        assert shown.code == 1
        assert "--auto-approve" in shown.err
        assert [call.operation for call in aws.calls if not is_read(_snake(call.operation))] == []

    def test_a_reviewed_plan_is_applied(self, aws: Emulator, run: Run, by_hand: ByHand, tmp_path: Path) -> None:
        """One line a resource on standard error, the sum on standard output; then nothing is left to do."""
        file = str(tmp_path / "plan.json")
        run("plan", "--out", file)
        shown = run("apply", file)

        assert shown.code == 0
        assert "created    s3_bucket.files" in shown.err
        assert ": 3 done.\n" in shown.out
        assert buckets(by_hand) == ["shop-files"]
        assert run("apply").code == 0
        assert run("apply").out.endswith("No changes.\n")

    def test_a_stale_plan_is_refused(self, aws: Emulator, run: Run, by_hand: ByHand, tmp_path: Path) -> None:
        """Exit 1, naming the field that moved since the plan was reviewed."""
        file = str(tmp_path / "plan.json")
        run("apply", "--auto-approve")
        run("plan", "--out", file)
        suspend_versioning(by_hand)
        shown = run("apply", file)

        assert shown.code == 1
        assert "the plan is stale: s3_bucket.files: update was not in the reviewed plan (versioning)" in shown.err

    def test_an_expected_digest(self, aws: Emulator, run: Run) -> None:
        """The digest that plan prints lets that plan through and no other."""
        digest = json.loads(run("plan", "--format", "json").out)["digest"]

        assert run("apply", "--expect", "0" * 64).code == 1
        assert run("apply", "--expect", digest).code == 0

    def test_a_failure_is_explained(self, aws: Emulator, run: Run) -> None:
        """Exit 1; first cause, what was skipped because of it, what to allow, what to type."""
        aws.faults = Faults(denied=("s3:PutBucketVersioning",))
        shown = run("apply", "--auto-approve")

        assert shown.code == 1
        assert shown.out.split("Root cause: ")[1].startswith("s3_bucket.files: create failed: s3:PutBucketVersioning")
        assert "s3_bucket_policy.files: create skipped: depends on s3_bucket.files, which failed" in shown.out
        assert "Grant s3:PutBucketVersioning" in shown.out
        assert shown.out.rstrip().splitlines()[-1].strip().startswith("orchestrator apply -f ")

    def test_in_actions(self, aws: Emulator, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Plan and progress are folded; a failure is annotated."""
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        aws.faults = Faults(denied=("s3:PutBucketVersioning",))
        shown = run("apply", "--auto-approve")

        assert "::group::Plan for shop/" in shown.out
        assert "::group::Apply 3 changes" in shown.err
        assert "::error title=s3_bucket.files failed::" in shown.err

    def test_logs_can_be_json(self, aws: Emulator, run: Run) -> None:
        """Everything on standard error is one object a line."""
        records = [json.loads(line) for line in run("apply", "--auto-approve", "--log-format", "json").err.splitlines()]

        assert {"change_started", "change_finished"} <= {record["event"] for record in records}
        assert all(record["timestamp"].endswith("Z") for record in records)


class TestDrift:
    def test_in_sync(self, aws: Emulator, run: Run) -> None:
        """Exit 0 when AWS is as the manifests say; the coverage counts every setting, and names what nothing reads."""
        run("apply", "--auto-approve")
        shown = run("drift", "--format", "json")
        document = json.loads(shown.out)

        buckets = sum(resource["address"].startswith("s3_bucket.") for resource in document["resources"])
        unseen = sum(map(len, document["not_looked_at"]["s3_bucket"].values()))
        seen, total = document["settings"]["checked"], document["settings"]["total"]
        assert (shown.code, document["drifted"], total - seen) == (0, 0, unseen * buckets)
        assert document["coverage"] == 1000 * seen // total / 10
        assert "PutBucketWebsite" in run("drift", "--coverage").out

    def test_drifted(self, aws: Emulator, run: Run, by_hand: ByHand) -> None:
        """Exit 2; the field, as it is in AWS and as it should be."""
        run("apply", "--auto-approve")
        suspend_versioning(by_hand)
        shown = run("drift")

        assert shown.code == 2
        assert "~ versioning: false in AWS, true in the manifests" in shown.out
        assert run("drift", "--format", "markdown").out.startswith("<!-- orchestrator:drift shop/")

    def test_not_checked(self, aws: Emulator, run: Run) -> None:
        """What may not be read is neither: it is named, with the denied action, and lowers the coverage."""
        run("apply", "--auto-approve")
        full_coverage = json.loads(run("drift", "--format", "json").out)["coverage"]
        aws.faults = Faults(denied=("s3:GetBucketVersioning",))
        shown = run("drift", "--format", "json")
        document = json.loads(shown.out)
        (unread,) = [resource for resource in document["resources"] if resource["sync"] == "not checked"][:1]

        assert shown.code == 0
        assert document["coverage"] < full_coverage
        assert "s3:GetBucketVersioning" in unread["action"] + unread["reason"]


UNBUILT = """
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec: {image: {repository: shop-api, build: {context: nowhere}}, port: 8080}
"""


class TestDestroy:
    def test_what_holds_data_is_kept(self, aws: Emulator, run: Run, by_hand: ByHand) -> None:
        """Exit 3, the reason and the way out, and the bucket is still there."""
        run("apply", "--auto-approve")
        shown = run("destroy", "--auto-approve")

        assert shown.code == 3
        assert "deletionPolicy: delete" in shown.out
        assert buckets(by_hand) == ["shop-files"]

    def test_two_keys(self, aws: Emulator, run: Run, by_hand: ByHand, manifests: Path) -> None:
        """With `deletionPolicy: delete` applied, the plan's own token lets it through; another one does not."""
        (manifests / "shop.yaml").write_text(MANIFESTS.replace("true}", "true, deletionPolicy: delete}"))
        run("apply", "--auto-approve")
        vetoed = run("destroy", "--auto-approve")
        token = vetoed.out.split("--allow ")[1].split()[0]

        assert vetoed.code == 3
        assert run("destroy", "--auto-approve", "--allow", "0" * 32).code == 3
        assert run("destroy", "--auto-approve", "--allow", token).code == 0
        assert buckets(by_hand) == []
        assert run("destroy").out.endswith("No changes.\n")

    def test_what_would_be_shipped_need_not_be_there(self, aws: Emulator, run: Run, manifests: Path) -> None:
        """A checkout without the Dockerfile is good enough to remove everything."""
        (manifests / "unbuilt.yaml").write_text(UNBUILT)

        assert run("plan").code == 1
        assert run("destroy").out.endswith("No changes.\n")


def _snake(operation: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in operation).lstrip("_")
