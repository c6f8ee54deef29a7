"""Accounts that AWS treats in another way: new, unverified, on the Free plan, members of an organisation.

What an account lacks for a moment is waited for in the same run; what it may not do at all is reported with its own
advice, and never as a missing IAM permission.  Wordings and their sources: ``aws/error_catalogue.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.problems import Problems
from orchestrator.render import apply_report
from orchestrator.render.style import Style
from orchestrator.vocabulary import DesiredState, Outcome
from tests import performed_calls
from tests.proofs import real_stack
from tests.proofs.scenarios import EXPRESS_SERVICE

pytestmark = [pytest.mark.both_backends, pytest.mark.timeout(180)]

EXPRESS = real_stack.replace_text("api.yaml", ("runtime: app-runner", "runtime: ecs-express"))


def describe_result(outcomes: tuple[Outcome, ...]) -> str:
    """Return the report of a run, in one line."""
    report = apply_report.render_text(apply_report.build_view(outcomes, 1.0, "orchestrator apply"), Style())
    return " ".join(report.split())


@pytest.fixture
def express_service(tmp_path: Path) -> DesiredState:
    """Provide a service on ECS Express, with its roles and buckets."""
    return real_stack.load_stack(tmp_path / "express", *EXPRESS_SERVICE)


@pytest.fixture
def database(tmp_path: Path) -> DesiredState:
    """Provide the database and what the project needs."""
    return real_stack.load_stack(tmp_path / "database", real_stack.remove_files("api.yaml", "budget.yaml"))


WORDINGS = {
    "cannot-assume": ("AccessDeniedException", "Cannot assume role arn:aws:iam::123456789012:role/x."),
    "cannot-be-assumed": ("ClientException", "Role is not valid: taskRoleArn x cannot be assumed by x.amazonaws.com."),
    "not-authorized": ("AccessDeniedException", "User: x is not authorized to perform: sts:AssumeRole on resource: x"),
    "credentials": ("ClientException", "AWS was not able to validate the provided access credentials"),
}


@pytest.mark.parametrize(("code", "message"), WORDINGS.values(), ids=WORDINGS)
def test_a_new_role_is_waited_for_in_all_wordings(
    emulator: Emulator, express_service: DesiredState, code: str, message: str
) -> None:
    """ECS says in these ways that it cannot assume a role yet (terraform-provider-aws, express_gateway_service.go).

    Twice, however long the roles exist by then: by a clock, a slow machine would never be refused.
    """
    creation = "CreateExpressGatewayService"
    emulator.faults = Faults(rules=(Rule("error", "ecs", creation, limit=2, status=400, code=code, message=message),))
    emulator.clear_calls()

    assert real_stack.list_failures(real_stack.apply(express_service)) == []
    assert [call.error for call in emulator.calls if call.operation == creation] == [code, code, ""]


def test_a_missing_express_service_is_recognised_in_both_wordings(
    emulator: Emulator, express_service: DesiredState
) -> None:
    """AWS also answers InvalidParameterException, "Resource not found" (terraform-provider-aws, the same file)."""
    emulator.faults = Faults(missing_express_code="InvalidParameterException")

    assert real_stack.make_plan(express_service).unread == ()
    assert real_stack.list_failures(real_stack.apply(express_service)) == []
    assert real_stack.describe_changes(real_stack.make_plan(express_service)) == []


def test_the_first_database_of_an_account_is_created_in_one_run(emulator: Emulator, database: DesiredState) -> None:
    """RDS refuses until its service-linked role exists and is usable (terraform-provider-aws issue 10100)."""
    emulator.faults = Faults(account_limits=("rds-unused",), role_assumable_after_seconds=0.5)

    assert real_stack.list_failures(real_stack.apply(database)) == []


def test_credentials_that_may_not_create_the_linked_role_do_not_need_it(
    emulator: Emulator, database: DesiredState
) -> None:
    """An account that has used RDS has the role; the right to create it is not needed."""
    emulator.faults = Faults(denied=("iam:CreateServiceLinkedRole",))

    assert real_stack.list_failures(real_stack.apply(database)) == []


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        ("cloudfront-unverified", "Open a support case"),
        ("app-runner-closed", "Set `runtime: ecs-express`"),
        ("linked-account", "Ask the owner of the management account"),
        ("free-plan", "Set `backups.retentionDays: 1`"),
    ],
)
def test_what_an_account_may_not_do_has_its_own_advice(
    emulator: Emulator, stack: DesiredState, limit: str, advice: str
) -> None:
    """The cause is the account, so no IAM action is named. Who may not read the account's plan hears it from RDS."""
    emulator.faults = Faults(account_limits=(limit,), denied=("freetier:GetAccountPlanState",))

    report = describe_result(real_stack.apply(stack))

    assert advice in report
    assert "Follow the advice above" in report
    assert "Grant" not in report


