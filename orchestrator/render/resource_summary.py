"""A new resource in one line: what a reviewer asks first, from the fields of its creation.  Pure.

A type without templates has no gist, and a part whose field is absent, empty, false or long is left out; all fields
are in the full plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.redaction.redact import redact
from orchestrator.render.field_values import show
from orchestrator.vocabulary import FieldChange

LONGEST_PART: Final = 96
_HOLE: Final = re.compile(r"\{([\w.]+)([#!?]?)\}")

GISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "apprunner_autoscaling": ("{min_size} to {max_size} instances", "{max_concurrency} requests at once each"),
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
    "ec2_security_group": ("{ingress#} ways in", "{egress#} ways out"),
    "ec2_vpc_endpoint": ("in the {network} network",),
    "ecr_image": ("build {source} and push",),
    "ecr_repository": ("tags {tag_mutability}", "{scan_on_push?}scanned on push"),
    "ecs_express_service": (
        "{cpu} CPU units",
        "{memory} MB",
        "{scaling.min} to {scaling.max} tasks",
        "port {port}",
        "health {health_path}",
        "{secrets#} secrets",
    ),
    "iam_role": (
        "for {trust.Statement.0.Principal.Service.0}",
        "{policy.Statement#} statements",
        "{attached#} attached",
    ),
    "rds_instance": (
        "{engine} {version}",
        "{instance_class}",
        "{storage_gb} GB {storage_type}",
        "{encrypted?}encrypted",
        "{multi_az?}two zones",
        "{public?}PUBLIC",
        "backups {backup_retention_days} days",
    ),
    "rds_parameter_group": ("{parameters#} parameters",),
    "rds_subnet_group": ("{subnets#} subnets",),
    "s3_bucket": ("{versioning?}versioned", "{encryption.algorithm}", "public access {public_access}"),
    "s3_bucket_cors": ("{rules#} rules",),
    "s3_bucket_policy": ("{statements#} statements",),
    "secretsmanager_secret": ("{generate#} generated values",),
    "sns_topic": ("mails {emails.0}",),
}
"""Templates by resource type.  ``{path}`` is a value, ``{path#}`` how many there are, ``{path?}`` nothing but a
condition, ``{path!}`` the first sentence of a text."""


def gist(resource_type: str, fields: tuple[FieldChange, ...]) -> str:
    """The telling fields of a new resource, parted by commas; empty when there is nothing to tell."""
    spec = {field.path[0]: redact(field.after, field.path[0]) for field in fields if len(field.path) == 1}
    parts = (_filled(template, spec) for template in GISTS.get(resource_type, ()))
    return ", ".join(part for part in parts if part)


def _filled(template: str, spec: Mapping[str, Any]) -> str:
    values = [_value(spec, *hole) for hole in _HOLE.findall(template)]
    if any(value is None for value in values):
        return ""
    rest = iter(values)
    part = _HOLE.sub(lambda _: next(rest) or "", template)
    return _singular(part) if len(part) <= LONGEST_PART else ""


def _value(spec: Mapping[str, Any], path: str, how: str) -> str | None:
    """What stands in a hole; None when the part is to be left out."""
    found = _at(spec, path.split("."))
    if found in (None, False, "", 0) or (isinstance(found, list | dict) and how != "#"):
        return None
    match how:
        case "#":
            return str(len(found)) if isinstance(found, list | dict) and found else None
        case "?":
            return ""
        case "!":
            return _shown(str(found).partition(". ")[0])
        case _:
            return _shown(int(found) if isinstance(found, float) and found.is_integer() else found)


def _at(value: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _shown(value: Any) -> str:
    """As ``show`` has it, harmless, without the quotes of a text."""
    text = show(value)
    return text[1:-1] if text.startswith('"') else text


def _singular(part: str) -> str:
    return re.sub(r"^1 (\w+?)s\b", r"1 \1", part)
