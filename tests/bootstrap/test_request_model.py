"""The model of what IAM is asked: never nothing, and on a wildcard where a call names no resource."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bootstrap.iam_requests import Environment

EU = "eu-west-1:123456789012"


def arns(service: str, operation: str, **parameters: Any) -> list[str]:
    return [str(request) for request in Environment().iter_requests([(service, operation, parameters)])]


@pytest.mark.parametrize(
    ("service", "operation", "wildcard"),
    [
        ("ecr", "DescribeRepositories", f"arn:aws:ecr:{EU}:repository/*"),
        ("rds", "DescribeDBSubnetGroups", f"arn:aws:rds:{EU}:subgrp:*"),
        ("rds", "DescribeDBInstances", f"arn:aws:rds:{EU}:db:*"),
        ("cloudwatch", "DescribeAlarms", f"arn:aws:cloudwatch:{EU}:alarm:*"),
        ("ec2", "DescribeSecurityGroups", "*"),
        ("cloudfront", "ListDistributions", "*"),
    ],
)
def test_a_call_without_a_resource_is_judged_on_the_wildcard(service: str, operation: str, wildcard: str) -> None:
    """AWS: "not authorized to perform: ecr:DescribeRepositories on resource: arn:aws:ecr:us-east-1:...:repository/*".

    Of rds:DescribeDBSubnetGroups, LeanerCloud/CUDly#1698 reports the same.
    """
    assert arns(service, operation) == [f"{service}:{operation} on {wildcard}"]


def test_a_call_with_a_resource_is_judged_on_it() -> None:
    assert arns("ecr", "DescribeRepositories", repositoryNames=["shop-api"]) == [
        f"ecr:DescribeRepositories on arn:aws:ecr:{EU}:repository/shop-api"
    ]


def test_a_role_that_does_not_exist_has_no_path() -> None:
    """Messages say "not authorized to perform: iam:GetRole on resource: role NAME"."""
    found = arns("iam", "GetRole", RoleName="x")

    assert found == [
        "iam:GetRole on arn:aws:iam::123456789012:role/orchestrator/joiabagur/prod/x",
        "iam:GetRole on arn:aws:iam::123456789012:role/x",
    ]


def test_an_unknown_operation_fails() -> None:
    with pytest.raises(LookupError):
        arns("ecr", "DescribeNothing")