REFUSED = {
    "backups on the Free plan": (
        {"account_limits": ("free-plan",)},
        "database backups for 1 day, but database.main requires 7. To resolve this, set `backups.retentionDays: 1`",
    ),
    "a class that RDS does not offer": ({}, "RDS does not offer postgres 16 on db.t9.micro"),
    "a quota of databases": (
        {"quotas": {"L-7B6409FD": 0}},
        "DB instances: 0 allowed, 0 in use, 1 more needed. To resolve this, run `aws service-quotas request-",
    ),
    "a quota of distributions": (
        {"quotas": {"L-24B04930": 0}},
        "--quota-code L-24B04930 --desired-value 1 --region us-east-1`",
    ),
}


@pytest.mark.parametrize(("faults", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_read_tells_is_refused_before_the_first_write(
    emulator: Emulator, stack: DesiredState, tmp_path: Path, faults: dict[str, Any], message: str
) -> None:
    """RDS: FreeTierRestrictionError; Service Quotas; DescribeOrderableDBInstanceOptions. The plan's token lifts it."""
    if not faults:
        change = real_stack.replace_text("database.yaml", ("db.t3.micro", "db.t9.micro"))
        stack = real_stack.load_stack(tmp_path / "stack", change)
    emulator.faults = Faults(**faults)
    emulator.clear_calls()

    plan = real_stack.make_plan(stack)

    vetoes = [veto for change in plan.changes for veto in change.vetoes]
    assert [veto.name for veto in vetoes] == ["AccountLimit"]
    assert message in vetoes[0].sentence
    assert plan.is_vetoed
    with pytest.raises(Problems, match="AccountLimit"):
        performed_calls.apply(
            pipeline.plan(stack, clients=real_stack.clients()), ignore_event, clients=real_stack.clients()
        )
    assert [call.operation for call in emulator.calls if call.access == "write"] == []
    assert not real_stack.plan_with_token(stack).plan.is_vetoed


def test_what_may_not_be_read_is_said(emulator: Emulator, stack: DesiredState) -> None:
    """An older role may not ask; AWS decides then, when its answer comes."""
    emulator.faults = Faults(denied=("servicequotas:*", "freetier:*"), account_limits=("free-plan",))

    plan = real_stack.make_plan(stack)

    assert not plan.is_vetoed
    (note,) = [note for note in plan.notes if "freetier:GetAccountPlanState" in note]
    assert note == "The limits of the account were not checked completely: freetier:GetAccountPlanState failed."


def test_nothing_is_billed_where_app_runner_is_closed(emulator: Emulator, stack: DesiredState) -> None:
    """No read tells, so the plan warns; a part of App Runner that is free is created before the database."""
    emulator.faults = Faults(account_limits=("app-runner-closed",))
    plan = real_stack.make_plan(stack)
    emulator.clear_calls()

    real_stack.apply(stack)

    assert [note for note in plan.notes if "App Runner to new customers" in note and "`runtime: ecs-express`" in note]
    assert "CreateAutoScalingConfiguration" in {call.operation for call in emulator.calls}
    assert "CreateDBInstance" not in {call.operation for call in emulator.calls}


def test_a_refused_load_balancer_ends_the_wait(emulator: Emulator, express_service: DesiredState) -> None:
    """ECS never ends that deployment; the reason is in DescribeServiceRevisions only (botocore model of ECS)."""
    emulator.faults = Faults(account_limits=("no-load-balancers",))

    report = describe_result(real_stack.apply(express_service))
    plan = real_stack.make_plan(express_service)

    assert "currently does not support creating load balancers" in report
    assert "request access to Elastic Load Balancing" in report
    assert plan.pending_changes


def test_a_denied_call_names_the_action_that_exists(emulator: Emulator, stack: DesiredState) -> None:
    """CreateDistributionWithTags is no IAM action (service authorization reference of CloudFront)."""
    emulator.faults = Faults(denied=("cloudfront:CreateDistribution",))

    report = describe_result(real_stack.apply(stack))

    assert "Grant cloudfront:CreateDistribution" in report
    assert '"Action": ["cloudfront:CreateDistribution"' in report
    assert "WithTags to" not in report


def test_an_expired_session_is_reported_as_that(emulator: Emulator, stack: DesiredState) -> None:
    """A run that outlives its credentials says so, and that the next run continues."""
    prepared = real_stack.plan_with_token(stack)
    emulator.faults = Faults(session_expires_after_seconds=0)

    report = describe_result(performed_calls.apply(prepared, ignore_event, clients=real_stack.clients()))

    assert "The session has expired: log in again" in report
    assert "Grant" not in report
