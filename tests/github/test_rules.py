"""The hard rules for workflows, each held by a test of its own: the linters know most of them, and may forget."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.problems import ExitCode
from tests.github import fake_github
from tests.github.shop_repository import PROJECT, ShopRepository
from tests.github.workflow_runner import ROOT, WORKFLOWS

ACTIONS = ROOT / ".github" / "actions"
FILES = [*sorted(WORKFLOWS.glob("*.yml")), *sorted(ACTIONS.glob("*/action.yml"))]
NAMES = [path.stem for path in sorted(WORKFLOWS.glob("*.yml"))]
OURS = ("plan", "deploy", "promote", "rollback", "drift", "hibernate", "changed", "gather")
SECRET = """\
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec: {name: shop-app, deletionPolicy: delete, data: {Key: {generate: {length: 40}}}}
"""


def load(name: str) -> Any:
    return yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in NAMES:
        for job, content in load(name)["jobs"].items():
            yield f"{name}.{job}", content


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for where, job in jobs():
        yield from ((where, step) for step in job["steps"])
    for path in ACTIONS.glob("*/action.yml"):
        yield from ((path.parent.name, step) for step in yaml.safe_load(path.read_text())["runs"]["steps"])


def test_every_action_is_pinned_by_its_commit() -> None:
    """And its version stands beside it, for people; what is of this repository comes with it."""
    uses = [line.strip() for path in FILES for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
    pinned = re.compile(r"(- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    ours = re.compile(r"(- )?uses: \$/\.github/actions/(setup|node)")

    assert len(uses) > 10
    assert [line for line in uses if not pinned.fullmatch(line) and not ours.fullmatch(line)] == []


WRITER = "actions contents deployments:write id-token:write issues pull-requests:write"
GRANTS: dict[str, str] = {
    "changed.changed": "actions contents",
    "deploy.deploy": WRITER,
    "drift.accept": "contents:write id-token:write issues:write pull-requests:write",
    "drift.check": "contents id-token:write issues:write",
    "drift.drill": "contents id-token:write",
    "drift.revert": "contents deployments:write id-token:write issues:write pull-requests:write",
    "gather.gather": "contents pull-requests:write",
    "hibernate.hibernate": "contents id-token:write",
    "plan.plan": "contents id-token:write pull-requests:write statuses:write",
    "promote.promote": WRITER,
    "release.attest": "attestations:write id-token:write",
    "release.documentation": "id-token:write pages:write",
    "release.image": "attestations:write contents id-token:write packages:write",
    "release.publish": "id-token:write",
    "release.tags": "contents:write packages:write",
    "rollback.rollback": "contents deployments:write id-token:write pull-requests:write",
    "secret.secret": "contents id-token:write",
}
"""What each job may; every other one only reads the repository's files.  Without a level: `read`."""


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_may_nothing_and_a_job_little(name: str) -> None:
    """Each job names what it may, each with its reason; nothing is granted that is not in the list above."""
    text = (WORKFLOWS / f"{name}.yml").read_text()

    assert load(name)["permissions"] == {}
    for job, content in load(name)["jobs"].items():
        items = (item.partition(":") for item in GRANTS.get(f"{name}.{job}", "contents").split())
        assert content["permissions"] == {scope: level or "read" for scope, _, level in items}, job
    granted = re.findall(r"^      (?:[a-z-]+): (?:read|write)(.*)$", text, re.MULTILINE)
    assert [reason for reason in granted if not reason.startswith(" # ")] == []


def test_the_list_of_grants_is_of_jobs_that_there_are() -> None:
    assert set(GRANTS) - {where for where, _ in jobs()} == set()


WAITS_FOR_AWS = {"deploy.deploy", "promote.promote", "rollback.rollback", "drift.revert", "hibernate.hibernate"}
MINUTES = {
    **dict.fromkeys(WAITS_FOR_AWS, 90),
    **dict.fromkeys(("mutants.mutants", "mutants.proofs", "mutants.coverage"), 90),
    "drift.drill": 180,
    "mutants.faults": 60,
    "secret.secret": 60,
}
"""The longest that a job may take; every other one 45 minutes.  A drill restores a whole database."""


def test_every_job_ends() -> None:
    late = [where for where, job in jobs() if not 0 < int(job.get("timeout-minutes", 0)) <= MINUTES.get(where, 45)]
    assert late == []
    assert set(MINUTES) - {where for where, _ in jobs()} == set()


