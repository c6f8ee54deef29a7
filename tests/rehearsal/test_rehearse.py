"""`orchestrator rehearse`: whole against the emulator, and whatever fails, nothing stays but what is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from orchestrator.planning import pipeline
from orchestrator.problems import ExitCode
from orchestrator.rehearsal import list_unknown_answers
from orchestrator.rehearsal.canary import Canary
from orchestrator.rehearsal.recording_clients import RecordingClients
from tests.proofs import real_stack
from tests.proofs.test_first_day_faults import FIRST_DAY

ACCOUNT = "123456789012"
PROJECT = f"""\
apiVersion: orchestrator/v1
kind: Project
metadata: {{name: shop}}
spec: {{region: eu-west-1, account: '{ACCOUNT}', repository: shop/shop-app}}
"""
BUCKET = "---\napiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {name: files}\nspec: {}\n"
RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))
STEPS = ["create", "plan again", "edit manually", "update", "delete"]


@pytest.fixture
def account() -> Iterator[Emulator]:
    with real_stack.emulated_aws() as running:
        yield running


@pytest.fixture
def rehearse(tmp_path: Path, account: Emulator) -> Any:
    """Run the command, and return its exit code and what it recorded."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "project.yaml").write_text(PROJECT)
    out = tmp_path / "rehearsal.json"

    def run(*options: str) -> tuple[int, dict[str, Any]]:
        account.clear_calls()
        code = main(["rehearse", *options, "-f", str(tmp_path / "manifests"), "--out", str(out)])
        return code, json.loads(out.read_text()) if out.exists() else {}

    return run


def list_writes(account: Emulator) -> list[str]:
    return [call.operation for call in account.calls if call.access == "write"]


