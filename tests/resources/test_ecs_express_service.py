"""Express services as they are read: the newest of two configurations, without what ECS puts in by itself."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.resources import ecs_express_service
from orchestrator.resources.ecs_express_service.api_shape import (
    build_outputs,
    build_request,
    parse_host,
    parse_load_balancer,
    parse_service,
)
from orchestrator.steps import Wait, trace_steps
from orchestrator.vocabulary import Health, LiveResource
from tests.aws.fake_clients import ScriptedCaller
from tests.resources import call_outcomes
from tests.resources.cases import SCOPE

ARN = "arn:aws:ecs:eu-west-1:123456789012:service/default/shop-prod-main"
TAGS = [
    {"key": "orchestrator:project", "value": "shop"},
    {"key": "orchestrator:environment", "value": "prod"},
    {"key": "aws:ecs:serviceName", "value": "x"},
]
BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/ecs-express/50dc6c495c0c9188"


def configuration(revision: int, **said: Any) -> dict[str, Any]:
    """What AWS tells of one revision."""
    return {
        "serviceRevisionArn": f"{ARN.replace(':service/', ':service-revision/')}/{revision}",
        "createdAt": f"2026-11-29 12:0{revision}:00+00:00",
        "cpu": "256",
        "memory": "512",
        "networkConfiguration": {"subnets": ["subnet-2", "subnet-1"], "securityGroups": ["sg-1", "sg-ecs"]},
        "healthCheckPath": "/health",
        "primaryContainer": {"image": f"shop@sha256:{revision}", "containerPort": 8080, "command": []},
        "ingressPaths": [{"accessType": "PUBLIC", "endpoint": "https://sh-1.ecs.eu-west-1.on.aws/"}],
        **said,
    }


def aws(
    *,
    deployments: Any = (),
    code: str = "ACTIVE",
    configurations: Any = None,
    roles: tuple[str, ...] = ("ecs.amazonaws.com",),
    sources: tuple[dict[str, str], ...] = (),
) -> ScriptedCaller:
    """ECS with one service; its deployments as (status, minute), our roles by whom they trust."""
    service = {
        "serviceName": "shop-prod-main",
        "serviceArn": ARN,
        "status": {"statusCode": code},
        "infrastructureRoleArn": "arn:aws:iam::123456789012:role/infrastructure",
        "activeConfigurations": configurations or [configuration(1)],
        "tags": TAGS,
    }
    listed = [
        {"serviceDeploymentArn": f"d{minute}", "status": status, "createdAt": f"2026-11-29 12:0{minute}:00+00:00"}
        for status, minute in deployments
    ]
    answers: dict[str, Any] = {
        "describe_express_gateway_service": {"service": service},
        "list_service_deployments": {"serviceDeployments": listed},
        "describe_service_revisions": {
            "serviceRevisions": [{"ecsManagedResources": {"ingressPaths": [{"loadBalancer": {"arn": BALANCER}}]}}]
        },
        "describe_service_deployments": {"serviceDeployments": [{"sourceServiceRevisions": list(sources)}]},
        "describe_security_groups": [{"SecurityGroups": [{"GroupId": "sg-ecs"}]}],
        "describe_log_groups": [{"logGroups": []}],
        "get_resources": [{"ResourceTagMappingList": []}],
        "list_services": [{"serviceArns": [ARN, ARN.replace("shop-prod-main", "others")]}],
        "list_roles": [
            {"Roles": [{"AssumeRolePolicyDocument": {"Statement": [{"Principal": role}]}} for role in roles]}
        ],
    }
    return ScriptedCaller(lambda _, operation, __: answers[operation])


def read(caller: ScriptedCaller) -> LiveResource:
    found = ecs_express_service.read(Reader(caller), SCOPE, "shop-prod-main", {"log_retention_days": 30})
    assert found is not None
    return found


SPEC = {
    "image": "shop@sha256:1",
    "port": 8080,
    "command": ["serve"],
    "environment": {"A": "1", "B": ""},
    "secrets": {"KEY": "arn:aws:secretsmanager:x"},
    "log_group": "/ecs/shop",
    "task_role": "arn:aws:iam::123456789012:role/task",
    "execution_role": "arn:aws:iam::123456789012:role/execution",
    "infrastructure_role": "arn:aws:iam::123456789012:role/infrastructure",
    "cpu": 1024,
    "memory": 2048,
    "architecture": "ARM64",
    "health_path": "/health",
    "scaling": {"min": 2, "max": 5, "metric": "AVERAGE_CPU", "target": 60},
    "subnets": ["subnet-1"],
    "security_groups": ["sg-1"],
}


def test_what_is_sent_reads_as_what_was_declared() -> None:
    """Each setting, with a value that is no default."""
    service = {"infrastructureRoleArn": SPEC["infrastructure_role"]}

    assert parse_service(service, build_request(SPEC), ["sg-1"]) == SPEC
    assert build_request(SPEC)["networkConfiguration"] == {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}


def test_a_deployment_that_fails_says_ecss_own_reason() -> None:
    """`statusReason` of DescribeServiceDeployments (ECS API Reference, ServiceDeployment)."""
    waits = [step for step in call_outcomes.list_steps("ecs_express_service") if isinstance(step, Wait)]
    failing = [step for step in waits if step.failed_values and step.call.operation == "describe_service_deployments"]
    response = {"serviceDeployments": [{"status": "ROLLBACK_FAILED", "statusReason": "No capacity"}]}

    assert len(failing) > 3
    assert {jmespath.search(step.reason_path, response) for step in failing} == {"No capacity"}


def test_the_retention_is_that_of_its_own_log_group() -> None:
    """DescribeLogGroups lists by prefix: the first one may be another's."""
    days = {"/ecs/shop-other": 1, "/ecs/shop": 30}
    caller = aws(
        configurations=[configuration(1, primaryContainer={"awsLogsConfiguration": {"logGroup": "/ecs/shop"}})]
    )

    def respond(service: str, operation: str, parameters: dict[str, Any]) -> Any:
        if operation != "describe_log_groups":
            return caller.call(service, operation, parameters)
        prefix = parameters["logGroupNamePrefix"]
        groups = [{"logGroupName": name, "retentionInDays": days[name]} for name in days if name.startswith(prefix)]
        return [{"logGroups": groups}]

    answers = ScriptedCaller(respond)

    assert read(answers).spec["log_retention_days"] == 30


