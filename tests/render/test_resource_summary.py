"""A new thing in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import resources
from orchestrator.render.resource_summary import SUMMARY_TEMPLATES, summarize_resource
from orchestrator.vocabulary import FieldChange

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("s3_bucket", {"versioning": True, "encryption": {"algorithm": "AES256"}, "public_access": "blocked"},
     "versioned, AES256, public access blocked"),
    ("s3_bucket", {"versioning": False}, ""),
    ("budgets_budget", {"limit": 60.0, "currency": "USD", "notifications": [{}, {}]}, "60 USD a month, 2 alerts"),
    ("rds_subnet_group", {"subnets": ["a"]}, "1 subnet"),
    ("ec2_security_group", {"ingress": [{}], "egress": [{}, {}]}, "1 inbound rule, 2 outbound rules"),
    ("secretsmanager_secret", {"generate": ["Key"]}, "1 generated value"),
    ("rds_instance", {"engine": "postgres", "version": "16", "multi_az": True}, "postgres 16, multi-AZ"),
    ("rds_instance", {"engine": "postgres\x1b[2J", "version": "16"}, r"postgres\u001b[2J 16"),
    ("rds_instance", {"engine": "postgres", "version": "x" * 200}, ""),
    ("cloudwatch_alarm", {"description": "db has 60 connections or more. [mark]"}, "db has 60 connections or more"),
    ("sns_topic", {"emails": ["ops@example.com", "b@example.com"]}, "emails ops@example.com and 1 more"),
    ("sns_topic", {"emails": ["ops@example.com"]}, "emails ops@example.com"),
    ("sns_topic", {"emails": "not a list"}, ""),
    ("something_new", {"size": 1}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "told"), CASES)
def test_a_new_thing_in_a_few_words(kind: str, spec: dict[str, Any], told: str) -> None:
    """What is there is told, harmless; what is absent, false or endless is left out."""
    assert summarize_resource(kind, tuple(FieldChange((key,), None, value) for key, value in spec.items())) == told


def test_only_types_that_there_are_have_one() -> None:
    """A renamed type does not lose its words silently."""
    assert set(SUMMARY_TEMPLATES) <= set(resources.list_types())
