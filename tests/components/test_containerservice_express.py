"""A ContainerService with `runtime: ecs-express`: the same manifest, other resources, and what it cannot promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import components, resources
from orchestrator.components import containerservice
from orchestrator.manifest import schema
from orchestrator.problems import Problems
from orchestrator.values import Ref, TemplateString
from tests.components import manifest_stacks
from tests.components.container_services import (
    BUCKET_STATEMENTS,
    SCOPE,
    SECRET,
    expand_resources,
    list_problems,
    make_service,
    make_stack,
)

API = "ecs_express_service.api"
SECRET_ARN = Ref("secretsmanager_secret.app", "arn")
HEALTH = {"path": "/health"}
MANIFEST = """\
image: {prebuilt: "public.ecr.aws/nginx/nginx:1.27"}
health: {path: /health}
"""


def express(**spec: Any) -> Any:
    return make_service(**{"runtime": "ecs-express", "health": HEALTH, **spec})


def roles(**spec: Any) -> dict[str, Any]:
    """Who takes each role, what is attached to it, and its own statements."""
    made = expand_resources(express(**spec))
    found = {name.partition("api-")[2]: one.spec for name, one in made.items() if name.startswith("iam_role.")}
    return {
        name: (
            spec["trust"]["Statement"][0]["Principal"]["Service"],
            [arn.rpartition("/")[2] for arn in spec["attached"]],
            (spec.get("policy") or {}).get("Statement", []),
        )
        for name, spec in found.items()
    }


def test_it_is_three_roles_a_group_and_the_service() -> None:
    """No connector, no scaling of its own: Express has both inside."""
    assert list(expand_resources(express())) == [
        "ecr_repository.api",
        "iam_role.api-task",
        "iam_role.api-execution",
        "iam_role.api-infrastructure",
        "ec2_security_group.api",
        API,
    ]


def test_each_role_may_do_its_own_part_and_no_more() -> None:
    """The tasks what `access` says; what starts them reads what is injected; ECS makes the load balancer."""
    reading = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [SECRET_ARN]}

    assert roles(access=["bucket.files", "database.main"], secrets=["secret.app"]) == {
        "task": ("ecs-tasks.amazonaws.com", [], list(BUCKET_STATEMENTS)),
        "execution": ("ecs-tasks.amazonaws.com", ["AmazonECSTaskExecutionRolePolicy"], [reading]),
        "infrastructure": ("ecs.amazonaws.com", ["AmazonECSInfrastructureRoleforExpressGatewayServices"], []),
    }


def test_the_service_says_what_the_manifest_says() -> None:
    """In ECS's units, with its command in words."""
    wanted = {"cpu": 0.5, "memory": 2, "command": 'serve --name "the shop"', "instances": {"min": 2, "max": 3}}
    spec = expand_resources(express(**wanted, access=["database.main"], secrets=["secret.app"]))[API].spec

    assert (spec["cpu"], spec["memory"], spec["health_path"]) == (512, 2048, "/health")
    assert spec["command"] == ["serve", "--name", "the shop"]
    assert spec["scaling"] == {"min": 2, "max": 3, "metric": "AVERAGE_CPU", "target": 60}
    assert spec["secrets"] == {
        "Jwt__Key": TemplateString((SECRET_ARN, ":Jwt__Key::")),
        "Mode": TemplateString((SECRET_ARN, ":Mode::")),
    }
    assert spec["security_groups"] == [Ref("ec2_security_group.api", "id")]
    assert spec["log_group"] == "/ecs/shop-prod-api"


@pytest.mark.parametrize(
    ("instances", "scaling"),
    [
        ({"scaleOn": "memory"}, ("AVERAGE_MEMORY", 60)),
        ({"scaleOn": "requests"}, ("REQUEST_COUNT_PER_TARGET", 1000)),
        ({"scaleOn": "requests", "target": 5000}, ("REQUEST_COUNT_PER_TARGET", 5000)),
        ({"target": 40}, ("AVERAGE_CPU", 40)),
    ],
)
def test_it_scales_by_what_is_asked_for(instances: dict[str, Any], scaling: tuple[str, int]) -> None:
    """Each measure has a target of its own."""
    spec = expand_resources(express(instances=instances))[API].spec["scaling"]

    assert (spec["metric"], spec["target"]) == scaling


@pytest.mark.parametrize(("public", "output"), [(True, "public_subnets"), (False, "private_subnets")])
def test_public_is_a_matter_of_subnets(public: bool, output: str) -> None:
    """ECS makes the load balancer face what the subnets face; a private one takes a way out, which is noted."""
    component = express(public=public)
    notes = list(containerservice.notes(component, make_stack(component)))

    assert expand_resources(component)[API].spec["subnets"] == Ref("ec2_vpc.network", output)
    assert ["NAT" in note for note in notes] == ([] if public else [True])


