"""Which distributions count as this environment's when nothing is declared, by an account's two listings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from orchestrator.ownership_tags import to_aws_tags
from orchestrator.resources import cloudfront_distribution as distributions
from tests.resources.cases import SCOPE

if TYPE_CHECKING:
    from orchestrator.resources import AwsReader


class Listings:
    """An account as its two listings show it: tags, which lag, and distributions with their comments."""

    def __init__(self, tagged: dict[str, str], comments: list[str]) -> None:
        self._tagged, self._comments = tagged, comments

    def all(self, service: str, operation: str, member: str, /, **_: Any) -> list[Any]:
        if service == "cloudfront":
            return [{"Id": f"E{number}", "Comment": comment} for number, comment in enumerate(self._comments)]
        tags = {"orchestrator:project": "shop", "orchestrator:environment": "prod"}
        return [
            {"ResourceARN": arn, "Tags": to_aws_tags({**tags, "orchestrator:component": component})}
            for arn, component in self._tagged.items()
        ]

    def get(self, *_: Any, **__: Any) -> Any:
        """Nothing is read one by one."""
        raise AssertionError


OWN = "arn:aws:cloudfront::123456789012:distribution/"


@pytest.mark.parametrize(
    ("tagged", "comments", "names"),
    [
        ({f"{OWN}E1": "cdn.a"}, [], ["shop-prod-a"]),
        ({}, ["orchestrator shop/prod cdn.a", "orchestrator shop/prod cdn.b"], ["shop-prod-a", "shop-prod-b"]),
        ({f"{OWN}E1": "cdn.a"}, ["orchestrator shop/prod cdn.a"], ["shop-prod-a"]),
        ({}, ["orchestrator shop/test cdn.a", "orchestrator till/prod cdn.b", "by hand", ""], []),
        ({"arn:aws:cloudfront::123456789012:function/E1": "cdn.a"}, [], []),
        ({"arn:aws:cloudfront::999999999999:distribution/E1": "cdn.a"}, [], []),
        ({f"{OWN}E1": ""}, ["orchestrator shop/prod "], []),
    ],
)
def test_either_listing_finds_ours_and_nothing_else(
    tagged: dict[str, str], comments: list[str], names: list[str]
) -> None:
    """The tagging API lags by minutes: until it shows a new distribution, its comment does."""
    assert list(distributions.discover(cast("AwsReader", Listings(tagged, comments)), SCOPE)) == names
