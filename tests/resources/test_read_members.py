"""What a read takes from a response, with values that no emulated account has: inactive, encrypted, of another account.

The responses have the members of botocore's models, as each service's API Reference documents them.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.resources import _existing, apprunner_autoscaling, ecr_repository, s3_bucket
from orchestrator.vocabulary import LiveResource
from tests.aws.fake_clients import ScriptedCaller
from tests.resources.cases import SCOPE

NAME = "shop-prod-main"
SCALING_ARN = f"arn:aws:apprunner:eu-west-1:123456789012:autoscalingconfiguration/{NAME}"
OURS = {"orchestrator:project": "shop", "orchestrator:environment": "prod"}


def reader(answers: dict[str, Any]) -> Reader:
    return Reader(ScriptedCaller(lambda _, operation, __: answers[operation]))


def revision(number: int, **members: Any) -> dict[str, Any]:
    arn = f"{SCALING_ARN}/{number}/abc"
    named = {"AutoScalingConfigurationName": NAME, "AutoScalingConfigurationArn": arn}
    return {**named, "AutoScalingConfigurationRevision": number, **members}


@pytest.mark.parametrize(
    ("statuses", "found"),
    [(["active"], 1), (["ACTIVE", "active"], 2), (["active", "INACTIVE"], 1), (["inactive"], 0), ([None], 1)],
)
def test_a_revision_that_was_deleted_is_none(statuses: list[str | None], found: int) -> None:
    """App Runner lists deleted revisions as inactive, in either case (CreateAutoScalingConfiguration, Status)."""
    members = [{"Status": status} if status else {} for status in statuses]
    listed = [revision(number, **status) for number, status in enumerate(members, start=1)]
    described = {"MinSize": 1, "MaxSize": 2, "MaxConcurrency": 3}
    answers = {
        "list_auto_scaling_configurations": [{"AutoScalingConfigurationSummaryList": listed}],
        "describe_auto_scaling_configuration": {"AutoScalingConfiguration": {**described, "Status": "active"}},
        "list_tags_for_resource": [{"Tags": [{"Key": key, "Value": value} for key, value in OURS.items()]}],
    }
    live = apprunner_autoscaling.read(reader(answers), SCOPE, NAME, {})
    gone = {**answers, "describe_auto_scaling_configuration": {"AutoScalingConfiguration": {"Status": "INACTIVE"}}}

    assert (live.outputs["arn"] if live else "") == (f"{SCALING_ARN}/{found}/abc" if found else "")
    assert apprunner_autoscaling.read(reader(gone), SCOPE, NAME, {}) is None


@pytest.mark.parametrize(
    ("configuration", "encryption"),
    [
        ({}, {"type": "AES256", "key": None}),
        ({"encryptionType": "KMS", "kmsKey": "arn:aws:kms:x"}, {"type": "KMS", "key": "arn:aws:kms:x"}),
    ],
)
def test_the_key_of_a_repository_is_read(configuration: dict[str, str], encryption: dict[str, Any]) -> None:
    arn = f"arn:aws:ecr:eu-west-1:123456789012:repository/{NAME}"
    repository = {"repositoryName": NAME, "repositoryArn": arn, "repositoryUri": "x", "repositoryId": "1"}
    answers = {
        "describe_repositories": [{"repositories": [{**repository, "encryptionConfiguration": configuration}]}],
        "list_tags_for_resource": [{"tags": []}],
    }
    live = ecr_repository.read(reader(answers), SCOPE, NAME, {})

    assert live is not None
    assert live.spec["encryption"] == encryption


def test_the_tags_of_a_bucket_are_its_own_where_no_listing_has_them() -> None:
    """The tagging API lags: GetBucketTagging tells whose a new bucket is."""
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    answers = {
        "list_buckets": [{"Buckets": [{"Name": NAME, "BucketRegion": "eu-west-1"}]}],
        "get_bucket_tagging": {"TagSet": tags},
    }
    live = s3_bucket.read(reader(answers), SCOPE, NAME, {})

    assert live is not None
    assert (live.owner, live.spec["tags"]) == ("shop/prod", OURS)


@pytest.mark.parametrize(("owner", "said"), [("other/prod", "belongs to other/prod"), (None, "is not managed by")])
def test_what_is_not_ours_is_said_with_what_to_do(owner: str | None, said: str) -> None:
    with pytest.raises(Problems, match=f"{NAME} already exists and {said}") as raised:
        _existing.check_owner(SCOPE, NAME, LiveResource({}, owner=owner))

    assert raised.value.problems[0].hint == "it was created after the plan: plan again"
