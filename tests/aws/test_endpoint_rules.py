"""Rules that are made when they are asked for against botocore's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.endpoint_provider import EndpointProvider, RuleCreator, TreeRule
from botocore.exceptions import EndpointProviderError
from botocore.loaders import create_loader

from orchestrator.aws import endpoint_rules

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("s3", {"Region": "eu-west-1", "Bucket": "shop-files"}),
    ("s3", {"Region": "eu-west-1", "Bucket": "shop.files"}),
    ("s3", {"Region": "us-east-1", "UseDualStack": True, "Accelerate": True, "Bucket": "shop-files"}),
    ("s3", {"Region": "eu-west-1", "Bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint:shop"}),
    ("s3", {"Region": "cn-north-1", "UseFIPS": True, "Bucket": "shop-files"}),
    ("s3", {"Bucket": "shop-files"}),
    ("s3", {"Region": "eu-west-1", "Endpoint": "http://127.0.0.1:4566", "ForcePathStyle": True, "Bucket": "shop"}),
    ("sts", {"Region": "eu-west-1", "UseGlobalEndpoint": True}),
    ("iam", {"Region": "us-gov-west-1"}),
    ("cloudfront", {"Region": "aws-global"}),
]


@pytest.fixture
def lazy() -> Iterator[None]:
    """Back to botocore's own afterwards."""
    before = RuleCreator.tree
    endpoint_rules.install()
    yield
    RuleCreator.tree = before


def answer(service: str, asked: dict[str, Any]) -> str:
    """The address, or what is wrong with the question."""
    loader = create_loader()
    provider = EndpointProvider(
        loader.load_service_model(service, "endpoint-rule-set-1"), loader.load_data("partitions")
    )
    try:
        found = provider.resolve_endpoint(**asked)
    except EndpointProviderError as error:
        return str(error)
    return f"{found.url} {found.properties} {found.headers}"


@pytest.mark.usefixtures("lazy")
@pytest.mark.parametrize(("service", "asked"), ASKED)
def test_they_say_what_botocores_own_say(service: str, asked: dict[str, Any]) -> None:
    """Addresses, how to sign for them, and refusals."""
    quick = answer(service, asked)
    RuleCreator.tree = TreeRule

    assert quick == answer(service, asked)


@pytest.mark.usefixtures("lazy")
def test_only_what_is_asked_for_is_made() -> None:
    """What follows from a condition that is not met is never made."""
    no = {"conditions": [{"fn": "isSet", "argv": [{"ref": "Nothing"}]}], "type": "tree", "rules": [{"type": "unheard"}]}
    yes = {"conditions": [], "type": "endpoint", "endpoint": {"url": "https://example.com"}}
    whole = {"version": "1.0", "parameters": {}, "rules": [{"conditions": [], "type": "tree", "rules": [no, yes]}]}

    assert EndpointProvider(whole, {"partitions": []}).resolve_endpoint().url == "https://example.com"
