"""Changes that somebody makes by hand to what the manifests own: each is seen, alone, on both backends.

The edits that the drift report once called "in sync, coverage 100 %" (77 were tried, 20 were unseen).  A watched
setting is reported and left as it is; an owned one is planned back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.planning import pipeline
from orchestrator.render import drift
from orchestrator.vocabulary import Change, DesiredState, Health, Plan
from tests.proofs import real_stack

STATEMENT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "*", "Resource": "*"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
ADMINISTRATOR = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:inject:1"

pytestmark = pytest.mark.both_backends


class HandEdits:
    """Makes changes with plain calls, to the resources of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.clients = Clients(real_stack.REGION)
        self._changes = plan.changes

    def find(self, resource_type: str) -> Change:
        return next(change for change in self._changes if change.address.startswith(f"{resource_type}."))

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        return self.clients.call(service, operation, parameters)

    def inline_policy(self) -> str:
        name = self.find("iam_role").physical
        self.call("iam", "put_role_policy", RoleName=name, PolicyName="admin", PolicyDocument=ADMINISTRATOR)
        return "iam_role"

    def boundary(self) -> str:
        role = next(
            item
            for item in self.call("iam", "list_roles", PathPrefix="/orchestrator/")["Roles"]
            if item["RoleName"] == self.find("iam_role").physical
        )
        boundary = "arn:aws:iam::aws:policy/AdministratorAccess"
        self.call("iam", "put_role_permissions_boundary", RoleName=role["RoleName"], PermissionsBoundary=boundary)
        return "iam_role"

    def secret_policy(self) -> str:
        name = self.find("secretsmanager_secret").physical
        self.call("secretsmanager", "put_resource_policy", SecretId=name, ResourcePolicy=POLICY)
        return "secretsmanager_secret"

    def repository_policy(self) -> str:
        name = self.find("ecr_repository").physical
        self.call("ecr", "set_repository_policy", repositoryName=name, policyText=POLICY)
        return "ecr_repository"

    def muted_alarm(self) -> str:
        self.call("cloudwatch", "disable_alarm_actions", AlarmNames=[self.find("cloudwatch_alarm").physical])
        return "cloudwatch_alarm"

    def bucket_logging(self) -> str:
        name = self.find("s3_bucket").physical
        status = {"LoggingEnabled": {"TargetBucket": name, "TargetPrefix": "log/"}}
        self.call("s3", "put_bucket_logging", Bucket=name, BucketLoggingStatus=status)
        return "s3_bucket"

    def bucket_notifications(self) -> str:
        name = self.find("s3_bucket").physical
        configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
        self.call("s3", "put_bucket_notification_configuration", Bucket=name, NotificationConfiguration=configuration)
        return "s3_bucket"

    def replication(self) -> str:
        name, other = self.find("s3_bucket").physical, "elsewhere-copy"
        where = {"LocationConstraint": real_stack.REGION}
        self.call("s3", "create_bucket", Bucket=other, CreateBucketConfiguration=where)
        enabled = {"Status": "Enabled"}
        for bucket in (name, other):
            self.call("s3", "put_bucket_versioning", Bucket=bucket, VersioningConfiguration=enabled)
        rule = {
            "Status": "Enabled",
            "Priority": 1,
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Filter": {"Prefix": ""},
            "Destination": {"Bucket": f"arn:aws:s3:::{other}"},
        }
        role = "arn:aws:iam::123456789012:role/copy"
        self.call("s3", "put_bucket_replication", Bucket=name, ReplicationConfiguration={"Role": role, "Rules": [rule]})
        return "s3_bucket"

    def edit_distribution(self, edit: Callable[[dict[str, Any]], None]) -> str:
        summary = self.call("cloudfront", "list_distributions")["DistributionList"]["Items"][0]
        response = self.call("cloudfront", "get_distribution_config", Id=summary["Id"])
        edit(response["DistributionConfig"])
        request = {"IfMatch": response["ETag"], "DistributionConfig": response["DistributionConfig"]}
        self.call("cloudfront", "update_distribution", Id=summary["Id"], **request)
        return "cloudfront_distribution"

    def edge_function(self) -> str:
        association = {"EventType": "viewer-request", "LambdaFunctionARN": LAMBDA, "IncludeBody": False}
        associations = {"Quantity": 1, "Items": [{**association, "EventType": "origin-request"}]}
        return self.edit_distribution(
            lambda config: config["DefaultCacheBehavior"].update(LambdaFunctionAssociations=associations)
        )

    def error_pages(self) -> str:
        pages = {"Quantity": 1, "Items": [{"ErrorCode": 503, "ErrorCachingMinTTL": 5}]}
        return self.edit_distribution(lambda config: config.update(CustomErrorResponses=pages))

    def origin_headers(self) -> str:
        headers = {"Quantity": 1, "Items": [{"HeaderName": "X-Key", "HeaderValue": "v"}]}
        return self.edit_distribution(lambda config: config["Origins"]["Items"][0].update(CustomHeaders=headers))

    def geo(self) -> str:
        rule = {"RestrictionType": "blacklist", "Quantity": 1, "Items": ["PT"]}
        return self.edit_distribution(lambda config: config.update(Restrictions={"GeoRestriction": rule}))

    def distribution_logs(self) -> str:
        logging = {"Enabled": True, "Bucket": "logs.s3.amazonaws.com", "Prefix": "", "IncludeCookies": False}
        return self.edit_distribution(lambda config: config.update(Logging=logging))

    def subscriber(self) -> str:
        topic = next(iter(self.call("sns", "list_topics")["Topics"]))["TopicArn"]
        self.call("sns", "subscribe", TopicArn=topic, Protocol="https", Endpoint="https://elsewhere.example/hook")
        return "sns_topic"

    def stored_database(self) -> str:
        name = self.find("rds_instance").physical
        self.call("rds", "modify_db_instance", DBInstanceIdentifier=name, AllocatedStorage=500, ApplyImmediately=True)
        return "rds_instance"

    def paused_service(self) -> str:
        summaries = self.call("apprunner", "list_services")["ServiceSummaryList"]
        self.call("apprunner", "pause_service", ServiceArn=summaries[0]["ServiceArn"])
        return "apprunner_service"