def test_the_canary_runs_whole_and_leaves_nothing_unnamed(
    rehearse: Any, account: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Created, planned to nothing, edited by hand, updated, deleted; the record names no account and no parameter."""
    before = real_stack.count_resources()

    code, record = rehearse("--canary", "--spend", "1")

    assert code == ExitCode.OK
    assert [(step["name"], step["is_ok"]) for step in record["steps"]] == [(name, True) for name in STEPS]
    assert real_stack.count_resources() == before
    assert record["leftovers"] == []
    assert "Rehearsal passed" in capsys.readouterr().out
    assert {"service", "operation", "code", "message", "count", "max_seconds"} == set(record["calls"][0])
    assert ACCOUNT not in json.dumps(record["calls"])
    assert len(record["calls"]) > 50
    assert record["is_emulated"]


FULL_STEPS = [
    "deploy version 1",
    "plan again",
    "deploy version 2",
    "deploy a version that fails",
    "roll back to version 1",
    "edit manually",
    "change the subnets",
    "kill a deploy while it changes the service",
    "kill a deploy while it probes the new version",
    "let a session expire",
    "delete",
]


@pytest.mark.timeout(240)
def test_the_full_rehearsal_runs_whole_and_names_what_aws_keeps(rehearse: Any, account: Emulator) -> None:
    """Two releases, one that fails and comes back, a rollback, edits, other subnets, killed deploys; then all goes.

    In an account of the first day: reads do not show what is new, roles cannot be assumed yet, and S3 answers 404 for
    what was written after versioning was switched on.  Such reads once failed the first release, and the rollback.
    """
    before = real_stack.count_resources()
    account.faults = replace(FIRST_DAY, failing_images=("*rehearsal-no-such-tag",), max_session_seconds=1.0)

    code, record = rehearse("--full", "--spend", "5")

    assert [(step["name"], step["is_ok"], step["detail"]) for step in record["steps"] if not step["is_ok"]] == []
    assert [step["name"] for step in record["steps"]] == FULL_STEPS
    assert code == ExitCode.OK
    after = real_stack.count_resources()
    assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == {}
    kept = {item["name"].partition(" of ")[0].partition(" shop-")[0]: item["cost"] for item in record["leftovers"]}
    assert kept == {"automated backup": "up to 2 USD a month for 20 GB, until it expires", "secret": "nothing"}


def test_what_aws_keeps_is_listed_with_its_price_and_its_command(
    rehearse: Any, account: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log group that the credentials may not delete."""
    account.faults = Faults(denied=("logs:DeleteLogGroup",))

    code, record = rehearse("--canary", "--spend", "1")

    (item,) = record["leftovers"]
    assert code == ExitCode.FAILED
    assert item["name"].startswith("log group /ecs/shop-rehearsal-")
    assert item["command"] in capsys.readouterr().out


def test_an_account_with_other_stacks_is_left_alone(rehearse: Any, account: Emulator, tmp_path: Path) -> None:
    """A rehearsal beside production could meet its quotas and its load balancer."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "stack.yaml").write_text(PROJECT + BUCKET)
    assert main(["apply", "--auto-approve", "-f", str(folder)]) == ExitCode.OK

    assert rehearse("--canary", "--spend", "1")[0] == ExitCode.VETOED
    assert list_writes(account) == []


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--canary",),
        ("--full",),
        ("--canary", "--spend", "0.01"),
        ("--canary", "--clean-up"),
        ("--canary", "--full", "--spend", "9"),
    ],
)
def test_nothing_starts_without_a_choice_and_enough_money(
    rehearse: Any, account: Emulator, options: tuple[str, ...]
) -> None:
    code, record = rehearse(*options)

    assert code in {ExitCode.FAILED, ExitCode.VETOED}
    assert list_writes(account) == []
    assert record == {}


def test_a_refusal_of_aws_is_recorded_in_its_words_and_the_rest_deleted(rehearse: Any, account: Emulator) -> None:
    """An account that is not verified for CloudFront (aws-cdk-examples issue 279)."""
    before = real_stack.count_resources()
    account.faults = Faults(account_limits=("cloudfront-unverified",))

    code, record = rehearse("--canary", "--spend", "1")

    assert code == ExitCode.FAILED
    assert [(step["name"], step["is_ok"]) for step in record["steps"]] == [("create", False), ("delete", True)]
    (refused,) = [call for call in record["calls"] if call["operation"] == "CreateDistributionWithTags"]
    assert refused["code"] == "AccessDenied"
    assert "account must be verified" in refused["message"]
    assert real_stack.count_resources() == before


def test_what_a_killed_rehearsal_left_is_deleted_by_the_clean_up(rehearse: Any, account: Emulator) -> None:
    """Its deletion did not get through: the next command finds what is left by its marks."""
    before = real_stack.count_resources()
    account.faults = Faults(denied=("s3:DeleteBucket", "cloudfront:Delete*", "iam:DeleteRole"))
    assert rehearse("--canary", "--spend", "1")[0] == ExitCode.FAILED
    account.faults = Faults()
    assert real_stack.count_resources() != before

    assert rehearse("--clean-up")[0] == ExitCode.OK
    assert real_stack.count_resources() == before


def test_a_full_rehearsal_that_fails_is_deleted_by_the_clean_up(rehearse: Any, account: Emulator) -> None:
    """With its database, although nothing describes the stack any more."""
    before = real_stack.count_resources()
    denied = ("rds:DeleteDBInstance", "s3:DeleteBucket")
    account.faults = Faults(denied=denied, account_limits=("cloudfront-unverified",))
    assert rehearse("--full", "--spend", "5")[0] == ExitCode.FAILED
    account.faults = Faults()
    assert real_stack.count_resources() != before

    assert rehearse("--clean-up")[0] == ExitCode.OK
    assert real_stack.count_resources() == before


def test_after_three_hours_everything_is_deleted(tmp_path: Path, account: Emulator) -> None:
    """Whatever step it is: here the clock reaches the limit after the first."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "project.yaml").write_text(PROJECT)
    (tmp_path / "rehearsal").mkdir()
    manifest = pipeline.validate(tmp_path / "manifests", None)
    hours, lines = [0.0], []

    def report(line: str) -> None:
        lines.append(line)
        if "create:" in line:
            hours[0] = 3.01

    clients = RecordingClients.for_scope(manifest.scope)
    canary = Canary(manifest, tmp_path / "rehearsal", clients, report, lambda: hours[0] * 3600)

    record = canary.run("rehearsal-late")

    too_late = "the rehearsal exceeded 3 hours; its resources are being deleted"
    details = {step.name: (step.is_ok, step.detail) for step in record.steps}
    assert [name for name, (is_ok, _) in details.items() if is_ok] == ["create", "delete"]
    assert {name: detail for name, detail in details.items() if name not in {"create", "delete"}} == dict.fromkeys(
        ("plan again", "edit manually", "update"), (False, too_late)
    )


def test_an_earlier_rehearsal_does_not_stand_in_the_way(rehearse: Any, account: Emulator) -> None:
    """AWS lists the tags of what was deleted for a while (model of GetResources)."""
    assert rehearse("--canary", "--spend", "1")[0] == ExitCode.OK
    assert rehearse("--canary", "--spend", "1")[0] == ExitCode.OK


def test_the_emulator_knows_every_answer_of_recorded_rehearsals(rehearse: Any) -> None:
    """Records of real AWS are in `recorded/`; an answer that the emulator never gives is named."""
    _, emulated = rehearse("--canary", "--spend", "1")
    unknown = {**emulated["calls"][0], "code": "AnswerOfTomorrow", "message": "new"}

    assert list_unknown_answers([*emulated["calls"], unknown], emulated["calls"]) == [
        f"{unknown['service']}:{unknown['operation']} answered AnswerOfTomorrow new"
    ]
    for file in RECORDED:
        assert list_unknown_answers(json.loads(file.read_text())["calls"], emulated["calls"]) == [], file.name