def test_a_session_is_renewed_as_it_was_assumed() -> None:
    """A step that renews its session gets the role and the length of the step that has assumed it, and nothing else."""
    renewing = [(where, step) for where, step in steps() if "ORCHESTRATOR_SESSION_ROLE" in step.get("env", {})]
    assumed = {where: step["with"] for where, step in steps() if "configure-aws-credentials" in str(step.get("uses"))}

    assert {where for where, _ in renewing} >= WAITS_FOR_AWS - {"hibernate.hibernate"}
    for where, step in renewing:
        assert step["env"]["ORCHESTRATOR_SESSION_ROLE"] == assumed[where]["role-to-assume"], where
        assert step["env"]["ORCHESTRATOR_SESSION_SECONDS"] == assumed[where]["role-duration-seconds"], where


def test_no_checkout_leaves_its_token_behind() -> None:
    checkouts = [(where, step) for where, step in steps() if str(step.get("uses", "")).startswith("actions/checkout@")]

    assert len(checkouts) > 6
    assert [where for where, step in checkouts if step["with"].get("persist-credentials") is not False] == []


def test_no_text_of_others_is_run() -> None:
    """Not one expression inside of a script: what GitHub puts in comes by the environment."""
    assert [(where, step["run"]) for where, step in steps() if "${{" in str(step.get("run", ""))] == []


def test_no_key_lives_longer_than_a_run() -> None:
    """Of GitHub's secrets only the run's own token is used, and AWS is entered by OIDC alone.

    `secret.yml` takes one more: the value that it stores, which one step gets.
    """
    for path in FILES:
        text = path.read_text()
        named = ["secrets:", "secrets.value"] if path.name == "secret.yml" else []
        assert re.findall(r"secrets\.\w*|secrets:", text) == named
        assert re.findall(r"(?i)access.key|aws.secret", text) == []
    roles = [step for _, step in steps() if "configure-aws-credentials" in str(step.get("uses", ""))]
    assert [step for step in roles if set(step["with"]) & {"aws-access-key-id", "aws-secret-access-key"}] == []
    assert [step for step in roles if "allowed-account-ids" not in step["with"]] == []


def test_a_stranger_gets_nothing() -> None:
    """No workflow runs with our rights on what others push; who comes from a fork gets neither token nor identity."""
    assert [name for name in NAMES if {"pull_request_target", "workflow_run"} & set(load(name)[True])] == []
    untrusted = load("plan")["jobs"]["untrusted"]
    assert untrusted["permissions"] == {"contents": "read"}
    assert "GITHUB_TOKEN" not in str(untrusted)


def test_a_write_is_never_cancelled_half_way() -> None:
    """Whoever may change AWS waits in line, with everybody else who may."""
    writers = [(where, job) for where, job in jobs() if "deployments" in job["permissions"]]

    assert {where for where, _ in writers} == {"deploy.deploy", "promote.promote", "rollback.rollback", "drift.revert"}
    groups = {re.sub(r"\s", "", job["concurrency"]["group"]) for _, job in writers}
    assert len(groups) == 1
    assert [
        where for where, job in writers if job["concurrency"]["cancel-in-progress"] or "environment" not in job
    ] == []


HOSTILE = [
    ("deploy", "ORCHESTRATOR_DIGEST", "$(true)", "invalid digest"),
    ("deploy", "ORCHESTRATOR_ALLOW", "x; true", "invalid token for `allow`"),
    ("deploy", "ORCHESTRATOR_UNPIN", "all; true", "invalid parts to unpin"),
    ("changed", "ORCHESTRATOR_ONLY", "prod; true", "invalid environment"),
    ("changed", "ORCHESTRATOR_APPLICATION", "apps/$(true)", "invalid application"),
    ("changed", "ORCHESTRATOR_LIST", "everything", "'everything' is not one of"),
    ("changed", "ORCHESTRATOR_SINGLE", "perhaps", "'perhaps' is not a valid boolean"),
    ("gather sections", "ORCHESTRATOR_MATRIX", "{", "must be the output `targets`"),
    ("validate --silent", "ORCHESTRATOR_ENVIRONMENT", "../prod", "../prod"),
    ("validate --silent", "ORCHESTRATOR_MANIFESTS", "/etc/none\n::error::x", "no such folder"),
    ("promote", "ORCHESTRATOR_SOURCE", "../prod", "invalid source"),
    ("promote", "ORCHESTRATOR_RELEASE", "12; true", "invalid release"),
    ("promote", "ORCHESTRATOR_SKIP_SOAK", "perhaps", "perhaps"),
    ("promote", "ORCHESTRATOR_ALLOW", "x; true", "invalid token for `allow`"),
    ("rollback", "ORCHESTRATOR_RELEASE", "-1", "invalid release"),
    ("rollback", "ORCHESTRATOR_PARTS", "api`true`", "invalid parts"),
    ("rollback", "ORCHESTRATOR_ALLOW", "ZZZZZZZZ", "invalid token for `allow`"),
    ("rollback", "ORCHESTRATOR_PLAN_ONLY", "maybe", "maybe"),
    ("rollback", "ORCHESTRATOR_UNLOCK", "perhaps", "perhaps"),
    ("drift", "ORCHESTRATOR_ANSWER", "destroy", "destroy"),
    ("drift", "ORCHESTRATOR_TARGETS", "$(true)", "invalid list of targets"),
    ("drift", "ORCHESTRATOR_ALLOW", "1", "invalid token for `allow`"),
]


