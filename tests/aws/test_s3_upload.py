"""Files to S3: signed as botocore signs, kept whole, and by botocore's way where the short one fails."""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.aws import AwsError, Clients
from orchestrator.aws.sigv4 import SigningScope, sign_headers
from orchestrator.emulator import Emulator, Faults, start
from orchestrator.emulator.faults import Rule

NOON = 1_790_000_000.0
VISIBLE = string.ascii_letters + string.digits + "-_.~=/+;, "
LARGE = b"0123456789abcdef" * 100_000
"""More than is sent in one piece."""


@given(
    path=st.text(string.ascii_letters + string.digits + "-_.~/", max_size=30),
    value=st.text(VISIBLE, min_size=1, max_size=40),
    token=st.none() | st.text(string.ascii_letters, min_size=1, max_size=20),
    secret=st.text(string.ascii_letters + "/+", min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_requests_are_signed_as_botocore_signs_them(path: str, value: str, token: str | None, secret: str) -> None:
    """Any path, header, key and token; botocore is given the time that we used."""
    credentials = ReadOnlyCredentials("AKID", secret, token)
    body = hashlib.sha256(b"x").hexdigest()
    given_headers = {"host": "b.s3.eu-west-1.amazonaws.com", "x-amz-content-sha256": body, "cache-control": value}
    ours = sign_headers("PUT", f"/{path}", given_headers, credentials, SigningScope("eu-west-1", "s3"), NOON)

    unsigned = {name: value for name, value in ours.items() if name != "authorization"}
    request = AWSRequest("PUT", f"https://b.s3.eu-west-1.amazonaws.com/{path}", headers=unsigned, data=b"x")
    request.context["timestamp"] = ours["x-amz-date"]
    theirs = S3SigV4Auth(credentials, "s3", "eu-west-1")
    expected = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)

    assert ours["authorization"].endswith(f"Signature={expected}")


EU = {"LocationConstraint": "eu-west-1"}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with start() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Empty, but for a bucket."""
    running.faults = Faults()
    running.reset()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    Clients("eu-west-1").call("s3", "create_bucket", {"Bucket": "web", "CreateBucketConfiguration": EU})
    return running


def upload(clients: Clients, key: str, file: Path, **more: str) -> None:
    checksum = base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()
    given = {"Bucket": "web", "Key": key, "Body": file, "ChecksumSHA256": checksum, "ContentType": "text/css", **more}
    clients.call("s3", "put_object", given)


@pytest.mark.parametrize("size", [0, 1, 1000, len(LARGE)])
@pytest.mark.parametrize("key", ["a.css", "with space/ü+~'(1)&=%.css"])
def test_what_is_uploaded_is_what_the_file_holds(emulator: Emulator, tmp_path: Path, size: int, key: str) -> None:
    """By both ways: the first upload is botocore's, the second ours."""
    file = tmp_path / "file"
    file.write_bytes(LARGE[:size])
    clients = Clients("eu-west-1")
    for _ in range(2):
        upload(clients, key, file, CacheControl="no-cache")

        found = clients.call("s3", "get_object", {"Bucket": "web", "Key": key})
        assert found["Body"].read() == LARGE[:size]
        assert (found["ContentType"], found["CacheControl"]) == ("text/css", "no-cache")


@pytest.mark.parametrize("kind", ["error", "throttle", "reset", "reset_after"])
def test_a_failure_on_the_way_is_made_good(emulator: Emulator, tmp_path: Path, kind: Any) -> None:
    (tmp_path / "file").write_bytes(b"new")
    clients = Clients("eu-west-1")
    upload(clients, "first", tmp_path / "file")
    emulator.faults = Faults(rules=(Rule(kind, "s3", "PutObject", limit=1, status=503),))
    upload(clients, f"second-{kind}", tmp_path / "file")
    emulator.faults = Faults()

    assert clients.call("s3", "get_object", {"Bucket": "web", "Key": f"second-{kind}"})["Body"].read() == b"new"


def test_a_file_that_changed_meanwhile_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    """S3 checks the bytes against the checksum."""
    file = tmp_path / "file"
    file.write_bytes(b"as it was")
    clients = Clients("eu-west-1")
    upload(clients, "first", file)
    wrong = {"Bucket": "web", "Key": "k", "Body": file, "ChecksumSHA256": base64.b64encode(b"0" * 32).decode()}
    with pytest.raises(AwsError) as refused:
        clients.call("s3", "put_object", wrong)

    assert refused.value.action == "s3:PutObject"


def test_what_is_there_is_not_written_again(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one")
    clients = Clients("eu-west-1")
    upload(clients, "once", tmp_path / "file")
    for number in range(2):
        emulator.clear_calls()
        with pytest.raises(AwsError) as refused:
            upload(clients, "once", tmp_path / "file", IfNoneMatch="*")

        assert refused.value.code == "PreconditionFailed"
        assert len(emulator.calls) == 1, number


def test_a_bucket_that_is_not_there_is_told_as_aws_tells_it(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(AwsError) as refused:
        upload(Clients("eu-west-1", attempts=1), "k", tmp_path / "file", Bucket="nowhere")

    assert refused.value.code == "NoSuchBucket"
