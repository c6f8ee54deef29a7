"""Refuse calls of S3 that expect a bucket to belong to another account than the emulated one.

Amazon S3 API reference, ``x-amz-expected-bucket-owner`` and ``x-amz-source-expected-bucket-owner``: "the request fails
with the HTTP status code 403 Forbidden (access denied)".  A bucket that does not exist has no owner: it stays a 404.
"""

from __future__ import annotations

from urllib.parse import unquote

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Target, parse_params
from orchestrator.emulator.service_base import EmulatorState


def check_bucket_owner(request: Request, target: Target, state: EmulatorState) -> None:
    """Raise AwsError if the request names another owner than the emulated account for a bucket that exists."""
    if target.service != "s3":
        return
    is_foreign = request.header("x-amz-expected-bucket-owner") not in ("", state.account)
    if is_foreign:
        _refuse_existing(str(parse_params(request, target).get("Bucket", "")), state)
    if request.header("x-amz-source-expected-bucket-owner") not in ("", state.account):
        source = unquote(request.header("x-amz-copy-source")).lstrip("/")
        _refuse_existing(source.partition("/")[0], state)


def _refuse_existing(bucket: str, state: EmulatorState) -> None:
    try:
        state.call("s3", "HeadBucket", Bucket=bucket)
    except AwsError:
        return
    raise AwsError("AccessDenied", "Access Denied", 403)
