"""What cases cannot say of distributions: what an update keeps, how one is found, and a deletion killed half-way."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.aws import StepFailedError
from orchestrator.resources import cloudfront_distribution as distributions
from orchestrator.steps import ApiCall, Step, Steps, execute_steps
from orchestrator.vocabulary import LiveResource
from tests.resources.cases import SCOPE, load_all
from tests.resources.conftest import Aws
from tests.resources.test_cases import BACKENDS

NAME = "shop-prod-main"
SPEC = next(case.spec for case in load_all() if case.type == "cloudfront_distribution" and case.emulated)

pytestmark = [pytest.mark.both_backends, pytest.mark.parametrize("running", BACKENDS, indirect=True)]


def do(aws: Aws, steps: Steps) -> Any:
    return execute_steps(steps, aws.actuator.perform)


def read(aws: Aws, spec: Any = SPEC) -> LiveResource:
    live = distributions.read(aws.reader(), SCOPE, NAME, spec)
    assert live is not None
    return live


def config(aws: Aws) -> tuple[dict[str, Any], dict[str, str]]:
    """The live configuration, and what names its version."""
    key = {"Id": read(aws).private["id"]}
    answer = aws.clients.call("cloudfront", "get_distribution_config", key)
    return answer["DistributionConfig"], {**key, "IfMatch": answer["ETag"]}


def test_an_update_keeps_what_others_have_set(aws: Aws) -> None:
    """Error pages, headers for the origin and a firewall are of no interest to the manifest, and stay."""
    do(aws, distributions.create(SCOPE, NAME, SPEC))
    live, version = config(aws)
    live["CustomErrorResponses"] = {"Quantity": 1, "Items": [{"ErrorCode": 503, "ErrorCachingMinTTL": 5}]}
    live["Origins"]["Items"][0]["CustomHeaders"] = {
        "Quantity": 1,
        "Items": [{"HeaderName": "X-Key", "HeaderValue": "v"}],
    }
    aws.clients.call("cloudfront", "update_distribution", {**version, "DistributionConfig": live})

    do(aws, distributions.update(SCOPE, NAME, {**SPEC, "ipv6": True}, read(aws), frozenset({"ipv6"})))

    found, _ = config(aws)
    assert found["IsIPV6Enabled"] is True
    assert found["CustomErrorResponses"]["Items"][0]["ErrorCode"] == 503
    assert found["Origins"]["Items"][0]["CustomHeaders"]["Items"][0]["HeaderName"] == "X-Key"


def test_a_change_between_read_and_write_is_read_again(aws: Aws) -> None:
    """PreconditionFailed: the ETag is not the current one (CloudFront API Reference, UpdateDistribution)."""
    do(aws, distributions.create(SCOPE, NAME, SPEC))
    live = read(aws)

    def perform(step: Step) -> Any:
        if isinstance(step, ApiCall) and step.operation == "update_distribution":
            current, version = config(aws)
            changed = {**version, "DistributionConfig": {**current, "PriceClass": "PriceClass_200"}}
            aws.clients.call("cloudfront", "update_distribution", changed)
        return aws.actuator.perform(step)

    execute_steps(distributions.update(SCOPE, NAME, {**SPEC, "ipv6": True}, live, frozenset({"ipv6"})), perform)

    found, _ = config(aws)
    assert found["IsIPV6Enabled"] is True
    assert found["PriceClass"] == SPEC.get("price_class", "PriceClass_200")
    stale = {"Id": live.private["id"], "IfMatch": live.private["etag"], "DistributionConfig": found}
    with pytest.raises(StepFailedError, match="PreconditionFailed"):
        aws.actuator.perform(ApiCall("cloudfront", "update_distribution", stale))


def test_a_path_that_the_manifest_drops_goes_with_its_origin(aws: Aws) -> None:
    """What a manifest takes back is not left behind."""
    path = {**SPEC["default_behaviour"], "origin": "containerservice.old"}
    origin = {"domain": "old.example.com", "path": "", "access_control": None}
    before = {
        **SPEC,
        "origins": {**SPEC["origins"], "containerservice.old": origin},
        "behaviours": {"/old/*": path},
        "order": ["/old/*"],
    }
    do(aws, distributions.create(SCOPE, NAME, before))

    do(aws, distributions.update(SCOPE, NAME, SPEC, read(aws), frozenset({"order"})))

    found = read(aws).spec
    assert (found["order"], list(found["origins"])) == ([], ["containerservice.api"])


def test_it_is_found_for_pruning_by_what_it_says_itself(aws: Aws) -> None:
    """Without any manifest: name, owner and component come from its comment and tags."""
    do(aws, distributions.create(SCOPE, NAME, SPEC))

    assert list(distributions.discover(aws.reader(), SCOPE)) == [NAME]
    live = read(aws, {})
    assert (live.owner, live.component) == ("shop/prod", "cdn.main")


def test_a_deletion_killed_after_disabling_goes_on(aws: Aws) -> None:
    """The next run finds it disabled, and deletes it."""
    do(aws, distributions.create(SCOPE, NAME, SPEC))
    steps = distributions.delete(SCOPE, NAME, read(aws))
    aws.actuator.perform(next(steps))
    steps.close()
    assert read(aws).spec["enabled"] is False

    do(aws, distributions.delete(SCOPE, NAME, read(aws)))

    assert distributions.read(aws.reader(), SCOPE, NAME, SPEC) is None


def test_a_change_meanwhile_stops_a_deletion(aws: Aws) -> None:
    """What was read is deleted, or nothing."""
    do(aws, distributions.create(SCOPE, NAME, SPEC))
    seen = read(aws)
    live, version = config(aws)
    aws.clients.call("cloudfront", "update_distribution", {**version, "DistributionConfig": {**live, "WebACLId": "x"}})

    with pytest.raises(StepFailedError, match=r"PreconditionFailed|InvalidIfMatchVersion"):
        do(aws, distributions.delete(SCOPE, NAME, seen))
