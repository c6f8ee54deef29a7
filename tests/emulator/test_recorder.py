"""`orchestrator emulator --record`: calls reach AWS, and the recording has every name and no value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from orchestrator.emulator import Emulator
from orchestrator.emulator.recorder import record
from tests.proofs.real_stack import emulated_aws

SECRET = "hunter2-is-private"
ACCOUNT = "123456789012"


@pytest.fixture
def aws() -> Iterator[Emulator]:
    """An emulator in AWS's place."""
    with emulated_aws() as running:
        yield running


@pytest.fixture
def recorded(aws: Emulator, tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    file = tmp_path / "recording.json"
    with record(file, endpoint_for=lambda service, region: aws.url) as variables:
        yield variables, file


def client(service: str, variables: dict[str, str], **changed: str) -> Any:
    keys = {"aws_access_key_id": variables["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "x", **changed}
    return boto3.client(service, region_name="eu-west-1", endpoint_url=variables["AWS_ENDPOINT_URL"], **keys)


def test_answers_are_passed_on_and_recorded_without_values(
    recorded: tuple[dict[str, str], Path], aws: Emulator
) -> None:
    """JSON, XML, objects with a checksum at their end, and errors."""
    variables, file = recorded
    secret = client("secretsmanager", variables).create_secret(Name="private-name", SecretString=SECRET)
    assert client("secretsmanager", variables).get_secret_value(SecretId=secret["ARN"])["SecretString"] == SECRET
    s3 = client("s3", variables)
    s3.create_bucket(Bucket="private-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="private-bucket", Key="private-key", Body=SECRET.encode(), ChecksumAlgorithm="CRC32")
    s3.put_object(Bucket="private-bucket", Key="private-key", Body=SECRET.encode(), Metadata={"private-name": SECRET})
    client("secretsmanager", variables).describe_secret(SecretId=secret["ARN"])
    assert s3.get_object(Bucket="private-bucket", Key="private-key")["Body"].read() == SECRET.encode()
    assert s3.head_object(Bucket="private-bucket", Key="private-key")["ContentLength"] == len(SECRET)
    with pytest.raises(ClientError, match="cannot be found"):
        client("iam", variables).get_role(RoleName="missing")

    text = file.read_text()
    answers = {(item["service"], item["operation"]): item for item in json.loads(text)["answers"]}

    assert [word for word in (SECRET, ACCOUNT, "private-name", "private-bucket", "private-key") if word in text] == []
    assert "SecretString" in answers["secretsmanager", "GetSecretValue"]["members"]
    assert secret["VersionId"] not in text
    assert "VersionIdsToStages{}[]" in answers["secretsmanager", "DescribeSecret"]["members"]
    assert answers["iam", "GetRole"]["code"] == "NoSuchEntity"
    assert answers["iam", "GetRole"]["status"] == 404
    assert {"PutObject", "GetObject", "HeadObject"} <= {operation for _, operation in answers}
    assert len(aws.calls) == sum(item["count"] for item in answers.values())


@pytest.mark.parametrize("key", ["emulator", "recorder-guess", ""])
def test_nobody_without_the_token_uses_the_credentials(
    recorded: tuple[dict[str, str], Path], aws: Emulator, key: str
) -> None:
    """Every process of this machine can reach the port."""
    variables, file = recorded

    with pytest.raises(ClientError) as refused:
        client("sts", variables, aws_access_key_id=key or "none").get_caller_identity()

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert aws.calls == []
    assert not file.exists()


def test_an_aws_that_cannot_be_reached_is_an_answer(tmp_path: Path, aws: Emulator) -> None:
    """The client's own retries then decide."""
    unreachable = record(tmp_path / "r.json", endpoint_for=lambda service, region: "http://127.0.0.1:9")
    with unreachable as variables, pytest.raises(ClientError, match="ServiceUnavailable"):
        client("sts", variables).get_caller_identity()
