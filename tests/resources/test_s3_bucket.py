"""What cases cannot say of buckets: whose one is, and how one is emptied."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.aws import AwsError, Reader
from orchestrator.resources import s3_bucket
from orchestrator.steps import execute_steps
from orchestrator.vocabulary import LiveResource
from tests.aws.fake_clients import ScriptedCaller
from tests.resources.cases import SCOPE
from tests.resources.conftest import Aws
from tests.resources.test_cases import BACKENDS

NAME = "shop-prod-files"


def reading(answers: dict[str, Any]) -> LiveResource | None:
    """A bucket read from an AWS that answers operations with these."""

    def answer(service: str, operation: str, parameters: dict[str, Any]) -> Any:
        found = answers.get(operation, {})
        return AwsError(service, operation, found, "no") if isinstance(found, str) else found

    return s3_bucket.read(Reader(ScriptedCaller(answer)), SCOPE, NAME, {})


def test_a_name_that_is_free_is_nothing() -> None:
    """HeadBucket has no body: its code is the status."""
    assert reading({"head_bucket": "404"}) is None


def test_a_name_that_another_account_has_is_not_ours() -> None:
    """S3 says 403, and our own list of buckets does not have it: the name is taken, whoever may read it."""
    live = reading({"head_bucket": "403", "list_buckets": [{"Buckets": [{"Name": "shop-prod-web"}]}]})

    assert live is not None
    assert (live.owner, s3_bucket.stuck(live)) == (
        "another AWS account",
        "Another AWS account owns a bucket of this name. Names are globally unique: choose another `spec.name`.",
    )


def test_a_bucket_of_ours_that_may_not_be_read_is_not_checked() -> None:
    """S3 says 403 for a missing permission too: then the bucket is in our list."""
    with pytest.raises(AwsError, match="403"):
        reading({"head_bucket": "403", "list_buckets": [{"Buckets": [{"Name": NAME}]}]})


def test_a_bucket_in_another_region_says_where() -> None:
    """The name is ours, and stands where the manifests do not want it."""
    live = reading({"head_bucket": {"BucketRegion": "us-east-1"}, "get_bucket_tagging": "NoSuchTagSet"})

    assert live is not None
    assert (live.spec["region"], live.private["region"]) == ("us-east-1", "us-east-1")
    assert live.outputs["domain"] == f"{NAME}.s3.us-east-1.amazonaws.com"


@pytest.mark.both_backends
@pytest.mark.parametrize("running", BACKENDS, indirect=True)
def test_a_bucket_is_emptied_of_all_that_hides_in_it(aws: Aws) -> None:
    """Versions, delete markers and unfinished uploads go; then the bucket."""

    def s3(operation: str, **parameters: Any) -> Any:
        return aws.clients.call("s3", operation, {"Bucket": NAME, **parameters})

    spec = {"region": SCOPE.region, "versioning": True, "tags": {}}
    execute_steps(s3_bucket.create(SCOPE, NAME, spec), aws.actuator.perform)
    for body in (b"one", b"two"):
        s3("put_object", Key="a", Body=body)
    s3("delete_object", Key="a")
    s3("create_multipart_upload", Key="b")
    live = s3_bucket.read(aws.reader(), SCOPE, NAME, spec)
    assert live is not None

    execute_steps(s3_bucket.delete(SCOPE, NAME, live), aws.actuator.perform)

    assert s3_bucket.read(aws.reader(), SCOPE, NAME, spec) is None
