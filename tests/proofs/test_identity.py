"""A resource is found by what nobody edits; "already exists" is believed only of what was read and is ours."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import AwsError
from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import Action, Actuation, DesiredState, Outcome
from tests import performed_calls
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends]

API = "apiVersion: orchestrator/v1"
BUCKET = "shop-web-prod"
SITE = {
    "project.yaml": f"{API}\nkind: Project\nmetadata: {{name: shop}}\n"
    "spec: {region: eu-west-1, account: '123456789012', repository: shop/shop-app}\n",
    "bucket.yaml": f"{API}\nkind: Bucket\nmetadata: {{name: web}}\nspec: {{name: {BUCKET}}}\n",
    "cdn.yaml": f"{API}\nkind: Cdn\nmetadata: {{name: web}}\nspec:\n  origin: bucket.web\n"
    "  securityHeaders: {frames: DENY}\n",
}
PARTS = ("cloudfront_function.web", "cloudfront_headers.web", "cloudfront_oac.web")


@pytest.fixture
def site(tmp_path: Path, emulator: Emulator) -> DesiredState:
    """Provide a site without a domain of its own: only its tags tell whose the distribution is."""
    return load(tmp_path)


def load(folder: Path, **replaced: str) -> DesiredState:
    for name, text in SITE.items():
        (folder / name).write_text(replaced.get(name.removesuffix(".yaml"), text))
    return pipeline.load_desired(folder, "prod")


def call(operation: str, **parameters: Any) -> Any:
    return real_stack.clients().call("cloudfront", operation, parameters)


def list_distributions() -> list[Any]:
    return list(call("list_distributions")["DistributionList"].get("Items", []))


def edit_distribution(distribution_id: str, **changed: Any) -> None:
    """Do what CloudFront's console does."""
    current = call("get_distribution_config", Id=distribution_id)
    config = {**current["DistributionConfig"], **changed}
    call("update_distribution", Id=distribution_id, IfMatch=current["ETag"], DistributionConfig=config)


def allowed_distributions() -> str:
    """Return the distributions that the bucket's policy lets in."""
    policy = real_stack.clients().call("s3", "get_bucket_policy", {"Bucket": BUCKET})["Policy"]
    return json.dumps([statement.get("Condition") for statement in json.loads(policy)["Statement"]])


def test_a_distribution_whose_description_was_edited_is_updated_in_one_field(site: DesiredState) -> None:
    """CloudFront's console shows Comment as "Description" (developer guide, "Distribution settings")."""
    assert real_stack.list_failures(real_stack.apply(site)) == []
    (before,) = list_distributions()
    edit_distribution(before["Id"], Comment="Shop CDN (renamed in the console)")

    plan = real_stack.make_plan(site)
    assert [(change.address, change.action) for change in plan.pending_changes] == [
        ("cloudfront_distribution.web", Action.UPDATE)
    ]
    assert [field.path for field in plan.pending_changes[0].fields] == [("comment",)]
    assert real_stack.list_failures(real_stack.apply(site)) == []

    assert [(item["Id"], item["Comment"]) for item in list_distributions()] == [(before["Id"], before["Comment"])]
    assert before["Id"] in allowed_distributions()
    assert real_stack.describe_changes(real_stack.make_plan(site)) == []


def test_a_distribution_without_tags_is_found_by_its_caller_reference(site: DesiredState) -> None:
    """Only a creation sets the reference (API reference, DistributionConfig): the tags are put back."""
    real_stack.apply(site)
    (before,) = list_distributions()
    keys = [tag["Key"] for tag in call("list_tags_for_resource", Resource=before["ARN"])["Tags"]["Items"]]
    call("untag_resource", Resource=before["ARN"], TagKeys={"Items": keys})

    plan = real_stack.make_plan(site)

    assert [(change.address, change.action, change.vetoes) for change in plan.pending_changes] == [
        ("cloudfront_distribution.web", Action.UPDATE, ())
    ]
    assert {field.path[0] for field in plan.pending_changes[0].fields} == {"tags"}


