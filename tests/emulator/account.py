"""What tests of the emulator do to an emulated account: clients, waits, a role, a service, a database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from orchestrator.emulator import Emulator

Client = Any  # boto3's clients have no types of their own
Clients = Callable[..., Client]
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api@sha256:" + "a" * 64
_NO_RETRIES = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)


def make_client(emulator: Emulator, service: str, region: str = "eu-west-1", config: Config = _NO_RETRIES) -> Client:
    """A boto3 client of an emulator that does not retry and checks every answer against the service model."""
    client = boto3.client(
        service,
        endpoint_url=emulator.url,
        region_name=region,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
        config=config,
    )
    client.meta.events.register("after-call", _check_response)
    return client


def _check_response(model: Any, parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
    """Every member the model requires of an answer is in it.  Items of a Quantity of 0 AWS itself leaves out."""
    if http_response.status_code < 300 and model.output_shape is not None:
        missing = list(_iter_missing_members(model.output_shape, parsed, model.name))
        assert missing == []


def _iter_missing_members(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        optional = {"Items"} if value.get("Quantity") == 0 else set()
        yield from (f"{path}.{name}" for name in shape.required_members if name not in {*value, *optional})
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _iter_missing_members(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _iter_missing_members(shape.member, item, f"{path}[{index}]")


class Account:
    """A few things most tests need to be there."""

    def __init__(self, aws: Clients) -> None:
        self.aws = aws

    def create_role(self, name: str, principal: str) -> str:
        """The ARN of a new role that trusts an App Runner principal, or a service such as ``ecs.amazonaws.com``."""
        service = principal if principal.endswith(".com") else f"{principal}.apprunner.amazonaws.com"
        trust = {"Effect": "Allow", "Principal": {"Service": service}}
        policy = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        response = self.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
        return str(response["Role"]["Arn"])

    def list_subnets(self) -> list[str]:
        """The default VPC's subnets."""
        return [subnet["SubnetId"] for subnet in self.aws("ec2").describe_subnets()["Subnets"]]

    def create_service(self, name: str = "api-prod", **changed: Any) -> str:
        """The ARN of a new App Runner service, settled."""
        settings: dict[str, Any] = {
            "SourceConfiguration": image_source(IMAGE, self.create_role(f"{name}-access", "build")),
            "InstanceConfiguration": {"InstanceRoleArn": self.create_role(f"{name}-instance", "tasks")},
            **changed,
        }
        arn = str(self.aws("apprunner").create_service(ServiceName=name, **settings)["Service"]["ServiceArn"])
        self.wait_for_service(arn)
        return arn

    def wait_for_service(self, arn: str) -> dict[str, Any]:
        """The service, once no operation is in progress."""
        client = self.aws("apprunner")
        described: dict[str, Any] = wait_until(
            lambda: client.describe_service(ServiceArn=arn)["Service"],
            lambda service: service["Status"] != "OPERATION_IN_PROGRESS",
        )
        return described

    def express_request(self, name: str = "api-prod", **changed: Any) -> dict[str, Any]:
        """What CreateExpressGatewayService is asked for: two new roles, and the image."""
        return {
            "serviceName": name,
            "infrastructureRoleArn": self.create_role(f"{name}-infrastructure", "ecs.amazonaws.com"),
            "executionRoleArn": self.create_role(f"{name}-execution", "ecs-tasks.amazonaws.com"),
            "primaryContainer": {"image": IMAGE},
            **changed,
        }

    def create_express_service(self, name: str = "api-prod", **changed: Any) -> str:
        """The ARN of a new Express service of ECS, its deployment over."""
        created = self.aws("ecs").create_express_gateway_service(**self.express_request(name, **changed))["service"]
        self.wait_for_express_service(created["serviceArn"])
        return str(created["serviceArn"])

    def wait_for_express_service(self, arn: str, status: str = "ACTIVE") -> dict[str, Any]:
        """The Express service, once it has a status and no deployment is under way."""
        client = self.aws("ecs")
        described: dict[str, Any] = wait_until(
            lambda: client.describe_express_gateway_service(serviceArn=arn, include=["TAGS"])["service"],
            lambda service: service["status"]["statusCode"] == status and "currentDeployment" not in service,
        )
        return described

    def create_instance(self, name: str = "main", **changed: Any) -> dict[str, Any]:
        """A new DB instance, available."""
        settings: dict[str, Any] = {
            "DBInstanceIdentifier": name,
            "Engine": "postgres",
            "EngineVersion": "16",
            "DBInstanceClass": "db.t3.micro",
            "AllocatedStorage": 20,
            "StorageType": "gp2",
            "MasterUsername": "joiabagur",
            "MasterUserPassword": "correct-horse-battery",
            "BackupRetentionPeriod": 7,
            "PreferredBackupWindow": "03:00-04:00",
            "PreferredMaintenanceWindow": "sun:04:30-sun:05:30",
            **changed,
        }
        self.aws("rds").create_db_instance(**settings)
        return self.wait_for_instance(name)

    def wait_for_instance(self, name: str = "main") -> dict[str, Any]:
        """The instance, once it is available with nothing pending."""
        client = self.aws("rds")
        described: dict[str, Any] = wait_until(
            lambda: client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0],
            lambda instance: instance["DBInstanceStatus"] == "available" and not instance["PendingModifiedValues"],
        )
        return described


def image_source(image: str, access_role: str) -> dict[str, Any]:
    """An App Runner source that runs an image of the account's registry."""
    return {
        "ImageRepository": {"ImageIdentifier": image, "ImageRepositoryType": "ECR"},
        "AuthenticationConfiguration": {"AccessRoleArn": access_role},
        "AutoDeploymentsEnabled": False,
    }


def wait_until(read: Callable[[], Any], is_done: Callable[[Any], bool], timeout_seconds: float = 5.0) -> Any:
    """Read until done; AssertionError when that does not come."""
    deadline = time.monotonic() + timeout_seconds
    while not is_done(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.01)
    return value


def error_code(call: Callable[..., Any], **params: Any) -> str:
    """The error code a call is refused with."""
    with pytest.raises(ClientError) as raised:
        call(**params)
    return str(raised.value.response["Error"]["Code"])