def test_ecss_own_security_group_is_no_difference() -> None:
    """It is told by its mark; subnets come in any order, and the endpoint with or without its scheme."""
    live = read(aws())

    assert (live.spec["security_groups"], live.spec["subnets"]) == (["sg-1"], ["subnet-1", "subnet-2"])
    assert (live.spec["command"], live.spec["settled"]) == ([], True)
    assert dict(live.outputs) == {
        "arn": ARN,
        "host": "sh-1.ecs.eu-west-1.on.aws",
        "url": "https://sh-1.ecs.eu-west-1.on.aws",
        "load_balancer": "app/ecs-express/50dc6c495c0c9188",
    }
    assert (live.owner, live.health, live.status) == ("shop/prod", Health.HEALTHY, "ACTIVE")


def test_of_two_configurations_the_newest_is_wanted() -> None:
    """Mid-deployment AWS lists both, in no order that it promises."""
    live = read(aws(configurations=[configuration(2), configuration(1)], deployments=[("IN_PROGRESS", 2)]))

    assert live.spec["image"] == "shop@sha256:2"


@pytest.mark.parametrize(
    ("code", "deployments", "settled", "health", "status"),
    [
        ("ACTIVE", [("SUCCESSFUL", 1)], True, Health.HEALTHY, "ACTIVE"),
        ("ACTIVE", [("SUCCESSFUL", 1), ("IN_PROGRESS", 2)], False, Health.PROGRESSING, "IN_PROGRESS"),
        ("ACTIVE", [("ROLLBACK_SUCCESSFUL", 2), ("SUCCESSFUL", 1)], True, Health.HEALTHY, "ACTIVE"),
        ("ACTIVE", [("ROLLBACK_FAILED", 1)], False, Health.FAILED, "ROLLBACK_FAILED"),
        ("ACTIVE", [("STOPPED", 1)], False, Health.FAILED, "STOPPED"),
        ("DRAINING", [("SUCCESSFUL", 1)], False, Health.PROGRESSING, "DRAINING"),
    ],
)
def test_it_is_as_well_as_its_newest_deployment(
    code: str, deployments: list[tuple[str, int]], settled: bool, health: Health, status: str
) -> None:
    """The service itself says ACTIVE whatever became of what was deployed."""
    live = read(aws(code=code, deployments=deployments))

    assert (live.spec["settled"], live.health, live.status) == (settled, health, status)
    assert bool(ecs_express_service.stuck(live)) is not settled


def test_a_deleted_service_is_none() -> None:
    """ECS goes on telling of it for a while."""
    assert ecs_express_service.read(Reader(aws(code="INACTIVE")), SCOPE, "shop-prod-main", {}) is None


def test_ours_are_found_by_name_and_tags() -> None:
    """Services of others are not asked for."""
    caller = aws()

    assert list(ecs_express_service.discover(Reader(caller), SCOPE)) == ["shop-prod-main"]
    assert [operation for _, operation, __ in caller.calls].count("describe_express_gateway_service") == 1


def test_ecs_is_not_asked_where_no_role_is_for_it() -> None:
    """Whoever uses App Runner pays for no call, and needs no right, of another runtime."""
    caller = aws(roles=("build.apprunner.amazonaws.com", "ecs-tasks.amazonaws.com"))

    assert list(ecs_express_service.discover(Reader(caller), SCOPE)) == []
    assert {service for service, *_ in caller.calls} == {"iam"}


@pytest.mark.parametrize(
    "endpoint", ["https://x.ecs.eu-west-1.on.aws/", "https://x.ecs.eu-west-1.on.aws", "x.ecs.eu-west-1.on.aws"]
)
def test_an_endpoint_is_a_host_however_it_is_written(endpoint: str) -> None:
    """AWS has been seen to write it in more ways than one."""
    service = {"activeConfigurations": [configuration(1, ingressPaths=[{"endpoint": endpoint}])]}

    assert parse_host(service) == "x.ecs.eu-west-1.on.aws"


def test_what_ecs_has_not_named_is_no_output() -> None:
    """An alarm on a made-up load balancer would watch nothing, and say nothing: it has to wait for the real one."""
    unnamed = parse_load_balancer({"serviceRevisions": [{"ecsManagedResources": {}}]})

    assert build_outputs("arn:x", "", unnamed) == {"arn": "arn:x"}
    assert build_outputs("arn:x", "h", "app/x/1").keys() == {"arn", "host", "url", "load_balancer"}


def test_a_network_with_too_few_subnets_is_said_while_planning() -> None:
    """Not half-way through an apply, by a load balancer that cannot be made."""
    spec = ecs_express_service.normalise({"subnets": ["subnet-1"]})

    with pytest.raises(Problems, match="in 2 zones; the network has 1"):
        trace_steps("ecs_express_service.main", ecs_express_service.create(SCOPE, "shop-prod-main", spec))
