"""Summarize a new resource on one line, from the fields that a reviewer needs first.  Pure.

A type without templates has no summary.  A part is omitted if its field is absent, empty, false or too long; the full
plan shows all fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.redaction.redact import redact
from orchestrator.render.field_values import format_value
from orchestrator.vocabulary import FieldChange

MAX_PART_CHARACTERS: Final = 96
_PLACEHOLDER: Final = re.compile(r"\{([\w.]+)([#!?*]?)\}")

SUMMARY_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "apprunner_autoscaling": ("{min_size} to {max_size} instances", "{max_concurrency} concurrent requests each"),
    "apprunner_connector": ("{subnets#} subnets",),
    "apprunner_service": (
        "{cpu} CPU units",
        "{memory} MB",
        "port {port}",
        "health {health.path}",
        "{secrets#} secrets",
    ),
    "budgets_budget": ("{limit} {currency} a month", "{notifications#} alerts"),
    "cloudfront_distribution": ("{origins#} origins", "{default_behaviour.viewer_protocol}", "{http_version}"),
    "cloudfront_function": ("{runtime}",),
    "cloudfront_oac": ("signs requests to {origin_type}",),
    "cloudwatch_alarm": ("{description!}",),
    "ec2_security_group": ("{ingress#} inbound rules", "{egress#} outbound rules"),
    "ec2_vpc_endpoint": ("in the {network} network",),
    "ecr_image": ("build {source} and push",),
    "ecr_repository": ("tags {tag_mutability}", "{scan_on_push?}scan on push"),
    "ecs_express_service": (
        "{cpu} CPU units",
        "{memory} MB",
        "{scaling.min} to {scaling.max} tasks",
        "port {port}",
        "health {health_path}",
        "{secrets#} secrets",
    ),
    "iam_role": (
        "assumed by {trust.Statement.0.Principal.Service*}",
        "{policy.Statement#} statements",
        "{attached#} attached",
    ),
    "rds_instance": (
        "{engine} {version}",
        "{instance_class}",
        "{storage_gb} GB {storage_type}",
        "{encrypted?}encrypted",
        "{multi_az?}multi-AZ",
        "{public?}PUBLIC",
        "{backup_retention_days} days of backups",
    ),
    "rds_parameter_group": ("{parameters#} parameters",),
    "rds_subnet_group": ("{subnets#} subnets",),
    "s3_bucket": ("{versioning?}versioned", "{encryption.algorithm}", "public access {public_access}"),
    "s3_bucket_cors": ("{rules#} rules",),
    "s3_bucket_policy": ("{statements#} statements",),
    "secretsmanager_secret": ("{generate#} generated values",),
    "sns_topic": ("emails {emails*}",),
}
"""Templates by resource type.  ``{path}`` is a value, ``{path#}`` a count, ``{path?}`` only a condition, ``{path!}``
the first sentence of a text, ``{path*}`` the first item of a list and how many more there are."""


def summarize_resource(resource_type: str, fields: tuple[FieldChange, ...]) -> str:
    """Return the main fields of a new resource, separated by commas; empty if there are none."""
    spec = {field.path[0]: redact(field.after, field.path[0]) for field in fields if len(field.path) == 1}
    parts = (_fill_template(template, spec) for template in SUMMARY_TEMPLATES.get(resource_type, ()))
    return ", ".join(part for part in parts if part)


def _fill_template(template: str, spec: Mapping[str, Any]) -> str:
    values = [_placeholder_value(spec, *placeholder) for placeholder in _PLACEHOLDER.findall(template)]
    if any(value is None for value in values):
        return ""
    remaining_values = iter(values)
    part = _PLACEHOLDER.sub(lambda _: next(remaining_values) or "", template)
    return _singularize(part) if len(part) <= MAX_PART_CHARACTERS else ""


def _placeholder_value(spec: Mapping[str, Any], path: str, modifier: str) -> str | None:
    """Return the text for a placeholder; None if the part is omitted."""
    value = _look_up(spec, path.split("."))
    if modifier == "*":
        return _format_list(value)
    if value in (None, False, "", 0) or (isinstance(value, list | dict) and modifier != "#"):
        return None
    match modifier:
        case "#":
            return str(len(value)) if isinstance(value, list | dict) and value else None
        case "?":
            return ""
        case "!":
            return _format_value(str(value).partition(". ")[0])
        case _:
            return _format_value(int(value) if isinstance(value, float) and value.is_integer() else value)


def _format_list(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return None
    more = f" and {len(value) - 1} more" if len(value) > 1 else ""
    return f"{_format_value(value[0])}{more}"


def _look_up(value: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _format_value(value: Any) -> str:
    """Return a value as escaped text, a string without its quotes."""
    text = format_value(value)
    return text[1:-1] if text.startswith('"') else text


def _singularize(part: str) -> str:
    return re.sub(r"^1 ((?:\w+ )?\w+?)s\b", r"1 \1", part)
