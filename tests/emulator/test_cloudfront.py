"""CloudFront's rules on both backends: ETags, caller references, defaults, the order of deletion."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import Client, Clients, error_code, wait_until

OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CODE = b"function handler(event) { return event.request; }"


@pytest.fixture
def cloudfront(aws: Clients) -> Client:
    return aws("cloudfront", "us-east-1")


def control(cloudfront: Client, name: str = "web") -> dict[str, Any]:
    made: dict[str, Any] = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": name,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )
    return made


def function(cloudfront: Client, name: str = "index") -> str:
    made = cloudfront.create_function(
        Name=name, FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"}, FunctionCode=CODE
    )
    cloudfront.publish_function(Name=name, IfMatch=made["ETag"])
    return str(made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"])


def config(control_id: str = "", function_arn: str = "", **changed: Any) -> dict[str, Any]:
    behaviour: dict[str, Any] = {
        "TargetOriginId": "web",
        "ViewerProtocolPolicy": "redirect-to-https",
        "CachePolicyId": OPTIMIZED,
    }
    if function_arn:
        association = {"EventType": "viewer-request", "FunctionARN": function_arn}
        behaviour["FunctionAssociations"] = {"Quantity": 1, "Items": [association]}
    origin = {
        "Id": "web",
        "DomainName": "joiabagur-web.s3.eu-west-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
        "OriginAccessControlId": control_id,
    }
    return {
        "CallerReference": "joiabagur/prod/web",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behaviour,
        **changed,
    }


def deployed(cloudfront: Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_until(
        lambda: cloudfront.get_distribution(Id=key), lambda answer: answer["Distribution"]["Status"] == "Deployed"
    )
    return found


class TestDistribution:
    def test_what_was_given_reads_back(self, cloudfront: Client) -> None:
        """The origin access control and the function are kept, and AWS's defaults are filled in."""
        key = control(cloudfront)["OriginAccessControl"]["Id"]
        arn = function(cloudfront)
        made = cloudfront.create_distribution(DistributionConfig=config(key, arn))["Distribution"]

        found = cloudfront.get_distribution_config(Id=made["Id"])["DistributionConfig"]

        origin, behaviour = found["Origins"]["Items"][0], found["DefaultCacheBehavior"]
        assert origin["OriginAccessControlId"] == key
        assert behaviour["FunctionAssociations"]["Items"] == [{"EventType": "viewer-request", "FunctionARN": arn}]
        assert (origin["ConnectionAttempts"], origin["ConnectionTimeout"], origin["OriginPath"]) == (3, 10, "")
        assert found["PriceClass"] == "PriceClass_All"
        assert found["HttpVersion"] == "http2"
        assert found["ViewerCertificate"]["CloudFrontDefaultCertificate"] is True
        assert found["Restrictions"] == {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}}
        assert behaviour["AllowedMethods"]["Items"] == ["HEAD", "GET"]
        assert made["DomainName"].endswith(".cloudfront.net")

    def test_a_caller_reference_is_used_once(self, cloudfront: Client) -> None:
        """The same again is DistributionAlreadyExists, as AWS documents; the message names it (aws-sdk-js-v3#2618)."""
        made = cloudfront.create_distribution(DistributionConfig=config())["Distribution"]

        with pytest.raises(cloudfront.exceptions.DistributionAlreadyExists, match=f"Already exists: {made['Id']}$"):
            cloudfront.create_distribution(DistributionConfig=config())

    def test_it_deploys_in_time(self, emulator: Emulator, cloudfront: Client) -> None:
        """InProgress, then Deployed; an update starts over."""
        emulator.faults = Faults(settle_seconds={"cloudfront": 0.2})
        made = cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
        assert made["Status"] == "InProgress"
        found = deployed(cloudfront, made["Id"])
        wanted = {**found["Distribution"]["DistributionConfig"], "Comment": "new"}

        again = cloudfront.update_distribution(Id=made["Id"], IfMatch=found["ETag"], DistributionConfig=wanted)

        assert again["Distribution"]["Status"] == "InProgress"
        assert again["ETag"] != found["ETag"]

    def test_a_stale_etag_is_refused(self, cloudfront: Client) -> None:
        """PreconditionFailed, and nothing changes."""
        made = cloudfront.create_distribution(DistributionConfig=config())
        key, wanted = made["Distribution"]["Id"], {**config(), "Comment": "new"}
        cloudfront.update_distribution(Id=key, IfMatch=made["ETag"], DistributionConfig=wanted)

        late = {"Id": key, "IfMatch": made["ETag"], "DistributionConfig": {**wanted, "Comment": "late"}}
        assert error_code(cloudfront.update_distribution, **late) == "PreconditionFailed"
        assert cloudfront.get_distribution_config(Id=key)["DistributionConfig"]["Comment"] == "new"

    def test_the_caller_reference_stays(self, cloudfront: Client) -> None:
        """An update with another is IllegalUpdate."""
        made = cloudfront.create_distribution(DistributionConfig=config())
        wanted = config(CallerReference="other")

        params = {"Id": made["Distribution"]["Id"], "IfMatch": made["ETag"], "DistributionConfig": wanted}
        assert error_code(cloudfront.update_distribution, **params) == "IllegalUpdate"

    def test_deletion_has_an_order(self, cloudfront: Client) -> None:
        """Disable, wait, delete the distribution, then what it used."""
        access = control(cloudfront)
        arn = function(cloudfront)
        made = cloudfront.create_distribution(DistributionConfig=config(access["OriginAccessControl"]["Id"], arn))
        key = made["Distribution"]["Id"]
        development = cloudfront.describe_function(Name="index", Stage="DEVELOPMENT")["ETag"]
        drop_control = {"Id": access["OriginAccessControl"]["Id"], "IfMatch": access["ETag"]}

        assert error_code(cloudfront.delete_distribution, Id=key, IfMatch=made["ETag"]) == "DistributionNotDisabled"
        assert error_code(cloudfront.delete_function, Name="index", IfMatch=development) == "FunctionInUse"
        assert error_code(cloudfront.delete_origin_access_control, **drop_control) == "OriginAccessControlInUse"

        found = deployed(cloudfront, key)
        wanted = {**found["Distribution"]["DistributionConfig"], "Enabled": False}
        cloudfront.update_distribution(Id=key, IfMatch=found["ETag"], DistributionConfig=wanted)
        cloudfront.delete_distribution(Id=key, IfMatch=deployed(cloudfront, key)["ETag"])
        cloudfront.delete_function(Name="index", IfMatch=development)
        cloudfront.delete_origin_access_control(**drop_control)
        assert error_code(cloudfront.get_distribution, Id=key) == "NoSuchDistribution"

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"Aliases": {"Quantity": 2, "Items": ["a.example"]}}, "InconsistentQuantities"),
            ({"DefaultCacheBehavior": {"TargetOriginId": "none", "ViewerProtocolPolicy": "https-only",
                                       "CachePolicyId": OPTIMIZED}}, "NoSuchOrigin"),
            ({"DefaultCacheBehavior": {"TargetOriginId": "web", "ViewerProtocolPolicy": "https-only"}},
             "InvalidArgument"),
        ],
        ids=["quantity", "origin", "no cache policy"],
    )  # fmt: skip
    def test_it_refuses(self, cloudfront: Client, changed: dict[str, Any], code: str) -> None:
        """What AWS does not take."""
        assert error_code(cloudfront.create_distribution, DistributionConfig=config(**changed)) == code

    def test_an_unknown_access_control_is_refused(self, cloudfront: Client) -> None:
        """A distribution names what is there."""
        wanted = config("E0000000000000")

        assert error_code(cloudfront.create_distribution, DistributionConfig=wanted) == "InvalidOriginAccessControl"

    def test_tags(self, cloudfront: Client) -> None:
        """Given at creation, changed by ARN."""
        tags = {"Items": [{"Key": "a", "Value": "1"}]}
        made = cloudfront.create_distribution_with_tags(
            DistributionConfigWithTags={"DistributionConfig": config(), "Tags": tags}
        )
        arn = made["Distribution"]["ARN"]

        cloudfront.tag_resource(Resource=arn, Tags={"Items": [{"Key": "b", "Value": "2"}]})
        cloudfront.untag_resource(Resource=arn, TagKeys={"Items": ["a"]})

        assert cloudfront.list_tags_for_resource(Resource=arn)["Tags"]["Items"] == [{"Key": "b", "Value": "2"}]


