"""What counts of a function is what runs, also where a run was killed between editing and publishing."""

from __future__ import annotations

from typing import cast

import pytest

from orchestrator import resources
from orchestrator.resources import cloudfront_function
from tests.resources.cases import SCOPE
from tests.resources.conftest import Aws

CODE = "function handler(event) { return event.request; }\n"


@pytest.mark.parametrize("running", ["moto"], indirect=True)
def test_settings_that_were_never_published_do_not_count(aws: Aws) -> None:
    call = aws.clients.call
    old, new = ({"Comment": "x", "Runtime": f"cloudfront-js-{version}"} for version in ("1.0", "2.0"))
    body = {"Name": "spa", "FunctionCode": CODE.encode()}
    made = call("cloudfront", "create_function", {**body, "FunctionConfig": old})
    call("cloudfront", "publish_function", {"Name": "spa", "IfMatch": made["ETag"]})
    there = call("cloudfront", "describe_function", {"Name": "spa", "Stage": "DEVELOPMENT"})
    call("cloudfront", "update_function", {**body, "FunctionConfig": new, "IfMatch": there["ETag"]})

    live = cloudfront_function.read(aws.reader(), SCOPE, "spa", {"code": CODE})

    assert live is not None
    assert live.spec["runtime"] == "cloudfront-js-1.0"


CONFIG = {"Comment": "orchestrator shop/prod cdn.spa", "Runtime": "cloudfront-js-2.0"}
SUMMARY = {"Name": "spa", "FunctionConfig": CONFIG}


class OneStage:
    """A CloudFront that lists the edited stage alone, as some partitions and stand-ins do."""

    def all(self, *_: object, **__: object) -> list[dict[str, object]]:
        return [{**SUMMARY, "FunctionMetadata": {"Stage": "DEVELOPMENT"}}]

    def get(self, _: str, operation: str, **__: object) -> dict[str, object]:
        if operation == "describe_function":
            return {"FunctionSummary": {**SUMMARY, "FunctionMetadata": {"Stage": "LIVE"}}}
        return {"FunctionCode": CODE.encode()}


def test_a_listing_of_one_stage_is_not_taken_for_never_published() -> None:
    live = cloudfront_function.read(cast("resources.AwsReader", OneStage()), SCOPE, "spa", {"code": CODE})

    assert live is not None
    assert (live.status, live.spec["code"]) == ("published", CODE)
