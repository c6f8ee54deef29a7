"""Every operation implemented here answers in the shape of its service model, and a bad request in the right words.

The clients of these tests check each answer against the model (see `account.py`); here each operation is asked once.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

import botocore.session
import pytest

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import Account, Client, Clients, error_code

ACCOUNT = "123456789012"
POLICY: dict[str, dict[str, Any]] = {
    "CachePolicy": {
        "MinTTL": 0,
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": True,
            "HeadersConfig": {"HeaderBehavior": "none"},
            "CookiesConfig": {"CookieBehavior": "none"},
            "QueryStringsConfig": {"QueryStringBehavior": "none"},
        },
    },
    "OriginRequestPolicy": {
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    },
    "ResponseHeadersPolicy": {"SecurityHeadersConfig": {"ContentTypeOptions": {"Override": True}}},
}


def asked(emulator: Emulator, service: str) -> set[str]:
    """The operations a service answered well."""
    return {call.operation for call in emulator.calls if call.service == service and call.status < 300}


def operations(service: str, without: Iterable[str]) -> set[str]:
    """The operations of a service model, but for some."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {name for name in names if not any(part in name for part in without)}


def test_app_runner(emulator: Emulator, account: Account, aws: Clients) -> None:
    """All of it but custom domains' changes, connections and ingress connections."""
    client = aws("apprunner")
    scaling = client.create_auto_scaling_configuration(AutoScalingConfigurationName="conform")
    scaling_arn = scaling["AutoScalingConfiguration"]["AutoScalingConfigurationArn"]
    tracing = client.create_observability_configuration(ObservabilityConfigurationName="conform")
    tracing_arn = tracing["ObservabilityConfiguration"]["ObservabilityConfigurationArn"]
    connector = client.create_vpc_connector(VpcConnectorName="conform", Subnets=account.list_subnets())
    connector_arn = connector["VpcConnector"]["VpcConnectorArn"]
    arn = account.create_service()
    for name in ("services", "auto_scaling_configurations", "vpc_connectors", "observability_configurations"):
        getattr(client, f"list_{name}")()
    for name in ("connections", "vpc_ingress_connections"):
        getattr(client, f"list_{name}")()
    client.list_operations(ServiceArn=arn)
    client.list_tags_for_resource(ResourceArn=arn)
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    client.describe_custom_domains(ServiceArn=arn)
    client.describe_auto_scaling_configuration(AutoScalingConfigurationArn=scaling_arn)
    client.list_services_for_auto_scaling_configuration(AutoScalingConfigurationArn=scaling_arn)
    client.describe_observability_configuration(ObservabilityConfigurationArn=tracing_arn)
    client.describe_vpc_connector(VpcConnectorArn=connector_arn)
    changes = ("update_service", "start_deployment", "pause_service", "resume_service", "delete_service")
    for name in changes:
        getattr(client, name)(ServiceArn=arn)
        account.wait_for_service(arn)
    client.delete_vpc_connector(VpcConnectorArn=connector_arn)
    client.delete_observability_configuration(ObservabilityConfigurationArn=tracing_arn)
    client.delete_auto_scaling_configuration(AutoScalingConfigurationArn=scaling_arn)
    again = client.create_auto_scaling_configuration(AutoScalingConfigurationName="default")
    again_arn = again["AutoScalingConfiguration"]["AutoScalingConfigurationArn"]
    client.update_default_auto_scaling_configuration(AutoScalingConfigurationArn=again_arn)

    left_out = ("CustomDomain", "Connection")
    listed = {"ListConnections", "ListVpcIngressConnections", "DescribeCustomDomains"}
    assert asked(emulator, "apprunner") == operations("apprunner", left_out) | listed


def test_ecs_express_mode(emulator: Emulator, account: Account, aws: Clients) -> None:
    """Express Mode, and the reads that tell of its services among others."""
    client = aws("ecs")
    arn = account.create_express_service(tags=[{"key": "a", "value": "1"}])
    emulator.faults = Faults(settle_seconds={"ecs": 60})
    client.update_express_gateway_service(serviceArn=arn, healthCheckPath="/health")
    (newest, _) = client.list_service_deployments(service=arn)["serviceDeployments"]
    told = client.describe_service_deployments(serviceDeploymentArns=[newest["serviceDeploymentArn"], f"{arn}/none"])
    revision = newest["targetServiceRevisionArn"]
    (shown,) = client.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    client.stop_service_deployment(serviceDeploymentArn=newest["serviceDeploymentArn"])
    client.list_services()
    client.describe_services(services=[arn], include=["TAGS"])
    client.describe_clusters(clusters=["default"])
    client.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    client.list_tags_for_resource(resourceArn=arn)
    client.delete_express_gateway_service(serviceArn=arn)

    left_out = ("ContinueServiceDeployment", "ServicePrimary", "ServicesByNamespace")
    deployed = {name for name in operations("ecs", left_out) if "Express" in name or "ServiceDeployment" in name}
    assert asked(emulator, "ecs") >= deployed | {"DescribeServiceRevisions", "ListServices", "DescribeServices"}
    assert [each["reason"] for each in told["failures"]] == ["MISSING"]
    assert shown["ecsManagedResources"]["ingressPaths"][0]["endpoint"].startswith("https://")


