"""The requests that IAM judges for each call that was really made: actions, ARNs and condition keys.

The mapping from an operation to its actions is written from AWS's API references and apart from the product's own
table, so that each checks the other.  A call that names no resource is judged on the wildcard of the resource types
that AWS's service authorization reference gives for the action: that is what AWS does, e.g. with
ecr:DescribeRepositories ("not authorized ... on resource: arn:aws:ecr:us-east-1:123456789012:repository/*").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.service_authorization import get_action

TAG_KEYS = ("Tags", "tags", "TagList", "ResourceTags", "TagSpecifications")
IAM_ACTIONS = {
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketCors": ["s3:PutBucketCORS"],
    "s3:GetBucketCors": ["s3:GetBucketCORS"],
    "s3:PutBucketCors": ["s3:PutBucketCORS"],
    "s3:GetBucketReplication": ["s3:GetReplicationConfiguration"],
    "s3:GetBucketNotificationConfiguration": ["s3:GetBucketNotification"],
    "s3:PutBucketNotificationConfiguration": ["s3:PutBucketNotification"],
    "budgets:DescribeBudgets": ["budgets:ViewBudget"],
    "budgets:DescribeNotificationsForBudget": ["budgets:ViewBudget"],
    "budgets:DescribeSubscribersForNotification": ["budgets:ViewBudget"],
    **{
        f"budgets:{verb}{noun}": ["budgets:ModifyBudget"]
        for verb in ("Create", "Update", "Delete")
        for noun in ("Budget", "Notification", "Subscriber")
    },
    "cloudfront:CreateDistributionWithTags": ["cloudfront:CreateDistribution"],
    "resourcegroupstaggingapi:GetResources": ["tag:GetResources"],
    "sts:GetCallerIdentity": [],
}
"""IAM's names, where they are not the operation's; GetCallerIdentity needs no permission."""
TAGGING_ACTIONS = {
    "apprunner:CreateAutoScalingConfiguration": "apprunner:TagResource",
    "apprunner:CreateObservabilityConfiguration": "apprunner:TagResource",
    "apprunner:CreateService": "apprunner:TagResource",
    "apprunner:CreateVpcConnector": "apprunner:TagResource",
    "budgets:CreateBudget": "budgets:TagResource",
    "cloudfront:CreateDistributionWithTags": "cloudfront:TagResource",
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
    "ec2:CreateSecurityGroup": "ec2:CreateTags",
    "ec2:CreateVpcEndpoint": "ec2:CreateTags",
    "ecr:CreateRepository": "ecr:TagResource",
    "ecs:CreateExpressGatewayService": "ecs:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "rds:CreateDBInstance": "rds:AddTagsToResource",
    "rds:CreateDBParameterGroup": "rds:AddTagsToResource",
    "rds:CreateDBSnapshot": "rds:AddTagsToResource",
    "rds:CreateDBSubnetGroup": "rds:AddTagsToResource",
    "s3:CreateBucket": "s3:TagResource",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "sns:CreateTopic": "sns:TagResource",
}
"""Creating with tags needs the right to tag."""
CREATED_WITHOUT_RESOURCE = {
    "cloudfront:CreateDistribution": "distribution/*",
    "cloudfront:CreateFunction": "function/{Name}",
    "cloudfront:CreateOriginAccessControl": "origin-access-control/*",
    "cloudfront:CreateResponseHeadersPolicy": "response-headers-policy/*",
}
"""The reference knows no resource for these, messages of AWS name one: both have to be allowed."""
SERVICE_LINKED_ROLES = {
    "apprunner:CreateService": "apprunner.amazonaws.com/AWSServiceRoleForAppRunner",
    "apprunner:CreateVpcConnector": "networking.apprunner.amazonaws.com/AWSServiceRoleForAppRunnerNetworking",
    "ecs:CreateExpressGatewayService": "ecs.amazonaws.com/AWSServiceRoleForECS",
    "rds:CreateDBInstance": "rds.amazonaws.com/AWSServiceRoleForRDS",
}
"""The first resource of an account needs them made."""
APP_RUNNER_PRINCIPALS = (
    "apprunner.amazonaws.com",
    "tasks.apprunner.amazonaws.com",
    "build.apprunner.amazonaws.com",
    "",
)
"""iam:PassedToService of App Runner: AWS's managed policy says the first, reports say the others or none."""
NEVER_OURS = (":vpc/", ":route-table/")
"""Resources that calls name but no environment owns."""
APPRUNNER_RESOURCES = {
    "AutoScaling": "autoscalingconfiguration",
    "VpcConnector": "vpcconnector",
    "Observab": "observabilityconfiguration",
}
CLOUDFRONT_RESOURCES = {
    "Function": "function",
    "OriginAccessControl": "origin-access-control",
    "ResponseHeadersPolicy": "response-headers-policy",
}
Call = tuple[str, str, Mapping[str, Any]]
Context = dict[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Environment:
    """Where the calls were made: an environment, and the KMS keys of its buckets and secrets by name."""

    project: str = "joiabagur"
    name: str = "prod"
    account: str = "123456789012"
    region: str = "eu-west-1"
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, str]:
        return {"orchestrator:project": self.project, "orchestrator:environment": self.name}

    @property
    def usage_tag(self) -> str:
        return f"orchestrator:used-by:{self.project}/{self.name}"

    @property
    def role_path(self) -> str:
        return f"/orchestrator/{self.project}/{self.name}/"

    @property
    def boundary(self) -> str:
        path = f"/orchestrator/{self.project}/{self.name}.github/"
        return f"arn:aws:iam::{self.account}:policy{path}{self.project}-{self.name}-boundary"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def iter_requests(self, calls: Iterable[Call]) -> Iterator[Request]:
        """The requests of calls, each once."""
        seen: set[str] = set()
        for service, operation, parameters in calls:
            for request in _CallRequests(self, service, operation, parameters).iter_all():
                key = f"{request} {sorted(request.context.items())}"
                if key not in seen:
                    seen.add(key)
                    yield request