def test_a_distribution_that_says_nothing_any_more_stops_the_change_and_what_depends_on_it(site: DesiredState) -> None:
    """Neither tags nor description: AWS's answer names it, but it is not taken for ours, and no policy names it."""
    real_stack.apply(site)
    (before,) = list_distributions()
    policy = allowed_distributions()
    keys = [tag["Key"] for tag in call("list_tags_for_resource", Resource=before["ARN"])["Tags"]["Items"]]
    call("untag_resource", Resource=before["ARN"], TagKeys={"Items": keys})
    edit_distribution(before["Id"], Comment="mine")

    outcomes = by_address(real_stack.apply(site))

    assert outcomes["cloudfront_distribution.web"].actuation is Actuation.FAILED
    assert before["Id"] in outcomes["cloudfront_distribution.web"].reason
    assert outcomes["s3_bucket_policy.web"].actuation is Actuation.SKIPPED
    assert allowed_distributions() == policy


@pytest.mark.parametrize("address", PARTS)
def test_a_part_whose_description_was_edited_is_ours_because_our_distribution_uses_it(
    site: DesiredState, address: str
) -> None:
    """Access controls, functions and headers policies have no tags, but editable descriptions."""
    real_stack.apply(site)
    edit_part(address)

    plan = real_stack.make_plan(site)

    assert [(change.address, change.action, change.vetoes) for change in plan.pending_changes] == [
        (address, Action.UPDATE, ())
    ]
    assert real_stack.list_failures(real_stack.apply(site)) == []
    assert real_stack.describe_changes(real_stack.make_plan(site)) == []


def edit_part(address: str) -> None:
    match address:
        case "cloudfront_oac.web":
            (item,) = call("list_origin_access_controls")["OriginAccessControlList"]["Items"]
            current = call("get_origin_access_control", Id=item["Id"])
            config = {**current["OriginAccessControl"]["OriginAccessControlConfig"], "Description": "mine"}
            key = {"Id": item["Id"], "IfMatch": current["ETag"]}
            call("update_origin_access_control", **key, OriginAccessControlConfig=config)
        case "cloudfront_headers.web":
            (item,) = call("list_response_headers_policies", Type="custom")["ResponseHeadersPolicyList"]["Items"]
            current = call("get_response_headers_policy", Id=item["ResponseHeadersPolicy"]["Id"])
            config = {**current["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"], "Comment": "mine"}
            key = {"Id": item["ResponseHeadersPolicy"]["Id"], "IfMatch": current["ETag"]}
            call("update_response_headers_policy", **key, ResponseHeadersPolicyConfig=config)
        case _:
            stage = {"Name": "shop-prod-web", "Stage": "DEVELOPMENT"}
            current, code = call("describe_function", **stage), call("get_function", **stage)["FunctionCode"].read()
            config = {**current["FunctionSummary"]["FunctionConfig"], "Comment": "mine"}
            function = {"Name": "shop-prod-web", "FunctionConfig": config, "FunctionCode": code}
            call("update_function", **function, IfMatch=current["ETag"])
            call("publish_function", Name="shop-prod-web", IfMatch=call("describe_function", **stage)["ETag"])


def test_an_alarm_whose_description_was_edited_is_ours_by_its_tags(emulator: Emulator, tmp_path: Path) -> None:
    """The description that names the owner is a field of CloudWatch's console."""
    desired = shop_with_database(tmp_path / "shop", "shop", database="alarms: {connections: 60}, ")
    apply_endpoint(desired, targets=["cloudwatch_alarm.main-connections"])
    cloudwatch = real_stack.clients().call
    (alarm,) = cloudwatch("cloudwatch", "describe_alarms", {"AlarmNamePrefix": "shop-"})["MetricAlarms"]
    written = ("AlarmName", "MetricName", "Namespace", "Statistic", "Dimensions", "Period", "EvaluationPeriods")
    kept = {key: alarm[key] for key in (*written, "Threshold", "ComparisonOperator", "TreatMissingData")}
    cloudwatch("cloudwatch", "put_metric_alarm", {**kept, "AlarmDescription": "mine"})

    changes = real_stack.make_plan(desired, targets=["cloudwatch_alarm.main-connections"]).pending_changes

    assert [(change.address, change.action, change.vetoes) for change in changes] == [
        ("cloudwatch_alarm.main-connections", Action.UPDATE, ())
    ]


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
OF_A_DOMAIN = SITE["cdn.yaml"] + f"  aliases: [www.example.com]\n  certificate: {CERTIFICATE}\n"