@pytest.mark.parametrize(("verb", "name", "said", "refusal"), HOSTILE, ids=lambda value: str(value)[:24])
def test_an_input_is_checked_again(
    verb: str,
    name: str,
    said: str,
    refusal: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever GitHub let through; the tool says so before it asks anybody anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/project.yaml").write_text(PROJECT)
    monkeypatch.setenv("GITHUB_REPOSITORY", "shop/shop")
    monkeypatch.setenv(name, said)

    assert main(["github", *verb.split()]) == ExitCode.FAILED
    shown = capsys.readouterr().err
    assert refusal in shown
    assert "Traceback" not in shown
    assert [line for line in shown.splitlines() if line.startswith("::error::x")] == []


def test_every_input_is_among_them() -> None:
    """Each input that reaches the tool from a person is in the list above."""
    asked = set()
    for verb in OURS:
        for job in load(verb)["jobs"].values():
            for step in job["steps"]:
                asked |= {(verb, key) for key, value in step.get("env", {}).items() if "inputs." in str(value)}
    # The role goes to AWS, which has the last word, also for its session; a reason is text, and is only ever shown.
    names = ("ORCHESTRATOR_ROLE", "ORCHESTRATOR_SESSION_ROLE", "ORCHESTRATOR_SESSION_SECONDS")
    free = {(verb, name) for verb in OURS for name in names} | {("rollback", "ORCHESTRATOR_REASON")}
    free |= {("hibernate", "POWER")}  # three words of a shell's case; a test below

    assert asked - free <= {(verb.partition(" ")[0], name) for verb, name, _, _ in HOSTILE}


@pytest.mark.parametrize(
    ("power", "called"),
    [
        ("scheduled", "hibernate --scheduled --auto-approve --wait"),
        ("hibernate", "hibernate --auto-approve --wait"),
        ("wake", "wake --auto-approve --wait"),
        ("wake; touch x", ""),
        ("", ""),
    ],
)
def test_hibernation_takes_three_words(power: str, called: str, tmp_path: Path) -> None:
    [script] = [step["run"] for step in load("hibernate")["jobs"]["hibernate"]["steps"] if "POWER" in str(step)]
    command = tmp_path / "orchestrator"
    command.write_text("#!/bin/sh\necho called $*\n")
    command.chmod(0o755)

    ended = subprocess.run(
        ["bash", "-e", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "POWER": power},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    refusal = "::error::invalid power; it must be scheduled, hibernate or wake\n"
    assert ended.stdout == (f"called {called}\n" if called else refusal)
    assert (ended.returncode == 0) is bool(called)
    assert [path.name for path in tmp_path.iterdir()] == ["orchestrator"]


@pytest.mark.slow
def test_no_secret_is_shown_anywhere(shop: ShopRepository) -> None:
    """Neither the run's tokens nor what was drawn by lot: not in logs, summaries, outputs, comments or artefacts."""
    number = shop.open_pull_request({"manifests/secret.yaml": SECRET})
    runs = [shop.run_plan(number)]
    shop.merge(number)
    runs.append(shop.run_deploy())
    assert [run.code for run in runs] == [0, 0], runs[-1].log
    kept = shop.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})["SecretString"]
    drawn = re.findall(r"[^\"\s:{},]{20,}", kept)
    secrets = {fake_github.WRITE_TOKEN, *drawn}
    shown = "\n".join(
        [
            *(f"{run.log}\n{run.summary}\n{run.outputs}" for run in runs),
            *(comment["body"] for comment in shop.hub.comments.values()),
            str(shop.hub.statuses), str(shop.hub.deployment_statuses),
            *(path.read_text() for path in shop.runner.artifacts.rglob("*") if path.is_file()),
        ]
    )  # fmt: skip

    assert len(drawn) == 1
    assert [secret for secret in secrets if secret in shown] == []
