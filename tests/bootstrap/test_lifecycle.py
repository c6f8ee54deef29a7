"""No plan and no deploy of a stack that uses every option meets AccessDenied, from the first deploy to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.emulator.authorization.operation_actions import CREATED_WITHOUT_RESOURCE
from orchestrator.planning import pipeline
from orchestrator.steps import to_operation_name
from tests.bootstrap import full_stack, lifecycle
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.roles import ROLES, Roles
from tests.bootstrap.service_authorization import find_action

MIGRATION_ROLE = "arn:aws:iam::123456789012:role/orchestrator/shop/prod/shop-prod-api-"
MIGRATION_TASK = "arn:aws:ecs:eu-west-1:123456789012:task/default/0a1b"
ECS_ROLE = "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
MIGRATION_DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop-prod-api-migration:1"
OWN_TAGS = [{"key": "orchestrator:project", "value": "shop"}, {"key": "orchestrator:environment", "value": "prod"}]
RARE_CALLS: Mapping[str, tuple[tuple[str, str, Mapping[str, object]], ...]] = {
    # The actions of AWS's policy for pushing images (ECR user guide, "IAM permissions for pushing an image").
    "a push": (
        ("ecr", "get_authorization_token", {}),
        *(
            ("ecr", operation, {"repositoryName": "shop-api"})
            for operation in (
                "batch_check_layer_availability",
                "complete_layer_upload",
                "get_download_url_for_layer",
                "initiate_layer_upload",
                "put_image",
                "upload_layer_part",
            )
        ),
    ),
    "the removal of old releases": (
        ("ecr", "describe_images", {"repositoryName": "shop-api"}),
        ("ecr", "batch_delete_image", {"repositoryName": "shop-api"}),
        ("ecr", "batch_get_image", {"repositoryName": "shop-api"}),
    ),
    "a migration in the VPC": (
        ("ecs", "create_cluster", {"clusterName": "default"}),
        ("ecs", "describe_clusters", {"clusters": ["default"]}),
        (
            "ecs",
            "register_task_definition",
            {
                "family": "shop-prod-api-migration",
                "taskRoleArn": f"{MIGRATION_ROLE}task",
                "executionRoleArn": f"{MIGRATION_ROLE}execution",
                "tags": OWN_TAGS,
            },
        ),
        ("ecs", "list_tasks", {"cluster": "default", "family": "shop-prod-api-migration"}),
        ("ecs", "describe_tasks", {"cluster": "default", "tasks": [MIGRATION_TASK]}),
        ("ecs", "run_task", {"taskDefinition": MIGRATION_DEFINITION, "tags": OWN_TAGS}),
        ("ecs", "deregister_task_definition", {"taskDefinition": MIGRATION_DEFINITION}),
        ("ecs", "delete_task_definitions", {"taskDefinitions": [MIGRATION_DEFINITION]}),
        ("logs", "create_log_group", {"logGroupName": "/ecs/shop-prod-api"}),
        ("logs", "put_retention_policy", {"logGroupName": "/ecs/shop-prod-api"}),
        ("logs", "get_log_events", {"logGroupName": "/ecs/shop-prod-api", "logStreamName": "migration/migration/0a"}),
    ),
    "a snapshot before a migration": (
        (
            "rds",
            "create_db_snapshot",
            {"DBInstanceIdentifier": "shop-prod-main", "DBSnapshotIdentifier": "shop-prod-main-before-0a1b"},
        ),
        ("rds", "describe_db_snapshots", {"DBSnapshotIdentifier": "shop-prod-main-before-0a1b"}),
    ),
}
"""Calls that need Docker, or more releases than a test makes."""
UNLISTED_RESOURCES = {*CREATED_WITHOUT_RESOURCE, "apprunner:DeleteAutoScalingConfiguration"}
"""Actions on ARNs that the reference does not list: App Runner deletes all revisions of a name by its ARN."""
CONNECTOR = "arn:aws:apprunner:eu-west-1:123456789012:vpcconnector/shop-prod-api_2/1/0a1b"
CONNECTED = {"EgressConfiguration": {"EgressType": "VPC", "VpcConnectorArn": CONNECTOR}}
RECORDED_RUNTIMES = [pytest.param(name, marks=pytest.mark.xdist_group("lifecycle")) for name in lifecycle.RUNTIMES]
"""One process records the runtimes, for all tests: those of ``test_mutations``, too, which need both."""
LOG_GROUPS = {"app-runner": "/aws/apprunner/shop-prod-api/0a1b/application", "ecs-express": "/ecs/shop-prod-api"}


def rare_requests(runtime: str) -> Iterator[Request]:
    """The requests of the rare calls, of a service made again after its network changed, and of a log tail."""
    calls = [call for some in RARE_CALLS.values() for call in some]
    group = {"logGroupName": LOG_GROUPS[runtime]}
    own_task = {f"aws:ResourceTag/{tag['key']}": tag["value"] for tag in OWN_TAGS}
    yield Request("ecs:StopTask", MIGRATION_TASK, own_task)
    # ECS makes it with the account's first cluster (ECS developer guide, "Using service-linked roles").
    yield Request("iam:CreateServiceLinkedRole", ECS_ROLE, {"iam:AWSServiceName": "ecs.amazonaws.com"})
    if runtime == "app-runner":
        connector = {"ResourceArn": CONNECTOR}
        service = {"ServiceName": "shop-prod-api", "NetworkConfiguration": CONNECTED}
        calls += [("apprunner", "list_tags_for_resource", connector), ("apprunner", "create_service", service)]
    calls += [("logs", "describe_log_streams", group), ("logs", "get_log_events", {**group, "logStreamName": "a/b"})]
    yield from lifecycle.ENVIRONMENT.iter_requests(
        (service, to_operation_name(operation), parameters) for service, operation, parameters in calls
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("runtime", RECORDED_RUNTIMES)
def test_every_call_is_allowed(runtime: str) -> None:
    """First deploy, nothing to do, every setting changed, models, rollbacks, other subnets, removal, destroy.

    The emulated account refused nothing to the roles' sessions, and a second evaluator agrees.
    """
    stages = lifecycle.record(runtime)
    denied = {
        (stage.name, role): Roles(stage.desired).list_denied(role, stage.requests(role))
        for stage in stages
        for role in ROLES
    }

    assert [role for role in ROLES if sum(len(stage.requests(role)) for stage in stages) < 100] == []
    assert {name: requests for name, requests in denied.items() if requests} == {}


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_pushes_removals_migrations_and_log_tails_are_allowed(runtime: str, tmp_path: Path) -> None:
    desired = pipeline.load_desired(full_stack.write_built(tmp_path, runtime), "prod", include_artefacts=False)

    assert Roles(desired).list_denied("deploy", rare_requests(runtime)) == []


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RECORDED_RUNTIMES)
def test_the_plan_role_does_only_read(runtime: str) -> None:
    """Of all that deploys ask, it may do nothing that the reference calls a write or permissions management."""
    writes = []
    for stage in lifecycle.record(runtime):
        roles = Roles(stage.desired)
        allowed = {request.action for request in stage.requests("deploy") if roles.may("plan", request)}
        writes += [name for name in allowed if (action := find_action(name)) and not action.is_read]

    assert sorted(set(writes) - {"kms:Decrypt"}) == []


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RECORDED_RUNTIMES)
def test_every_recorded_request_is_one_that_aws_knows(runtime: str) -> None:
    """The model of requests against the reference: accepted resources, supported condition keys."""
    problems = []
    for stage in lifecycle.record(runtime):
        for request in [*stage.requests("plan"), *stage.requests("deploy"), *rare_requests(runtime)]:
            action = find_action(request.action)
            is_known = action is not None and (action.accepts(request.arn) or request.action in UNLISTED_RESOURCES)
            if not is_known:
                problems.append(f"{request.action} on {request.arn}")

    assert sorted(set(problems)) == []
