"""Somebody else's resources in the account: of each type, named like ours, owned by nobody, by another project or by
another environment of the same project.

Read again afterwards they are as they were, to the byte.  Each of the three owners' names sorts before or after ours,
so that whoever takes the first of a listing, or the last, takes a stranger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.proofs import real_stack

Call = Callable[..., Any]
NAMES = tuple(f"{prefix}-{real_stack.STRANGER}" for prefix in ("aaa", "joiabagur-prod", "zzz"))
OWNERS: tuple[Mapping[str, str], ...] = (
    {"made-by": "hand"},
    {
        "orchestrator:project": "joiabagur",
        "orchestrator:environment": "qa",
        "orchestrator:component": "bucket.files",
        "orchestrator:deletion-policy": "delete",
    },
    {
        "orchestrator:project": "other",
        "orchestrator:environment": "prod",
        "orchestrator:component": "database.main",
        "orchestrator:deletion-policy": "delete",
    },
)
TRUST = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
VOLATILE = frozenset({
    "ResponseMetadata", "LatestRestorableTime", "DBInstanceStatus", "Status", "LastAccessedDate", "ETag", "IsTruncated",
    "Marker", "NextToken", "MaxItems", "Quantity",
})  # fmt: skip
"""Members of responses that change by themselves, or that only frame a listing."""


def call(service: str, operation: str, **parameters: Any) -> Any:
    return real_stack.clients().call(service, operation, parameters)


def populate() -> dict[str, Any]:
    """Create the foreign resources, and return what ``look`` returns of them."""
    for name, tags in zip(NAMES, OWNERS, strict=True):
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        for create in (_create_storage, _create_databases, _create_access, _create_services, _create_delivery):
            create(name, dict(tags), pairs)
    return look()


def _create_storage(name: str, tags: dict[str, str], pairs: list[dict[str, str]]) -> None:
    call("s3", "create_bucket", Bucket=name, CreateBucketConfiguration={"LocationConstraint": real_stack.REGION})
    call("s3", "put_bucket_tagging", Bucket=name, Tagging={"TagSet": pairs})
    call("s3", "put_object", Bucket=name, Key="index.html", Body=b"theirs")
    call("secretsmanager", "create_secret", Name=name, SecretString="theirs", Tags=pairs)
    call("ecr", "create_repository", repositoryName=name, tags=pairs)


def _create_databases(name: str, tags: dict[str, str], pairs: list[dict[str, str]]) -> None:
    subnets = [item["SubnetId"] for item in call("ec2", "describe_subnets")["Subnets"]]
    call(
        "rds", "create_db_subnet_group",
        DBSubnetGroupName=name, DBSubnetGroupDescription=name, SubnetIds=subnets, Tags=pairs,
    )  # fmt: skip
    call(
        "rds", "create_db_parameter_group",
        DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description=name, Tags=pairs,
    )  # fmt: skip
    call(
        "rds", "create_db_instance",
        DBInstanceIdentifier=name, Engine="postgres", EngineVersion="16", DBInstanceClass="db.t3.micro",
        AllocatedStorage=20, MasterUsername="theirs", MasterUserPassword="theirs-and-long", Tags=pairs,
    )  # fmt: skip


def _create_access(name: str, tags: dict[str, str], pairs: list[dict[str, str]]) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    path = f"/orchestrator/{tags.get('orchestrator:project', 'x')}/{tags.get('orchestrator:environment', 'x')}/"
    call("iam", "create_role", RoleName=name, AssumeRolePolicyDocument=trust, Tags=pairs, Path=path)
    call("iam", "put_role_policy", RoleName=name, PolicyName="orchestrator", PolicyDocument=policy)
    call("iam", "create_policy", PolicyName=name, PolicyDocument=policy, Tags=pairs)
    call("ec2", "create_security_group", GroupName=name, Description=name, **_tagged("security-group", pairs))


def _tagged(kind: str, pairs: list[dict[str, str]]) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": pairs}]}


def _create_services(name: str, tags: dict[str, str], pairs: list[dict[str, str]]) -> None:
    topic = call("sns", "create_topic", Name=name, Tags=pairs)["TopicArn"]
    call("sns", "subscribe", TopicArn=topic, Protocol="email", Endpoint="them@example.com")
    call(
        "cloudwatch", "put_metric_alarm",
        AlarmName=name, MetricName="CPUUtilization", Namespace="AWS/RDS", Statistic="Average", Period=60,
        EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold", Tags=pairs,
    )  # fmt: skip
    call("logs", "create_log_group", logGroupName=name, tags=tags)


def _create_delivery(name: str, tags: dict[str, str], pairs: list[dict[str, str]]) -> None:
    signing = {"SigningProtocol": "sigv4", "SigningBehavior": "always", "OriginAccessControlOriginType": "s3"}
    call("cloudfront", "create_origin_access_control", OriginAccessControlConfig={"Name": name, **signing})
    code = {"Comment": name, "Runtime": "cloudfront-js-2.0"}
    body = b"function handler(event) { return event.request; }"
    call("cloudfront", "create_function", Name=name, FunctionConfig=code, FunctionCode=body)


READS: Mapping[str, Callable[[str], Any]] = {
    "bucket tags": lambda name: call("s3", "get_bucket_tagging", Bucket=name),
    "objects": lambda name: call("s3", "list_objects_v2", Bucket=name)["Contents"],
    "secret": lambda name: call("secretsmanager", "describe_secret", SecretId=name),
    "value": lambda name: call("secretsmanager", "get_secret_value", SecretId=name)["SecretString"],
    "repository": lambda name: call("ecr", "describe_repositories", repositoryNames=[name]),
    "subnet group": lambda name: call("rds", "describe_db_subnet_groups", DBSubnetGroupName=name),
    "parameter group": lambda name: call("rds", "describe_db_parameter_groups", DBParameterGroupName=name),
    "database": lambda name: call("rds", "describe_db_instances", DBInstanceIdentifier=name),
    "role": lambda name: call("iam", "get_role", RoleName=name)["Role"],
    "role policy": lambda name: call("iam", "get_role_policy", RoleName=name, PolicyName="orchestrator"),
    "policy": lambda name: select(call("iam", "list_policies", Scope="Local")["Policies"], name),
    "security group": lambda name: call(
        "ec2", "describe_security_groups", Filters=[{"Name": "group-name", "Values": [name]}]
    ),
    "topic": lambda name: call(
        "sns", "get_topic_attributes", TopicArn=f"arn:aws:sns:{real_stack.REGION}:123456789012:{name}"
    ),
    "alarm": lambda name: call("cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"],
    "log group": lambda name: call("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"],
    "access control": lambda name: select(
        call("cloudfront", "list_origin_access_controls")["OriginAccessControlList"]["Items"], name
    ),
    "function": lambda name: call("cloudfront", "describe_function", Name=name, Stage="DEVELOPMENT")["FunctionSummary"],
}


def select(items: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [item for item in items if name in str(item)]


def look() -> dict[str, Any]:
    """Return everything that AWS says of the foreign resources; each has to be there."""
    seen = {f"{kind} {name}": _stable(read(name)) for kind, read in READS.items() for name in NAMES}
    missing = [key for key, value in seen.items() if not value]
    assert missing == [], "foreign resources are gone"
    return seen


def _stable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _stable(item) for key, item in sorted(value.items()) if key not in VOLATILE}
    if isinstance(value, list | tuple):
        return [_stable(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else repr(value)


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happened to the foreign resources."""
    for key, value in before.items():
        if value != after[key]:
            yield f"{key}: was {value}, is {after[key]}"
