"""Which region the surroundings name."""

from __future__ import annotations

import pytest

from orchestrator.aws import Clients

CASES: dict[str, tuple[dict[str, str], str | None]] = {
    "nobody names one": ({}, None),
    "boto3's variable": ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
    "everybody else's variable": ({"AWS_REGION": "us-east-1"}, "us-east-1"),
    "both name ours": ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
    "of two, the one that is not ours": ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
    "whichever it is": ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "us-east-1"),
}


@pytest.mark.parametrize(("variables", "expected"), CASES.values(), ids=CASES.keys())
def test_a_foreign_region_is_never_overlooked(
    variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guard compares is the region that does not fit, if one is named anywhere."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert Clients("eu-west-1").configured_region() == expected
