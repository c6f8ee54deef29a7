"""Turn a call into the requests that IAM judges: actions, ARNs and the values of condition keys.

A call that names no resource is judged on the wildcard of the resource types that AWS's service authorization reference
gives for the action: that is what AWS does, e.g. with ecr:DescribeRepositories ("not authorized ... on resource:
arn:aws:ecr:us-east-1:123456789012:repository/*").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.authorization import service_reference
from orchestrator.emulator.authorization.operation_actions import (
    APP_RUNNER_PRINCIPALS,
    CREATED_WITHOUT_RESOURCE,
    SERVICE_LINKED_ROLES,
    TAGGING_ACTIONS,
    list_actions,
)
from orchestrator.emulator.authorization.resource_arns import AccountFacts, find_arns
from orchestrator.emulator.policy_evaluation import PolicyRequest as Request

_TAG_KEYS = ("Tags", "tags", "TagList", "ResourceTags", "TagSpecifications")
Context = dict[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class CallRequests:
    """What IAM is asked for one call of an account."""

    account: AccountFacts
    service: str
    operation: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return ``service:Operation``."""
        return f"{self.service}:{self.operation}"

    def iter_all(self) -> Iterator[Request]:
        """Yield the requests of the call itself, and of what AWS does for it on the caller's behalf."""
        for action in list_actions(self.service, self.operation, self.parameters):
            yield from self._iter_action(action)
        if self.name in TAGGING_ACTIONS and _request_tags(self.parameters):
            yield from self._iter_action(TAGGING_ACTIONS[self.name])
        if self.name in SERVICE_LINKED_ROLES:
            principal, _, role = SERVICE_LINKED_ROLES[self.name].partition("/")
            arn = self.account.arn("iam", f"role/aws-service-role/{principal}/{role}", regional=False)
            yield Request("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": principal})
        dependent = getattr(self, f"_iter_{self.service}", None)
        yield from dependent() if dependent else ()

    def _iter_action(self, action: str) -> Iterator[Request]:
        arns = self._list_arns(action)
        for arn in arns or service_reference.wildcard_arns(action, self.account.account, self.account.region):
            yield Request(action, arn, self._context(action, arn))

    def _list_arns(self, action: str) -> list[str]:
        """Return the ARNs that the call names; [] if it names none."""
        if action in CREATED_WITHOUT_RESOURCE:
            resource = CREATED_WITHOUT_RESOURCE[action].format(
                **{key: self.parameters[key] for key in ("Name",) if key in self.parameters}
            )
            return ["*", self.account.arn("cloudfront", resource, regional=False)]
        return find_arns(self, action) if service_reference.resource_types(action) else []

    def _context(self, action: str, arn: str) -> Context:
        is_creation = self.operation.startswith("Create") and self.operation not in {"CreateInvalidation", "CreateTags"}
        context: Context = {f"aws:RequestTag/{key}": value for key, value in _request_tags(self.parameters).items()}
        if not is_creation:
            tags = self.account.resource_tags(arn, self.parameters)
            context |= {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        if action in {"ec2:CreateTags", "ec2:DeleteTags"}:
            context = self._tagging_context(context, is_creation=is_creation)
        if action.startswith("iam:") and ":role/" in arn:
            context |= self._role_context()
        return context

    def _tagging_context(self, context: Context, *, is_creation: bool) -> Context:
        if is_creation:
            return {**context, "ec2:CreateAction": self.operation}
        if self.operation == "DeleteTags":
            context = {key: value for key, value in context.items() if "RequestTag" not in key}
        return {**context, "aws:TagKeys": tuple(tag["Key"] for tag in self.parameters["Tags"])}

    def _role_context(self) -> Context:
        name = self.parameters.get("RoleName", "")
        current = "" if self.operation == "CreateRole" else self.account.role_boundary(name)
        boundary = self.parameters.get("PermissionsBoundary", current)
        context: Context = {"iam:PermissionsBoundary": boundary} if boundary else {}
        return {
            **context,
            **({"iam:PolicyARN": self.parameters["PolicyArn"]} if "PolicyArn" in self.parameters else {}),
            **({"iam:AWSServiceName": principal} if (principal := self.parameters.get("AWSServiceName")) else {}),
        }

    def _iter_pass_role(self, role: str | None, *principals: str) -> Iterator[Request]:
        for principal in principals if role else ():
            yield Request("iam:PassRole", str(role), {"iam:PassedToService": principal} if principal else {})

    def _iter_key(self, key: str | None, *actions: str, service: str | None = None) -> Iterator[Request]:
        """Yield the requests that AWS makes on the caller's behalf for a key, or for the key behind an alias."""
        context = {"kms:ViaService": f"{service or self.service}.{self.account.region}.amazonaws.com"}
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
        task_definition = self.account.arn("ecs", f"task-definition/default-{name}:1")
        yield Request("ecs:RegisterTaskDefinition", task_definition)
        if self.operation == "CreateExpressGatewayService":
            cluster = self.account.arn("ecs", "cluster/default")
            yield Request("ecs:CreateCluster", cluster)
            yield from (Request("ecs:TagResource", arn) for arn in (cluster, task_definition))

    def _iter_rds(self) -> Iterator[Request]:
        database = self.parameters.get("DBInstanceIdentifier", "")
        if self.operation in {"CreateDBInstance", "ModifyDBInstance"}:
            yield from self._iter_pass_role(self.parameters.get("MonitoringRoleArn"), "monitoring.rds.amazonaws.com")
            key = self.parameters.get("KmsKeyId")
            yield from self._iter_key(key, "CreateGrant", "DescribeKey", "Decrypt", "GenerateDataKey")
        if self.parameters.get("ManageMasterUserPassword"):
            secret = self.account.arn("secretsmanager", "secret:rds!db-0f3c-a1B2c3")
            yield from (Request(f"secretsmanager:{action}", secret) for action in ("CreateSecret", "TagResource"))
            yield Request("kms:DescribeKey", self.account.arn("kms", "key/aws-managed"))
        if snapshot := self.parameters.get("FinalDBSnapshotIdentifier"):
            arn = self.account.arn("rds", f"snapshot:{snapshot}")
            yield from (
                Request("rds:CreateDBSnapshot", item) for item in (arn, self.account.arn("rds", f"db:{database}"))
            )
            yield Request("rds:AddTagsToResource", arn)
        if self.operation == "CreateDBSnapshot":
            name = self.parameters.get("DBSnapshotIdentifier", f"{database}-before")  # of a plan: chosen while applying
            arn = self.account.arn("rds", f"snapshot:{name}")
            yield from (Request(f"rds:{action}", arn) for action in ("CreateDBSnapshot", "AddTagsToResource"))

    def _iter_s3(self) -> Iterator[Request]:
        key = self.account.key_of(self.service, self.parameters.get("Bucket", ""))
        if self.operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
            yield from self._iter_key(key, "GenerateDataKey")
        if self.operation in {"GetObject", "HeadObject", "CopyObject", "UploadPart"}:
            yield from self._iter_key(key, "Decrypt")

    def _iter_secretsmanager(self) -> Iterator[Request]:
        name = str(self.parameters.get("Name") or self.parameters.get("SecretId", "")).rpartition(":")[2]
        key = self.parameters.get("KmsKeyId") or self.account.key_of(self.service, name)
        if self.operation in {"CreateSecret", "PutSecretValue", "UpdateSecret"}:
            yield from self._iter_key(key, "GenerateDataKey", "Decrypt")
        if self.operation == "GetSecretValue":
            yield from self._iter_key(key, "Decrypt")


def _request_tags(parameters: Any) -> dict[str, str]:
    """Return the tags of a request, wherever the service puts them."""
    tags: dict[str, str] = {}
    for key in _TAG_KEYS:
        entries = parameters.get(key) or []
        if isinstance(entries, Mapping):
            entries = entries.get("Items") or [{"Key": name, "Value": value} for name, value in entries.items()]
        for entry in entries:
            pairs = entry.get("Tags", [entry])
            tags |= {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in pairs}
    for key in ("DistributionConfigWithTags", "CreateBucketConfiguration"):
        tags |= _request_tags(parameters[key]) if key in parameters else {}
    return tags