@dataclass(frozen=True)
class _CallRequests:
    """What IAM is asked for one call."""

    env: Environment
    service: str
    operation: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def iter_all(self) -> Iterator[Request]:
        is_object_deletion = self.name == "s3:DeleteObjects"
        actions = _object_actions(self.parameters) if is_object_deletion else IAM_ACTIONS.get(self.name, [self.name])
        for action in actions:
            yield from self._iter_action(action)
        if self.name in TAGGING_ACTIONS and _request_tags(self.parameters):
            yield from self._iter_action(TAGGING_ACTIONS[self.name])
        if self.name in SERVICE_LINKED_ROLES:
            principal, _, role = SERVICE_LINKED_ROLES[self.name].partition("/")
            arn = self.env.arn("iam", f"role/aws-service-role/{principal}/{role}", regional=False)
            yield Request("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": principal})
        dependent = getattr(self, f"_iter_{self.service}", None)
        yield from dependent() if dependent else ()

    def _iter_action(self, action: str) -> Iterator[Request]:
        arns = self._list_arns(action)
        for arn in arns or get_action(action).wildcard_arns(self.env.account, self.env.region):
            yield Request(action, arn, self._context(action, arn))

    def _list_arns(self, action: str) -> list[str]:
        """The resources that the call names; empty if it names none."""
        if action in CREATED_WITHOUT_RESOURCE:
            resource = CREATED_WITHOUT_RESOURCE[action].format(
                **{key: self.parameters[key] for key in ("Name",) if key in self.parameters}
            )
            return ["*", self.env.arn("cloudfront", resource, regional=False)]
        if not get_action(action).types:
            return []
        return _ARN_BUILDERS[action.partition(":")[0]](self, action)

    def _context(self, action: str, arn: str) -> Context:
        is_creation = self.operation.startswith("Create") and self.operation not in {"CreateInvalidation", "CreateTags"}
        context: Context = {f"aws:RequestTag/{key}": value for key, value in _request_tags(self.parameters).items()}
        if not is_creation and not any(part in arn for part in NEVER_OURS):
            context |= {f"aws:ResourceTag/{key}": value for key, value in self.env.tags.items()}
        if action in {"ec2:CreateTags", "ec2:DeleteTags"}:
            context = self._tagging_context(context, is_creation=is_creation)
        if action.startswith("iam:") and ":role/" in arn:
            context |= self._role_context()
        return context

    def _tagging_context(self, context: Context, *, is_creation: bool) -> Context:
        if is_creation:
            return {**context, "ec2:CreateAction": self.operation}
        keys = tuple(tag["Key"] for tag in self.parameters["Tags"])
        context = {
            key: value for key, value in context.items() if self.operation != "DeleteTags" or "Request" not in key
        }
        if keys == (self.env.usage_tag,):  # a mark on what another environment created
            context |= {"aws:ResourceTag/orchestrator:project": "another"}
        return {**context, "aws:TagKeys": keys}

    def _role_context(self) -> Context:
        boundary = self.parameters.get(
            "PermissionsBoundary", "" if self.operation == "CreateRole" else self.env.boundary
        )
        context: Context = {"iam:PermissionsBoundary": boundary} if boundary else {}
        return {
            **context,
            **({"iam:PolicyARN": self.parameters["PolicyArn"]} if "PolicyArn" in self.parameters else {}),
            **({"iam:AWSServiceName": name} if (name := self.parameters.get("AWSServiceName")) else {}),
        }

    def _iter_ec2(self) -> Iterator[Request]:
        """The requests for an endpoint whose creator left: only our mark of usage is on it."""
        endpoint = self.env.arn("ec2", "vpc-endpoint/vpce-1")
        if self.operation == "CreateTags" and [tag["Key"] for tag in self.parameters["Tags"]] == [self.env.usage_tag]:
            left: Context = {"aws:ResourceTag/orchestrator:shared": "true", "aws:TagKeys": (self.env.usage_tag,)}
            yield Request(self.name, endpoint, left)
        if self.operation in {"DeleteVpcEndpoints", "ModifyVpcEndpoint"}:
            yield Request(self.name, endpoint, {f"aws:ResourceTag/{self.env.usage_tag}": "cdn.web"})

    def _iter_pass_role(self, role: str | None, *principals: str) -> Iterator[Request]:
        for principal in principals if role else ():
            yield Request("iam:PassRole", str(role), {"iam:PassedToService": principal} if principal else {})

    def _iter_key(self, key: str | None, *actions: str, service: str | None = None) -> Iterator[Request]:
        """The requests that AWS makes on the caller's behalf for a key, or for the key behind an alias."""
        context = {"kms:ViaService": f"{service or self.service}.{self.env.region}.amazonaws.com"}
        if key and ":alias/" in key:
            base, _, alias = key.partition(":alias/")
            key, context["kms:ResourceAliases"] = f"{base}:key/0a1b", f"alias/{alias}"
        for action in actions if key else ():
            granted = {"kms:GrantIsForAWSResource": "true"} if action == "CreateGrant" else {}
            yield Request(f"kms:{action}", str(key), {**context, **granted})

    def _iter_apprunner(self) -> Iterator[Request]:
        if self.operation not in {"CreateService", "UpdateService"}:
            return
        source = self.parameters.get("SourceConfiguration", {})
        instance_role = self.parameters.get("InstanceConfiguration", {}).get("InstanceRoleArn")
        access_role = source.get("AuthenticationConfiguration", {}).get("AccessRoleArn")
        yield from self._iter_pass_role(instance_role, *APP_RUNNER_PRINCIPALS)
        yield from self._iter_pass_role(access_role, *APP_RUNNER_PRINCIPALS)
        key = self.parameters.get("EncryptionConfiguration", {}).get("KmsKey")
        yield from self._iter_key(key, "CreateGrant", "DescribeKey", "Decrypt", "GenerateDataKey")
        linked = (
            self.parameters.get("AutoScalingConfigurationArn"),
            self.parameters.get("NetworkConfiguration", {}).get("EgressConfiguration", {}).get("VpcConnectorArn"),
            self.parameters.get("ObservabilityConfiguration", {}).get("ObservabilityConfigurationArn"),
        )
        yield from (Request(self.name, arn) for arn in linked if arn)

    def _iter_cloudfront(self) -> Iterator[Request]:
        config = self.parameters.get("DistributionConfigWithTags", self.parameters).get("DistributionConfig", {})
        if not isinstance(config, Mapping):
            return
        if config.get("Logging", {}).get("Enabled"):
            arn = f"arn:aws:s3:::{config['Logging']['Bucket'].partition('.s3.')[0]}"
            yield from (Request(action, arn) for action in ("s3:GetBucketAcl", "s3:PutBucketAcl"))
        if str(config.get("WebACLId", "")).startswith("arn:"):
            yield Request("wafv2:GetWebACL", config["WebACLId"])

    def _iter_ecs(self) -> Iterator[Request]:
        principals = {"taskRoleArn": "ecs-tasks", "executionRoleArn": "ecs-tasks", "infrastructureRoleArn": "ecs"}
        for key, principal in principals.items():
            yield from self._iter_pass_role(self.parameters.get(key), f"{principal}.amazonaws.com")
        if self.operation not in {"CreateExpressGatewayService", "UpdateExpressGatewayService"}:
            return
        name = self.parameters.get("serviceName") or str(self.parameters["serviceArn"]).rpartition("/")[2]
        task_definition = self.env.arn("ecs", f"task-definition/default-{name}:1")
        yield Request("ecs:RegisterTaskDefinition", task_definition)
        if self.operation == "CreateExpressGatewayService":
            cluster = self.env.arn("ecs", "cluster/default")
            yield Request("ecs:CreateCluster", cluster)
            yield from (Request("ecs:TagResource", arn) for arn in (cluster, task_definition))

    def _iter_rds(self) -> Iterator[Request]:
        database = self.parameters.get("DBInstanceIdentifier", "")
        if self.operation in {"CreateDBInstance", "ModifyDBInstance"}:
            yield from self._iter_pass_role(self.parameters.get("MonitoringRoleArn"), "monitoring.rds.amazonaws.com")
            key = self.parameters.get("KmsKeyId")
            yield from self._iter_key(key, "CreateGrant", "DescribeKey", "Decrypt", "GenerateDataKey")
        if self.parameters.get("ManageMasterUserPassword"):
            secret = self.env.arn("secretsmanager", "secret:rds!db-0f3c-a1B2c3")
            yield from (Request(f"secretsmanager:{action}", secret) for action in ("CreateSecret", "TagResource"))
            yield Request("kms:DescribeKey", self.env.arn("kms", "key/aws-managed"))
        if snapshot := self.parameters.get("FinalDBSnapshotIdentifier"):
            arn = self.env.arn("rds", f"snapshot:{snapshot}")
            yield from (Request("rds:CreateDBSnapshot", item) for item in (arn, self.env.arn("rds", f"db:{database}")))
            yield Request("rds:AddTagsToResource", arn)
        if self.operation == "CreateDBSnapshot":
            arn = self.env.arn("rds", f"snapshot:{self.parameters['DBSnapshotIdentifier']}")
            yield from (Request(f"rds:{action}", arn) for action in ("CreateDBSnapshot", "AddTagsToResource"))

    def _iter_s3(self) -> Iterator[Request]:
        key = self.env.keys.get(self.parameters.get("Bucket", ""))
        if self.operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
            yield from self._iter_key(key, "GenerateDataKey")
        if self.operation in {"GetObject", "HeadObject", "CopyObject", "UploadPart"}:
            yield from self._iter_key(key, "Decrypt")

    def _iter_secretsmanager(self) -> Iterator[Request]:
        name = str(self.parameters.get("Name") or self.parameters.get("SecretId", "")).rpartition(":")[2]
        key = self.parameters.get("KmsKeyId") or self.env.keys.get(name)
        if self.operation in {"CreateSecret", "PutSecretValue", "UpdateSecret"}:
            yield from self._iter_key(key, "GenerateDataKey", "Decrypt")
        if self.operation == "GetSecretValue":
            yield from self._iter_key(key, "Decrypt")