def test_a_renamed_component_keeps_its_distribution(site: DesiredState, tmp_path: Path) -> None:
    """The new address finds it by its domain, the old one by its marks: one distribution, one change, no deletion."""
    assert real_stack.list_failures(real_stack.apply(load(tmp_path, cdn=OF_A_DOMAIN))) == []
    (before,) = list_distributions()
    renamed = load(tmp_path, cdn=OF_A_DOMAIN.replace("name: web", "name: site"))

    changes = {change.address: change.action for change in real_stack.make_plan(renamed).pending_changes}
    assert changes["cloudfront_distribution.site"] is Action.UPDATE
    assert [address for address in changes if address.startswith("cloudfront_distribution.")] == [
        "cloudfront_distribution.site"
    ]
    assert real_stack.list_failures(real_stack.apply(renamed)) == []

    assert [item["Id"] for item in list_distributions()] == [before["Id"]]
    assert before["Id"] in allowed_distributions()
    assert real_stack.describe_changes(real_stack.make_plan(renamed)) == []


def test_a_domain_moves_from_one_component_to_a_new_one(site: DesiredState, tmp_path: Path) -> None:
    """The old component keeps its distribution without the domain; the new one gets its own with it."""
    assert real_stack.list_failures(real_stack.apply(load(tmp_path, cdn=OF_A_DOMAIN))) == []
    (before,) = list_distributions()
    load(tmp_path)
    (tmp_path / "blog.yaml").write_text(OF_A_DOMAIN.replace("name: web", "name: blog"))
    both = pipeline.load_desired(tmp_path, "prod")

    changes = {change.address: change.action for change in real_stack.make_plan(both).pending_changes}
    assert changes["cloudfront_distribution.web"] is Action.UPDATE
    assert changes["cloudfront_distribution.blog"] is Action.CREATE
    assert real_stack.list_failures(real_stack.apply(both)) == []

    domains = {item["Id"]: item["Aliases"].get("Items", []) for item in list_distributions()}
    assert domains.pop(before["Id"]) == []
    assert list(domains.values()) == [["www.example.com"]]
    assert real_stack.describe_changes(real_stack.make_plan(both)) == []


IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api@sha256:" + "a" * 64


def shop_with_database(folder: Path, project: str, database: str = "") -> DesiredState:
    """A service with a database: it reaches S3 through the endpoint of its VPC."""
    folder.mkdir(exist_ok=True)
    texts = {
        "project": SITE["project.yaml"].replace("name: shop}", f"name: {project}}}"),
        "database": f"{API}\nkind: Database\nmetadata: {{name: main}}\n"
        f"spec: {{{database}database: shop, username: shop, version: '16'}}\n",
        "service": f"{API}\nkind: ContainerService\nmetadata: {{name: api}}\nspec:\n"
        f"  image: {{repository: api, prebuilt: {IMAGE}}}\n  port: 80\n  access: [database.main]\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return pipeline.load_desired(folder, "prod")


ENDPOINT = "ec2_vpc_endpoint.s3"


def list_endpoint_tags() -> list[dict[str, str]]:
    found = real_stack.clients().call("ec2", "describe_vpc_endpoints", {})["VpcEndpoints"]
    return [
        {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])} for item in found if item["State"] == "available"
    ]


def apply_endpoint(desired: DesiredState, **options: Any) -> None:
    outcomes = real_stack.apply(desired, **options)
    assert [item.reason for item in outcomes if item.actuation is Actuation.FAILED] == []


def test_a_shared_s3_endpoint_stays_until_the_last_environment_leaves(emulator: Emulator, tmp_path: Path) -> None:
    """One gateway endpoint serves a VPC: a project that goes must not cut the others off from S3."""
    first, second = (shop_with_database(tmp_path / name, name) for name in ("shop", "depot"))
    apply_endpoint(first, targets=[ENDPOINT])

    plan = real_stack.make_plan(second, targets=[ENDPOINT])
    (change,) = plan.pending_changes
    assert (change.address, change.action, [step.action for step in change.steps]) == (
        ENDPOINT,
        Action.UPDATE,
        ["ec2:CreateTags"],
    )
    assert "the S3 endpoint of another environment" in change.effects[0]
    apply_endpoint(second, targets=[ENDPOINT])
    assert real_stack.make_plan(first, targets=[ENDPOINT]).pending_changes == ()
    assert real_stack.make_plan(second, targets=[ENDPOINT]).pending_changes == ()

    (deletion,) = real_stack.make_plan(first, destroying=True).pending_changes
    assert [step.action for step in deletion.steps] == ["ec2:DeleteTags"]
    assert "kept for depot/prod" in deletion.effects[0]
    apply_endpoint(first, destroying=True)
    (tags,) = list_endpoint_tags()
    assert sorted(key for key in tags if key.startswith("orchestrator:")) == [
        "orchestrator:shared",
        "orchestrator:used-by:depot/prod",
    ]
    assert real_stack.make_plan(first, destroying=True).pending_changes == ()
    assert real_stack.make_plan(second, targets=[ENDPOINT]).pending_changes == ()

    apply_endpoint(second, destroying=True)
    assert list_endpoint_tags() == []


