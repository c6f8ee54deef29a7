"""Define permission rules (IAM actions on ARN templates), from which the policies are built.  Data only.

Placeholders of an ARN template: ``{a}`` account, ``{r}`` region, ``{n}`` the resource's name in AWS, ``{p}`` the
environment's name prefix, ``{path}`` the IAM path of its roles.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

ANY_RESOURCE: Final = ("*",)


class PermissionRule(Struct, frozen=True):
    """``actions`` of one AWS service on ``arns``.

    ``access_level``: ``read`` for planning and deploying, ``write`` for deploying, ``destroy`` for deploying when the
    manifest has ``deletionPolicy: delete``, ``adopt-read`` and ``adopt`` likewise for planning and deploying when it
    has ``adopt: true``.  ``condition``: a key of ``policy_conditions.build_conditions``.
    """

    access_level: str
    actions: tuple[str, ...]
    arns: tuple[str, ...] = ANY_RESOURCE
    condition: str = ""


def allow(access_level: str, service: str, actions: str, *arns: str, condition: str = "") -> PermissionRule:
    """Return a rule for the space-separated ``actions`` of one service."""
    return PermissionRule(
        access_level, tuple(f"{service}:{action}" for action in actions.split()), arns or ANY_RESOURCE, condition
    )


QUOTA_RULES: Final = (allow("read", "servicequotas", "GetServiceQuota GetAWSDefaultServiceQuota"),)
"""What a plan that creates something counted by a quota reads."""


def crud_actions(resource_name: str) -> str:
    """Return the create, update and delete actions of a resource, separated by spaces."""
    return f"Create{resource_name} Update{resource_name} Delete{resource_name}"


ROLE_ARN: Final = "arn:aws:iam::{a}:role{path}*"
PATHLESS_ROLE_ARN: Final = "arn:aws:iam::{a}:role/{p}-*"
"""A role that does not exist yet: IAM knows no path for its name and may authorise GetRole on this ARN."""
SERVICE_LINKED_ROLE_ARN: Final = "arn:aws:iam::{a}:role/aws-service-role/*"