def _s3_arns(call: _CallRequests, action: str) -> list[str]:
    bucket = f"arn:aws:s3:::{call.parameters['Bucket']}"
    if call.operation == "CopyObject" and action == "s3:GetObject":
        source = call.parameters["CopySource"]
        return [f"arn:aws:s3:::{source if isinstance(source, str) else '/'.join((source['Bucket'], source['Key']))}"]
    if call.operation == "DeleteObjects":
        return [f"{bucket}/{item['Key']}" for item in call.parameters["Delete"]["Objects"]]
    return [f"{bucket}/{call.parameters['Key']}"] if "Key" in call.parameters else [bucket]


def _object_actions(parameters: Mapping[str, Any]) -> list[str]:
    """The actions of DeleteObjects: a version of an object is another action."""
    versions = {"VersionId" in item for item in parameters["Delete"]["Objects"]}
    return ["s3:DeleteObjectVersion" if is_version else "s3:DeleteObject" for is_version in sorted(versions)]


def _iam_arns(call: _CallRequests, action: str) -> list[str]:
    if call.operation == "CreateServiceLinkedRole":
        principal = call.parameters["AWSServiceName"]
        return [call.env.arn("iam", f"role/aws-service-role/{principal}/AWSServiceRoleForRDS", regional=False)]
    name = call.parameters["RoleName"]
    path = call.parameters.get("Path", call.env.role_path)
    arns = [call.env.arn("iam", f"role{path}{name}", regional=False)]
    # IAM cannot know the path of a role that does not exist; its messages say "on resource: role NAME".
    return [*arns, call.env.arn("iam", f"role/{name}", regional=False)] if action == "iam:GetRole" else arns