EDITS: dict[Callable[[HandEdits], str], str] = {
    HandEdits.inline_policy: "inline_policies",
    HandEdits.boundary: "boundary",
    HandEdits.secret_policy: "resource_policy",
    HandEdits.repository_policy: "repository_policy",
    HandEdits.muted_alarm: "actions_enabled",
    HandEdits.bucket_logging: "logging",
    HandEdits.bucket_notifications: "notifications",
    HandEdits.replication: "replication",
    HandEdits.edge_function: "edge_functions",
    HandEdits.error_pages: "error_pages",
    HandEdits.origin_headers: "origin_headers",
    HandEdits.geo: "geo",
    HandEdits.distribution_logs: "logging",
    HandEdits.subscriber: "subscriptions",
    HandEdits.stored_database: "storage_gb",
    HandEdits.paused_service: "health",
}
"""Each edit, and the setting that the report has to name."""


def list_differences(plan: Plan) -> set[tuple[str, str]]:
    """What is not as the manifests say: resource type and setting."""
    found = set()
    for change in plan.changes:
        resource_type = change.address.partition(".")[0]
        names = [*(field.path[0] for field in change.fields), *(item.field for item in change.unmanaged)]
        names += ["health"] if change.health is Health.FAILED else []
        found |= {(resource_type, name) for name in names}
    return found


@pytest.fixture(params=real_stack.BACKENDS)
def applied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DesiredState]:
    """The real stack, applied to an empty account."""
    with real_stack.emulated_aws(request.param):
        desired = real_stack.load_stack(tmp_path / "manifests")
        assert real_stack.list_failures(real_stack.apply(desired)) == []
        yield desired


def test_every_hand_edit_is_seen(applied: DesiredState) -> None:
    """Nothing is found before the edits; each is named by its own setting, and its resource is not "in sync"."""
    first = pipeline.plan(applied).plan
    assert list_differences(first) == set()
    assert [setting for change in first.changes for setting in change.unwatched] == []
    assert drift.build_view(first).is_in_sync

    edits = HandEdits(first)
    made = {(edit(edits), setting) for edit, setting in EDITS.items()}
    plan = pipeline.plan(applied).plan

    assert made - list_differences(plan) == set()
    out_of_sync = {
        item.address.partition(".")[0] for item in drift.build_view(plan).resources if item.sync != "in sync"
    }
    assert {resource_type for resource_type, _ in made} <= out_of_sync