def test_a_database_lets_the_same_group_in_as_with_app_runner() -> None:
    """So that a change of runtime does not touch the database's rules."""
    asked = [
        [(one.target, one.kind, dict(one.data)) for one in containerservice.grants(component, SCOPE)]
        for component in (express(access=["database.main"]), make_service(access=["database.main"]))
    ]

    assert (
        asked[0] == asked[1] == [("database.main", "connect", {"security_group": Ref("ec2_security_group.api", "id")})]
    )


def test_it_exports_what_app_runner_does() -> None:
    """A CDN, a bucket's CORS or a probe need not know which it is."""
    assert containerservice.exports(express(), SCOPE) == {
        "url": Ref(API, "url"),
        "host": Ref(API, "host"),
        "name": "shop-prod-api",
    }
    assert components.answers(express()) == API
    assert components.answers(SECRET) is None


def test_the_alarm_watches_the_load_balancer() -> None:
    """CloudWatch knows no smaller thing whose name stays: the description says what is counted with it."""
    alarm = expand_resources(express(alarms={"http5xx": 5}))["cloudwatch_alarm.api-5xx"].spec

    assert alarm["metric"] == "HTTPCode_Target_5XX_Count"
    assert alarm["dimensions"] == {"LoadBalancer": Ref(API, "load_balancer")}
    assert "with whatever else is behind its load balancer" in alarm["description"]


def test_the_network_is_there_without_a_database(tmp_path: Path) -> None:
    """Its tasks lie in it; App Runner's do not."""
    with_it = manifest_stacks.load_resources(
        tmp_path, manifest_stacks.make_document("ContainerService", "api", "runtime: ecs-express\n" + MANIFEST)
    )
    without = manifest_stacks.load_resources(
        tmp_path, manifest_stacks.make_document("ContainerService", "api", MANIFEST)
    )

    assert ("ec2_vpc.network" in with_it, "ec2_vpc.network" in without) == (True, False)


def test_every_resource_is_of_a_known_type_and_bears_our_mark() -> None:
    """Nothing is made that could not be found again."""
    made = expand_resources(express(alarms={"http5xx": 1}))

    assert {resource.type for resource in made.values()} <= set(resources.list_types())
    assert {resource.spec["tags"]["orchestrator:component"] for resource in made.values()} == {"containerservice.api"}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"cpu": 0.25, "memory": 4}, ("spec.memory", "Fargate offers 0.5 or 1 or 2 GB")),
        ({"cpu": 1, "memory": 12}, ("spec.memory", "Fargate offers 2 to 8 GB")),
        ({"health": {"protocol": "TCP"}}, ("spec.health", "requires an HTTP health check")),
        ({"ipv6": True}, ("spec.ipv6", "IPv4 only")),
        ({"tracing": True}, ("spec.tracing", "runs only one")),
        ({"encryptionKey": "arn:aws:kms:eu-west-1:123456789012:key/x"}, ("spec.encryptionKey", "stores no copy")),
        ({"instances": {"target": 5000}}, ("spec.instances.target", "more than 100 percent")),
        ({"command": 'serve "shop'}, ("spec.command", "no closing quotation")),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_way_out(spec: dict[str, Any], problem: tuple[str, str]) -> None:
    """One problem, at its place: a promise of the manifest that nobody would keep."""
    [(path, sentence)] = list_problems(express(**spec))

    assert (path, problem[1] in sentence) == (problem[0], True), sentence


@pytest.mark.parametrize("key", ["scaleOn", "target"])
def test_app_runner_does_not_scale_by_it(key: str) -> None:
    """What is said to the other runtime alone is refused where it would be heeded by nobody."""
    value = {"scaleOn": "cpu", "target": 60}[key]

    assert list_problems(make_service(instances={key: value}))[0][0] == f"spec.instances.{key}"


def test_what_only_app_runner_heeds_is_told_and_does_no_harm() -> None:
    """So that one word may change: counts and intervals of App Runner's are no promise to users."""
    component = express(instances={"concurrency": 80}, health={"path": "/health", "intervalSeconds": 10})
    [note] = containerservice.notes(component, make_stack(component))

    assert list_problems(component) == []
    assert all(word in note for word in ("concurrency", "intervalSeconds"))
    assert list(containerservice.notes(express(), make_stack(express()))) == []


def test_a_problem_is_told_where_it_stands(tmp_path: Path) -> None:
    """File, line and column, with a way out."""
    text = "runtime: ecs-express\n" + MANIFEST + "tracing: true\n"
    with pytest.raises(Problems) as told:
        manifest_stacks.load_desired(tmp_path, manifest_stacks.make_document("ContainerService", "api", text))
    [problem] = told.value.problems

    assert problem.where is not None
    assert (Path(problem.where.file).name, problem.where.line, problem.where.column) == ("stack.yaml", 13, 12)
    assert problem.hint is not None
    assert problem.hint.startswith("remove it")


def test_the_schema_knows_both_and_says_which_works_where() -> None:
    """Any other runtime is refused with the reason to choose between the two."""
    rule = schema.load("containerservice")["properties"]["spec"]["properties"]["runtime"]

    assert rule["enum"] == ["app-runner", "ecs-express"]
    assert "2026-04-30" in rule["x-reason"]