def _secret_arns(call: _CallRequests, action: str) -> list[str]:
    name = call.parameters.get("Name") or call.parameters["SecretId"]
    # A name that may not exist yet: messages name the secret with and without the six characters that AWS appends.
    return (
        [name]
        if name.startswith("arn:")
        else [call.env.arn("secretsmanager", f"secret:{item}") for item in (name, f"{name}-a1B2c3")]
    )


def _rds_arns(call: _CallRequests, action: str) -> list[str]:
    if "ResourceName" in call.parameters:
        return [call.parameters["ResourceName"]]
    if call.operation == "DescribeDBSnapshots":
        return []
    kinds = {"DBInstanceIdentifier": "db", "DBSubnetGroupName": "subgrp", "DBParameterGroupName": "pg"}
    arns = [
        call.env.arn("rds", f"{kind}:{call.parameters[key]}") for key, kind in kinds.items() if key in call.parameters
    ]
    if call.operation in {"CreateDBInstance", "ModifyDBInstance"} and action != "rds:AddTagsToResource":
        arns += [call.env.arn("rds", "og:default:postgres-16"), call.env.arn("rds", "pg:default.postgres16")]
    return arns[:1] if action == "rds:AddTagsToResource" else arns


def _ecr_arns(call: _CallRequests, action: str) -> list[str]:
    if "resourceArn" in call.parameters:
        return [call.parameters["resourceArn"]]
    one = [call.parameters["repositoryName"]] if "repositoryName" in call.parameters else []
    return [call.env.arn("ecr", f"repository/{name}") for name in one or call.parameters.get("repositoryNames", [])]