class TestWhatItUses:
    def test_an_access_controls_name_is_taken(self, cloudfront: Client) -> None:
        """A second of the name is refused, and a wrong ETag deletes nothing."""
        made = control(cloudfront)
        params = {"Id": made["OriginAccessControl"]["Id"], "IfMatch": "E0000000000000"}

        with pytest.raises(cloudfront.exceptions.OriginAccessControlAlreadyExists):
            control(cloudfront)
        assert error_code(cloudfront.delete_origin_access_control, **params) in (
            "InvalidIfMatchVersion",
            "PreconditionFailed",
        )

    def test_a_function_has_two_stages(self, cloudfront: Client) -> None:
        """An update is in development until it is published."""
        function(cloudfront)
        etag = cloudfront.describe_function(Name="index", Stage="DEVELOPMENT")["ETag"]
        settings = {"Comment": "", "Runtime": "cloudfront-js-2.0"}
        new = cloudfront.update_function(Name="index", IfMatch=etag, FunctionConfig=settings, FunctionCode=b"new")

        assert cloudfront.get_function(Name="index", Stage="LIVE")["FunctionCode"].read() == CODE
        cloudfront.publish_function(Name="index", IfMatch=new["ETag"])
        assert cloudfront.get_function(Name="index", Stage="LIVE")["FunctionCode"].read() == b"new"

    def test_managed_policies_are_listed(self, cloudfront: Client) -> None:
        """With the ids AWS gives them."""
        found = cloudfront.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]

        assert OPTIMIZED in {each["CachePolicy"]["Id"] for each in found}
        headers = cloudfront.list_response_headers_policies(Type="managed")["ResponseHeadersPolicyList"]["Items"]
        assert "67f7725c-6f97-4210-82d7-5512b31e9d03" in {each["ResponseHeadersPolicy"]["Id"] for each in headers}

    def test_a_custom_policy(self, cloudfront: Client) -> None:
        """Created, read, changed with its ETag, deleted."""
        wanted = {
            "Name": "models",
            "Comment": "",
            "CustomHeadersConfig": {
                "Quantity": 1,
                "Items": [{"Header": "x-model", "Value": "1", "Override": True}],
            },
        }
        made = cloudfront.create_response_headers_policy(ResponseHeadersPolicyConfig=wanted)
        key = made["ResponseHeadersPolicy"]["Id"]
        new = cloudfront.update_response_headers_policy(
            Id=key, IfMatch=made["ETag"], ResponseHeadersPolicyConfig={**wanted, "Comment": "new"}
        )

        found = cloudfront.get_response_headers_policy_config(Id=key)["ResponseHeadersPolicyConfig"]
        assert (found["Name"], found["Comment"]) == ("models", "new")
        assert found["CustomHeadersConfig"] == wanted["CustomHeadersConfig"]
        cloudfront.delete_response_headers_policy(Id=key, IfMatch=new["ETag"])
        assert error_code(cloudfront.get_response_headers_policy, Id=key) == "NoSuchResponseHeadersPolicy"

    def test_an_invalidation_is_made_once(self, cloudfront: Client) -> None:
        """The same caller reference is the same invalidation, which completes."""
        key = cloudfront.create_distribution(DistributionConfig=config())["Distribution"]["Id"]
        batch = {"CallerReference": "release-1", "Paths": {"Quantity": 2, "Items": ["/", "/index.html"]}}
        made = cloudfront.create_invalidation(DistributionId=key, InvalidationBatch=batch)["Invalidation"]
        again = cloudfront.create_invalidation(DistributionId=key, InvalidationBatch=batch)["Invalidation"]

        assert made["Id"] == again["Id"]
        wanted = {"DistributionId": key, "Id": made["Id"]}
        wait_until(
            lambda: cloudfront.get_invalidation(**wanted)["Invalidation"]["Status"], lambda it: it == "Completed"
        )
