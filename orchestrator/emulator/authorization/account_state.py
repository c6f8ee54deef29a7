"""Look up in the emulated account what IAM knows besides the parameters of a call."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import jmespath

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.service_base import EmulatorState
from orchestrator.emulator.services.tagging import Tagging

_TAG_SOURCES = frozenset(
    {"apprunner", "cloudfront", "cloudwatch", "ec2", "ecr", "ecs", "logs", "rds", "s3", "secretsmanager", "sns"}
)
_CLOUDFRONT_REGION = "us-east-1"
_KEY_SOURCES = {
    "s3": (
        "GetBucketEncryption",
        "Bucket",
        "ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.KMSMasterKeyID",
    ),
    "secretsmanager": ("DescribeSecret", "SecretId", "KmsKeyId"),
}
"""Where a bucket or secret says its key: the operation, its parameter, and the path in the response."""


class AccountState:
    """The facts of one emulated account; implements AccountFacts.

    ``tag_services``: the services whose tags are asked for, which takes a while.
    """

    def __init__(self, state: EmulatorState, region: str, tag_services: Container[str]) -> None:
        self._state = state
        self._tag_services = tag_services
        self.region = region

    @property
    def account(self) -> str:
        """Return the account's ID."""
        return self._state.account

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return an ARN of the account."""
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def role_arns(self, name: str, action: str) -> list[str]:
        """Return a role's ARN; IAM cannot know the path of a role that does not exist."""
        role = self._read_role(name)
        return [str(role["Arn"]) if role else self.arn("iam", f"role/{name}", regional=False)]

    def role_boundary(self, name: str) -> str:
        """Return the ARN of a role's permissions boundary, or ""."""
        return str((self._read_role(name) or {}).get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))

    def secret_arns(self, name: str) -> list[str]:
        """Return a secret's ARN; for one that does not exist, both forms that messages of AWS name."""
        try:
            return [self._state.call("secretsmanager", "DescribeSecret", self.region, SecretId=name)["ARN"]]
        except AwsError:
            return [self.arn("secretsmanager", f"secret:{item}") for item in (name, f"{name}-a1B2c3")]

    def resource_tags(self, arn: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the tags of a resource; {} if it has none."""
        service = "" if arn == "*" else arn.split(":")[2]
        tagging = self._state.find_service("resourcegroupstaggingapi")
        if service not in _TAG_SOURCES or service not in self._tag_services or not isinstance(tagging, Tagging):
            return {}
        with self._state.lock:
            return tagging.tags_of(arn, _CLOUDFRONT_REGION if service == "cloudfront" else self.region)

    def key_of(self, service: str, name: str) -> str | None:
        """Return the KMS key of the bucket or secret of a name, or None if AWS's own key encrypts it."""
        operation, parameter, path = _KEY_SOURCES[service]
        try:
            response = self._state.call(service, operation, self.region, **{parameter: name})
        except AwsError:
            return None
        key = jmespath.search(path, response)
        return str(key) if key else None

    def _read_role(self, name: str) -> Mapping[str, Any] | None:
        try:
            role: Mapping[str, Any] = self._state.call("iam", "GetRole", RoleName=name)["Role"]
        except AwsError:
            return None
        return role
