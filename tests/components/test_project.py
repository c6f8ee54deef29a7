"""What a Project brings into being, and only when it is needed."""

from __future__ import annotations

from pathlib import Path

from orchestrator.planning import pipeline
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64
DATABASE = make_document(
    "Database", "main", 'version: "16"\ndatabase: shop\nusername: shop\nalarms: { connections: 60 }'
)
API = make_document("ContainerService", "api", f"image: {{ prebuilt: '{IMAGE}' }}\naccess: [database.main]")
SITE = make_document("Bucket", "web", "{}")
SPEC = 'repository: shop/web, region: eu-west-1, account: "123456789012"'


def project(folder: Path, extra: str, *documents: str) -> dict[str, Resource]:
    """What a project with more in its spec makes, by address."""
    text = f"apiVersion: orchestrator/v1\nkind: Project\nmetadata: {{ name: shop }}\nspec: {{ {SPEC}, {extra} }}\n"
    (folder / "stack.yaml").write_text("---\n".join([text, *documents]))
    return {resource.address: resource for resource in pipeline.load_desired(folder, "prod").resources}


def test_a_project_of_a_site_has_no_network(tmp_path: Path) -> None:
    """Nothing that nobody asked for is looked up or made."""
    made = manifest_stacks.load_resources(tmp_path, SITE)

    assert not {address for address in made if address.startswith(("ec2_", "sns_"))}


def test_a_database_brings_the_network(tmp_path: Path) -> None:
    """Looked up by what the manifest says, which is the default VPC."""
    made = manifest_stacks.load_resources(tmp_path, DATABASE)

    assert made["ec2_vpc.network"].spec == {"vpc": "default"}
    assert "ec2_vpc_endpoint.s3" not in made


def test_a_service_inside_of_the_network_reaches_s3(tmp_path: Path) -> None:
    """All its traffic goes through the VPC; the free endpoint keeps S3 within reach."""
    endpoint = manifest_stacks.load_resources(tmp_path, DATABASE, API)["ec2_vpc_endpoint.s3"]

    assert endpoint.physical == "shop-prod-s3"
    assert endpoint.spec["network"] == "default"
    assert endpoint.spec["route_tables"] == Ref("ec2_vpc.network", "route_tables")


def test_a_named_network_is_used(tmp_path: Path) -> None:
    """With the subnets that are named."""
    subnets = "subnet-0a1b2c3d, subnet-0b1c2d3e"
    made = project(tmp_path, f"network: {{ vpc: vpc-0a1b2c3d, subnets: [{subnets}] }}", DATABASE)

    assert made["ec2_vpc.network"].spec == {"vpc": "vpc-0a1b2c3d", "subnets": subnets.split(", ")}


def test_alarms_reach_whoever_is_named(tmp_path: Path) -> None:
    """One topic for all, into which only this account's alarms and budgets may speak."""
    made = project(tmp_path, "alerts: { email: [ops@shop.example] }", DATABASE)
    topic = made["sns_topic.alerts"].spec
    statement = topic["policy"]["Statement"][0]

    assert topic["emails"] == ["ops@shop.example"]
    assert statement["Principal"] == {"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert statement["Resource"] == "arn:aws:sns:eu-west-1:123456789012:shop-prod-alerts"


def test_alarms_that_nobody_hears_are_told(tmp_path: Path) -> None:
    """Without an address there is no topic, and the plan says so."""
    wanted = manifest_stacks.load_desired(tmp_path, DATABASE)

    assert wanted.notes == ("The alarms of database.main send no notifications: the Project has no `alerts.email`.",)
    assert "sns_topic.alerts" not in {resource.address for resource in wanted.resources}


def test_more_alarms_than_are_free_need_a_word(tmp_path: Path) -> None:
    """Ten are free; who wants more says how many."""
    alarms = "alarms: { connections: 60, freeStorageGb: 4, cpuCredits: 20, cpuPercent: 80 }"
    databases = [
        make_document("Database", name, f'version: "16"\ndatabase: shop\nusername: shop\n{alarms}')
        for name in ("a", "b", "c")
    ]

    assert manifest_stacks.list_problems(tmp_path, *databases) == [
        "the components have 12 alarms in total, but spec.alerts.maxAlarms allows 10"
    ]
    assert "cloudwatch_alarm.c-cpu" in project(tmp_path, "alerts: { maxAlarms: 12 }", *databases)