def test_an_endpoint_that_another_environment_created_meanwhile_is_not_shared_unseen(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Two first applies at once: the slower one fails, and shares the endpoint after a plan that says so."""
    first, second = (shop_with_database(tmp_path / name, name) for name in ("shop", "depot"))
    aws = real_stack.clients()
    reviewed = pipeline.plan(second, targets=[ENDPOINT], clients=aws)
    apply_endpoint(first, targets=[ENDPOINT])

    outcome = by_address(performed_calls.apply(reviewed, ignore_event, clients=aws))[ENDPOINT]

    assert outcome.actuation is Actuation.FAILED
    assert "differs from the plan in marked" in outcome.reason
    assert "plan again" in outcome.reason
    assert [change.action for change in real_stack.make_plan(second, targets=[ENDPOINT]).pending_changes] == [
        Action.UPDATE
    ]


def test_an_endpoint_that_somebody_renamed_is_no_other_one(emulator: Emulator, tmp_path: Path) -> None:
    """EC2's console edits the tag ``Name``: the endpoint is neither created again nor deleted."""
    desired = shop_with_database(tmp_path / "shop", "shop")
    apply_endpoint(desired, targets=[ENDPOINT])
    (endpoint,) = real_stack.clients().call("ec2", "describe_vpc_endpoints", {})["VpcEndpoints"]
    name = [{"Key": "Name", "Value": "S3 of the shop"}]
    real_stack.clients().call("ec2", "create_tags", {"Resources": [endpoint["VpcEndpointId"]], "Tags": name})

    plan = real_stack.make_plan(desired)

    assert [change.action for change in plan.changes if change.address.startswith("ec2_vpc_endpoint.")] == [Action.NONE]


class LosingClients(real_stack.SharedClients):
    """An AWS that creates a distribution and loses the answer, once; its listings never show the distribution."""

    lost = False

    def __init__(self) -> None:
        super().__init__()
        self._listings: dict[str, Any] = {}

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        key = json.dumps((operation, parameters, region), sort_keys=True)
        pages = self._listings.get(key) or super().pages(service, operation, parameters, region)
        if operation in ("list_distributions", "get_resources"):
            self._listings[key] = pages
        return list(copy.deepcopy(pages))

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        response = super().call(service, operation, parameters, region)
        if operation == "create_distribution_with_tags" and not self.lost:
            self.lost = True
            raise AwsError(service, operation, "Unreachable", "the connection was reset")
        return response


def test_a_distribution_whose_creation_was_lost_is_known_by_awss_own_answer(site: DesiredState) -> None:
    """The message of DistributionAlreadyExists names it (aws-sdk-js-v3#2618), although no listing shows it yet."""
    aws = LosingClients()
    first = by_address(apply_through(site, aws))
    assert first["cloudfront_distribution.web"].actuation is Actuation.FAILED
    assert first["s3_bucket_policy.web"].actuation is Actuation.SKIPPED

    second = by_address(apply_through(site, aws))

    assert second["cloudfront_distribution.web"].actuation is Actuation.SUCCEEDED, second
    (made,) = list_distributions()
    assert made["Id"] in allowed_distributions()
    assert real_stack.describe_changes(real_stack.make_plan(site)) == []


def apply_through(desired: DesiredState, aws: Any) -> tuple[Outcome, ...]:
    return performed_calls.apply(pipeline.plan(desired, clients=aws), ignore_event, clients=aws)


def by_address(outcomes: tuple[Outcome, ...]) -> dict[str, Outcome]:
    return {outcome.address: outcome for outcome in outcomes}