def _budget_arns(call: _CallRequests, action: str) -> list[str]:
    budget = call.parameters.get("Budget") or call.parameters.get("NewBudget") or {}
    name = call.parameters.get("BudgetName") or budget.get("BudgetName")
    arns = [call.env.arn("budgets", f"budget/{name}", regional=False)] if name else []
    return [call.parameters["ResourceARN"]] if "ResourceARN" in call.parameters else arns


def _cloudfront_arns(call: _CallRequests, action: str) -> list[str]:
    if "Resource" in call.parameters:
        return [call.parameters["Resource"]]
    kind = next((path for word, path in CLOUDFRONT_RESOURCES.items() if word in action), "distribution")
    name = call.parameters.get("Name") or call.parameters.get("Id") or call.parameters.get("DistributionId", "*")
    return [call.env.arn("cloudfront", f"{kind}/{name}", regional=False)]


def _cloudwatch_arns(call: _CallRequests, action: str) -> list[str]:
    if "ResourceARN" in call.parameters:
        return [call.parameters["ResourceARN"]]
    one = [call.parameters["AlarmName"]] if "AlarmName" in call.parameters else []
    return [call.env.arn("cloudwatch", f"alarm:{name}") for name in one or call.parameters.get("AlarmNames", [])]


def _sns_arns(call: _CallRequests, action: str) -> list[str]:
    arn = call.parameters.get("TopicArn") or call.parameters.get("ResourceArn")
    return [arn or call.env.arn("sns", call.parameters["Name"])]


