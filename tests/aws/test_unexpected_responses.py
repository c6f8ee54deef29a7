"""What responds in place of AWS, or refuses the request before AWS's service sees it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import urllib3

from orchestrator.aws import AwsError, Clients
from orchestrator.emulator import Emulator, Faults, Rule
from tests.proofs import real_stack

READS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("s3", "list_buckets", {}),
    ("s3", "get_object", {"Bucket": "web", "Key": "index.html"}),
    ("s3", "head_bucket", {"Bucket": "web"}),
    ("iam", "list_roles", {}),
    ("ec2", "describe_vpcs", {}),
    ("ecs", "list_services", {}),
    ("apprunner", "list_services", {}),
    ("cloudfront", "list_distributions", {}),
)
"""One call of each protocol."""


@pytest.fixture
def account() -> Iterator[Emulator]:
    """Provide an empty account."""
    with real_stack.emulated_aws("moto") as running:
        yield running


@pytest.mark.parametrize(("service", "operation", "parameters"), READS)
def test_a_web_page_is_not_an_empty_result(
    account: Emulator, service: str, operation: str, parameters: dict[str, object]
) -> None:
    """The sign-in page of a network has status 200; botocore reads it as a response without members (RFC 8952).

    Its connection is closed before the error is raised: nobody else gets the body of a stream.
    """
    account.faults = Faults(rules=(Rule("html"),))

    with pytest.raises(AwsError, match="a web page") as caught:
        Clients("eu-west-1", attempts=1).call(service, operation, parameters)

    assert caught.value.code == "UnexpectedResponse"
    responses = [item for item in gc.get_objects() if isinstance(item, urllib3.HTTPResponse)]
    assert [item for item in responses if item.headers.get("content-type") == "text/html" and not item.closed] == []


def test_a_web_page_in_a_bucket_is_only_a_file(account: Emulator) -> None:
    """Sites consist of web pages."""
    clients = Clients("eu-west-1", attempts=1)
    clients.call(
        "s3", "create_bucket", {"Bucket": "web", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    )
    page = {"Bucket": "web", "Key": "index.html"}
    clients.call("s3", "put_object", {**page, "Body": b"<html>", "ContentType": "text/html"})

    assert clients.call("s3", "get_object", page)["Body"].read() == b"<html>"
    assert clients.call("s3", "head_object", page)["ContentType"] == "text/html"
