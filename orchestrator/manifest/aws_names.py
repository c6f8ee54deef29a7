"""Check resource names against AWS's limits, so that an invalid name fails validation and not the apply.

The limits come from botocore's service models, or from the AWS documentation where the model has none.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.problems import Problem
from orchestrator.vocabulary import Resource

MAX_NAME_LENGTHS = {
    "apprunner_autoscaling": 32,
    "apprunner_connector": 40,
    "apprunner_service": 40,
    "budgets_budget": 100,
    "cloudfront_function": 64,
    "cloudfront_headers": 128,
    "cloudfront_oac": 64,
    "cloudwatch_alarm": 255,
    "ec2_security_group": 255,
    "ecr_repository": 256,
    "ecs_express_service": 255,
    "iam_policy": 128,
    "iam_role": 64,
    "rds_instance": 63,
    "rds_parameter_group": 255,
    "rds_subnet_group": 255,
    "s3_bucket": 63,
    "secretsmanager_secret": 512,
    "sns_topic": 256,
}
_BUCKET_NAME_PATTERN = re.compile(
    r"(?!xn--|sthree-)(?!.*(\.\.|-s3alias\Z|--ol-s3\Z))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z"
)
_HYPHENATED_NAME_PATTERN = re.compile(r"[a-z](-?[a-z0-9])*\Z")
_NAME_RULES = {
    "s3_bucket": (
        _BUCKET_NAME_PATTERN,
        "use 3 to 63 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
    ),
    "rds_instance": (
        _HYPHENATED_NAME_PATTERN,
        "use lower-case letters, digits and single hyphens, starting with a letter",
    ),
    "ecr_repository": (
        re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*\Z"),
        "use lower-case letters and digits, separated by single . _ - or /",
    ),
}


def check_names(resources: list[Resource]) -> Iterator[Problem]:
    """Yield a problem for each resource name that AWS would reject."""
    for resource in resources:
        max_length = MAX_NAME_LENGTHS.get(resource.type)
        if max_length is not None and len(resource.physical) > max_length:
            message = (
                f"the name of {resource.address} is too long: `{resource.physical}` has "
                f"{len(resource.physical)} characters, AWS allows {max_length}"
            )
            yield Problem(message, resource.where, "shorten the name of the component, the project or the environment")
            continue
        pattern, rule = _NAME_RULES.get(resource.type, (None, ""))
        if pattern is not None and not pattern.match(resource.physical):
            yield Problem(f"AWS rejects the name `{resource.physical}` for {resource.address}", resource.where, rule)
