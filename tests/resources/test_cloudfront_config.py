"""What an update of a distribution sends: all that the manifest declares, and of the rest what is there.

UpdateDistribution replaces the whole configuration (CloudFront API Reference); a cache policy excludes the legacy
members (``ForwardedValues``, ``MinTTL``, ``DefaultTTL``, ``MaxTTL``), and CloudFront refuses both together.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.resources._watched import find_changes
from orchestrator.resources.cloudfront_distribution.config import WATCHED, merge_config, parse_config
from tests.resources import cases

(SPEC, *_), NAMES = (
    [case.spec for case in cases.load_file(cases.FOLDER / "cloudfront_distribution.yaml") if case.action == "create"],
    ("first", "second"),
)


def behaviour(origin: str, **changed: Any) -> dict[str, Any]:
    return {**SPEC["default_behaviour"], "origin": origin, "viewer_request": None, **changed}


def origins(*names: str, access_control: str | None = None) -> dict[str, Any]:
    return {name: {"domain": f"{name}.example", "path": "", "access_control": access_control} for name in names}


def spec(**changed: Any) -> dict[str, Any]:
    """Two origins of one kind, and two behaviours beside the default."""
    return {
        **SPEC,
        "origins": origins(*NAMES),
        "default_behaviour": behaviour("first"),
        "behaviours": {"/a/*": behaviour("first"), "/b/*": behaviour("second")},
        "order": ["/a/*", "/b/*"],
        **changed,
    }


def list_behaviours(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [config["DefaultCacheBehavior"], *config["CacheBehaviors"]["Items"]]


def test_what_is_sent_reads_as_what_was_declared() -> None:
    declared = spec()
    parsed = parse_config(merge_config(declared, {}))

    assert (parsed["origins"], parsed["order"]) == (declared["origins"], declared["order"])
    assert parsed["default_behaviour"] == declared["default_behaviour"] | {"viewer_response": None}
    assert parsed["behaviours"] == {
        path: item | {"viewer_response": None} for path, item in declared["behaviours"].items()
    }


@pytest.mark.parametrize(("field", "member"), [("waf", "WebACLId"), ("root_object", "DefaultRootObject")])
def test_a_member_that_cloudfront_leaves_out_is_empty(field: str, member: str) -> None:
    """Both are optional in a DistributionConfig, and "" in a manifest means none (CloudFront API Reference)."""
    config = {key: value for key, value in merge_config(spec(), {}).items() if key != member}

    assert parse_config(config)[field] == ""


@pytest.mark.parametrize("policy", ["http-only", "match-viewer"])
def test_an_origin_is_asked_over_https_whatever_was_set_by_hand(policy: str) -> None:
    """Of each origin; what else was set of it stays."""
    live = merge_config(spec(), {})
    for origin in live["Origins"]["Items"]:
        origin["CustomOriginConfig"] |= {"OriginProtocolPolicy": policy, "OriginReadTimeout": 55}

    sent = [origin["CustomOriginConfig"] for origin in merge_config(spec(), live)["Origins"]["Items"]]

    assert [(item["OriginProtocolPolicy"], item["OriginReadTimeout"]) for item in sent] == [("https-only", 55)] * 2


def test_an_origin_that_becomes_a_bucket_of_ours_loses_the_other_kind() -> None:
    live = merge_config(spec(), {})
    for origin in live["Origins"]["Items"]:
        origin["S3OriginConfig"] = {"OriginAccessIdentity": "origin-access-identity/cloudfront/E1"}

    sent = merge_config(spec(origins=origins(*NAMES, access_control="E2")), live)["Origins"]["Items"]

    assert [origin for origin in sent if "CustomOriginConfig" in origin] == []
    assert [(origin["S3OriginConfig"], origin["OriginAccessControlId"]) for origin in sent] == [
        ({"OriginAccessIdentity": ""}, "E2")
    ] * 2


@pytest.mark.parametrize("member", ["ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL"])
def test_no_legacy_member_is_left_beside_a_cache_policy(member: str) -> None:
    live = merge_config(spec(), {})
    for item in list_behaviours(live):
        item[member] = 60

    sent = list_behaviours(merge_config(spec(), live))

    assert [item for item in sent if member in item] == []
    assert all(item["CachePolicyId"] for item in sent)


@pytest.mark.parametrize("member", ["OriginRequestPolicyId", "ResponseHeadersPolicyId"])
def test_a_policy_that_was_set_by_hand_goes(member: str) -> None:
    live = merge_config(spec(), {})
    for item in list_behaviours(live):
        item[member] = "by-hand"

    assert [item[member] for item in list_behaviours(merge_config(spec(), live)) if item.get(member) == "by-hand"] == []


def test_the_functions_of_other_events_stay_and_ours_is_there_once() -> None:
    ours, theirs = ({"EventType": f"viewer-{event}", "FunctionARN": event} for event in ("request", "response"))
    live = merge_config(spec(), {})
    for item in list_behaviours(live):
        item["FunctionAssociations"] = {"Quantity": 2, "Items": [ours, theirs]}
    new = {"EventType": "viewer-request", "FunctionARN": "new"}
    wanted = {path: behaviour("first", viewer_request="new") for path in ("/a/*", "/b/*")}

    sent = merge_config(spec(default_behaviour=behaviour("first", viewer_request="new"), behaviours=wanted), live)
    gone = merge_config(spec(), live)

    assert [item["FunctionAssociations"]["Items"] for item in list_behaviours(sent)] == [[theirs, new]] * 3
    assert [item["FunctionAssociations"]["Items"] for item in list_behaviours(gone)] == [[theirs]] * 3


def test_paths_and_origins_that_are_not_declared_go_but_for_groups() -> None:
    """An origin group is not managed here; its members stay with it."""
    live = merge_config(spec(origins=origins(*NAMES, "third", "grouped")), {})
    live["OriginGroups"] = {
        "Quantity": 1,
        "Items": [{"Id": "g", "Members": {"Quantity": 2, "Items": [{"OriginId": "first"}, {"OriginId": "grouped"}]}}],
    }

    sent = merge_config(spec(behaviours={"/a/*": behaviour("first")}, order=["/a/*"]), live)

    assert [origin["Id"] for origin in sent["Origins"]["Items"]] == ["first", "second", "grouped"]
    assert sent["Origins"]["Quantity"] == 3
    assert [item["PathPattern"] for item in sent["CacheBehaviors"]["Items"]] == ["/a/*"]
    assert sent["OriginGroups"] == live["OriginGroups"]


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/one"


@pytest.mark.parametrize(
    ("certificate", "found"),
    [
        # What GetDistribution returns for CloudFront's own certificate (CloudFront API Reference, ViewerCertificate).
        ({"CloudFrontDefaultCertificate": True, "SSLSupportMethod": "vip", "MinimumProtocolVersion": "TLSv1"}, ()),
        ({"ACMCertificateArn": CERTIFICATE, "SSLSupportMethod": "sni-only"}, ()),
        ({"ACMCertificateArn": CERTIFICATE, "SSLSupportMethod": "vip"}, ("dedicated_ip_addresses",)),
    ],
)
def test_dedicated_addresses_are_watched(certificate: dict[str, Any], found: tuple[str, ...]) -> None:
    changes = find_changes(WATCHED, {"ViewerCertificate": certificate})

    assert tuple(change.field for change in changes) == found


def test_the_oldest_tls_version_is_compared() -> None:
    config = {**merge_config(spec(certificate={"arn": CERTIFICATE, "minimum_tls": "TLSv1.2_2021"}), {})}
    config["ViewerCertificate"] = {**config["ViewerCertificate"], "MinimumProtocolVersion": "TLSv1"}

    assert parse_config(config)["certificate"] == {"arn": CERTIFICATE, "minimum_tls": "TLSv1"}