def test_budgets(emulator: Emulator, aws: Clients) -> None:
    """All of it but actions, histories and the account's list of notifications."""
    client = aws("budgets", "us-east-1")
    named = {"AccountId": ACCOUNT, "BudgetName": "monthly"}
    limit = {"Amount": "60", "Unit": "USD"}
    budget = {"BudgetName": "monthly", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    old, new = (
        {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": at} for at in (20.0, 40.0)
    )
    mail, other = ({"SubscriptionType": "EMAIL", "Address": f"{who}@joiabagur.example"} for who in ("ops", "cfo"))
    arn = {"ResourceARN": f"arn:aws:budgets::{ACCOUNT}:budget/monthly"}

    client.create_budget(AccountId=ACCOUNT, Budget=budget)
    client.update_budget(AccountId=ACCOUNT, NewBudget=budget)
    client.describe_budget(**named)
    client.describe_budgets(AccountId=ACCOUNT)
    client.create_notification(**named, Notification=old, Subscribers=[mail])
    client.update_notification(**named, OldNotification=old, NewNotification=new)
    client.describe_notifications_for_budget(**named)
    client.create_subscriber(**named, Notification=new, Subscriber=other)
    client.update_subscriber(
        **named, Notification=new, OldSubscriber=other, NewSubscriber={**other, "Address": "a@b.c"}
    )
    client.describe_subscribers_for_notification(**named, Notification=new)
    client.delete_subscriber(**named, Notification=new, Subscriber=mail)
    client.delete_notification(**named, Notification=new)
    client.tag_resource(**arn, ResourceTags=[{"Key": "a", "Value": "1"}])
    client.list_tags_for_resource(**arn)
    client.untag_resource(**arn, ResourceTagKeys=["a"])
    client.delete_budget(**named)

    assert asked(emulator, "budgets") == operations("budgets", ("Action", "History", "ForAccount"))


@pytest.mark.parametrize("kind", POLICY)
def test_cloudfront_policies(aws: Clients, kind: str) -> None:
    """The three kinds have the same life."""
    client = aws("cloudfront", "us-east-1")
    snake = {"CachePolicy": "cache", "OriginRequestPolicy": "origin_request"}.get(kind, "response_headers")
    config: dict[str, Any] = {"Name": "conform", **POLICY[kind]}

    made = getattr(client, f"create_{snake}_policy")(**{f"{kind}Config": config})
    key = made[kind]["Id"]
    assert error_code(getattr(client, f"create_{snake}_policy"), **{f"{kind}Config": config}) == f"{kind}AlreadyExists"
    new = getattr(client, f"update_{snake}_policy")(
        Id=key, IfMatch=made["ETag"], **{f"{kind}Config": {**config, "Comment": "new"}}
    )
    assert getattr(client, f"get_{snake}_policy")(Id=key)[kind][f"{kind}Config"]["Comment"] == "new"
    listed = getattr(client, f"list_{snake}_policies")(Type="custom")[f"{kind}List"]["Items"]
    assert [each[kind]["Id"] for each in listed] == [key]
    getattr(client, f"delete_{snake}_policy")(Id=key, IfMatch=new["ETag"])
    assert error_code(getattr(client, f"get_{snake}_policy_config"), Id=key) == f"NoSuch{kind}"


class TestBadRequests:
    def test_what_breaks_the_model_is_refused(self, moto: Emulator) -> None:
        """A client that does not check its parameters is told by the server, not by a crash of it."""
        body = b'{"ServiceName": 5}'
        scope = "AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/apprunner/aws4_request"
        headers = {
            "X-Amz-Target": "AppRunner.CreateService",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        request = urllib.request.Request(moto.url, data=body, headers=headers)

        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=5)
        with raised.value as answer:
            assert (answer.code, b"ValidationException" in answer.read()) == (400, True)

    def test_a_page_token_that_is_none(self, aws: Clients) -> None:
        """Is refused."""
        client: Client = aws("apprunner")

        assert error_code(client.list_services, NextToken="none") == "InvalidRequestException"
