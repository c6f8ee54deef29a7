"""What the roles of the workflows may do about ECS Express: run a service in it, and come to it from App Runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.bootstrap import policy_documents
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import Action
from tests import performed_calls
from tests.bootstrap.iam_requests import Environment
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.recording_clients import RecordingClients
from tests.bootstrap.roles import Roles
from tests.bootstrap.test_policy_documents import OURS, ROLE, manifests
from tests.proofs import real_stack

ECS = "arn:aws:ecs:eu-west-1:123456789012:"
SERVICE = f"{ECS}service/default/joiabagur-prod-api"
BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/theirs/1"


def express(folder: Path) -> Path:
    """The real manifests in the other runtime: one word changes."""
    found = manifests(folder)
    real_stack.replace_text("api.yaml", ("runtime: app-runner", "runtime: ecs-express"))(found)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return express(tmp_path_factory.mktemp("express"))


@pytest.fixture(scope="module")
def roles(folder: Path) -> Roles:
    return Roles(pipeline.load_desired(folder, "prod", include_artefacts=False))


@pytest.fixture(scope="module")
def recorded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, list[Request]]]:
    """The calls of the change from App Runner to ECS Express, and of a change of what then runs."""
    before = pipeline.load_desired(manifests(tmp_path_factory.mktemp("runner")), "prod")
    after = pipeline.load_desired(folder, "prod")
    real_stack.replace_text("api.yaml", ("ASPNETCORE_ENVIRONMENT: Production", "ASPNETCORE_ENVIRONMENT: Staging"))(
        folder
    )
    later = pipeline.load_desired(folder, "prod")
    environment = Environment()
    with real_stack.emulated_aws():
        assert real_stack.list_failures(real_stack.apply(before)) == []
        plan, deploy = RecordingClients(), RecordingClients()
        for desired in (after, later):
            pipeline.plan(desired, clients=plan)
            planned = pipeline.plan(desired, clients=deploy)
            assert not planned.plan.is_vetoed
            assert real_stack.list_failures(performed_calls.apply(planned, ignore_event, clients=deploy)) == []
        gone = [change.address for change in planned.plan.changes if change.action is Action.DELETE]
        assert gone == []
        yield {role: list(environment.iter_requests(used.calls)) for role, used in (("plan", plan), ("deploy", deploy))}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_every_call_of_a_change_of_runtime_is_allowed(
    role: str, roles: Roles, recorded: Mapping[str, list[Request]]
) -> None:
    """The new service is made, the old one found and removed, by roles that were made for the new manifests."""
    asked = [each for each in recorded[role] if each.action.startswith(("ecs:", "apprunner:", "iam:", "logs:"))]

    assert {"ecs:DescribeExpressGatewayService", "apprunner:DescribeService"} <= {each.action for each in asked}
    assert [str(each) for each in asked if not roles.may(role, each)] == []


@pytest.mark.parametrize(
    "request_",
    [
        Request("ecs:DeleteExpressGatewayService", f"{ECS}service/default/other"),
        Request("ecs:UpdateService", SERVICE),
        Request("ecs:RunTask", f"{ECS}task-definition/x:1"),
        Request("apprunner:CreateService", "arn:aws:apprunner:eu-west-1:123456789012:service/joiabagur-prod-api/1"),
        Request("iam:PassRole", f"{ROLE}/orchestrator/joiabagur/prod/x", {"iam:PassedToService": "ec2.amazonaws.com"}),
        Request("iam:PassRole", f"{ROLE}/admin", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
        Request("elasticloadbalancing:DeleteLoadBalancer", BALANCER, OURS),
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_what_it_does_not_take_is_denied(role: str, request_: Request, roles: Roles) -> None:
    """Others' services, other ways to run things, and load balancers: those are the infrastructure role's."""
    assert not roles.may(role, request_)


def test_the_documents_fit_into_iam(roles: Roles) -> None:
    """6,144 characters a policy, ten policies a role."""
    documents = [
        *policy_documents.build_plan_policies(roles.desired),
        *policy_documents.build_deploy_policies(roles.desired),
    ]

    assert (
        max(
            policy_documents.policy_size(each)
            for each in [*documents, policy_documents.build_permissions_boundary(roles.desired)]
        )
        <= policy_documents.MAX_POLICY_CHARACTERS
    )
