"""What counts of a function is what runs, also where a run was killed between editing and publishing."""

from __future__ import annotations

import pytest

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