def _log_arns(call: _CallRequests, action: str) -> list[str]:
    group = call.env.arn("logs", f"log-group:{call.parameters['logGroupName']}")
    stream = call.parameters.get("logStreamName")
    # Messages of AWS name the group of actions on a whole group with an empty stream.
    return [f"{group}:log-stream:{stream}"] if stream else [group, f"{group}:log-stream:"]


def _apprunner_arns(call: _CallRequests, action: str) -> list[str]:
    keys = ["ServiceArn", "ResourceArn", "AutoScalingConfigurationArn", "VpcConnectorArn"]
    keys.append("ObservabilityConfigurationArn")
    kind = next((item for word, item in APPRUNNER_RESOURCES.items() if word in call.operation), "service")
    if kind != "service" or call.operation != "CreateService":
        for key in keys:
            if key in call.parameters:
                return [call.parameters[key]]
    name = next((call.parameters[key] for key in call.parameters if key.endswith("Name")), None)
    revision = "/1" if kind != "service" else ""
    return [call.env.arn("apprunner", f"{kind}/{name}{revision}/0a1b")] if name else []


def _ecs_arns(call: _CallRequests, action: str) -> list[str]:
    for key in ("serviceDeploymentArns", "serviceRevisionArns"):
        for arn in call.parameters.get(key, ()):
            service = arn.rpartition("/")[0].replace(f":{arn.split(':')[5].partition('/')[0]}/", ":service/")
            return [service, *call.parameters[key]]
    name = call.parameters.get("serviceName")
    named = [call.parameters[key] for key in ("serviceArn", "resourceArn", "service") if key in call.parameters]
    return [call.env.arn("ecs", f"service/default/{name}")] if name else named


def _ec2_arns(call: _CallRequests, action: str) -> list[str]:
    group, endpoint = call.env.arn("ec2", "security-group/sg-1"), call.env.arn("ec2", "vpc-endpoint/vpce-1")
    tables = [call.env.arn("ec2", "route-table/rtb-1")]
    if call.operation in {"CreateTags", "DeleteTags"}:
        is_group = all(item.startswith("sg-") for item in call.parameters["Resources"])
        return [group if is_group else endpoint]
    if action == "ec2:CreateTags":
        return [endpoint if call.operation == "CreateVpcEndpoint" else group]
    if call.operation == "CreateVpcEndpoint":
        return [endpoint, call.env.arn("ec2", "vpc/vpc-1"), *tables]
    if call.operation == "CreateSecurityGroup":
        return [group, call.env.arn("ec2", "vpc/vpc-1")]
    return [endpoint, *(tables if call.operation == "ModifyVpcEndpoint" else [])] if "Endpoint" in action else [group]


_ARN_BUILDERS = {
    "apprunner": _apprunner_arns,
    "budgets": _budget_arns,
    "cloudfront": _cloudfront_arns,
    "cloudwatch": _cloudwatch_arns,
    "ec2": _ec2_arns,
    "ecr": _ecr_arns,
    "ecs": _ecs_arns,
    "iam": _iam_arns,
    "logs": _log_arns,
    "rds": _rds_arns,
    "s3": _s3_arns,
    "secretsmanager": _secret_arns,
    "sns": _sns_arns,
}


def _request_tags(parameters: Any) -> dict[str, str]:
    """The tags of a request, wherever the service puts them."""
    tags: dict[str, str] = {}
    for key in TAG_KEYS:
        entries = parameters.get(key) or []
        if isinstance(entries, Mapping):
            entries = entries.get("Items") or [{"Key": name, "Value": value} for name, value in entries.items()]
        for entry in entries:
            pairs = entry.get("Tags", [entry])
            tags |= {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in pairs}
    for key in ("DistributionConfigWithTags", "CreateBucketConfiguration"):
        tags |= _request_tags(parameters[key]) if key in parameters else {}
    return tags
