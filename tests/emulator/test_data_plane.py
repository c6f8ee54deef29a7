"""MiniStack serves what a distribution serves: the gateway passes viewers' requests on to it."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request

import pytest

from orchestrator.emulator import Emulator, start
from tests.emulator.account import Client, client_of

ROUTE = b"""
function handler(event) {
    var request = event.request;
    if (request.uri.split('/').pop().indexOf('.') === -1) { request.uri = '/index.html'; }
    return request;
}
"""


def get(emulator: Emulator, host: str, path: str) -> tuple[int, bytes]:
    request = urllib.request.Request(emulator.url + path, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def site(s3: Client, cloudfront: Client) -> str:
    """A bucket with a page behind a distribution with a function; the distribution's host."""
    s3.create_bucket(Bucket="web-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="web-prod", Key="index.html", Body=b"the page", ContentType="text/html")
    control = {"Name": "web", "SigningProtocol": "sigv4", "SigningBehavior": "always"}
    access = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={**control, "OriginAccessControlOriginType": "s3"}
    )["OriginAccessControl"]["Id"]
    made = cloudfront.create_function(
        Name="route", FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"}, FunctionCode=ROUTE
    )
    cloudfront.publish_function(Name="route", IfMatch=made["ETag"])
    function = made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"]
    origin = {
        "Id": "web",
        "DomainName": "web-prod.s3.eu-west-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
        "OriginAccessControlId": access,
    }
    config = {
        "CallerReference": "web",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {
            "TargetOriginId": "web",
            "ViewerProtocolPolicy": "allow-all",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
            "FunctionAssociations": {
                "Quantity": 1,
                "Items": [{"EventType": "viewer-request", "FunctionARN": function}],
            },
        },
    }
    distribution = cloudfront.create_distribution(DistributionConfig=config)["Distribution"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::web-prod/*",
        "Condition": {"StringEquals": {"AWS:SourceArn": distribution["ARN"]}},
    }
    s3.put_bucket_policy(Bucket="web-prod", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    return str(distribution["DomainName"])


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node: MiniStack runs functions with it")
def test_a_deep_link_is_the_page_and_a_missing_asset_is_missing() -> None:
    """Through the gateway, with origin access control, bucket policy and function as on AWS."""
    with start("ministack") as emulator:
        s3, cloudfront = client_of(emulator, "s3"), client_of(emulator, "cloudfront", "us-east-1")
        host = site(s3, cloudfront)
        counted = len(emulator.calls)

        assert get(emulator, host, "/shop/ring") == (200, b"the page")
        assert get(emulator, host, "/assets/none.js")[0] == 403
        assert len(emulator.calls) == counted
        s3.close()
        cloudfront.close()
