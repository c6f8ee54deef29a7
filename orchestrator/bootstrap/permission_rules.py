"""What a rule about IAM actions is, and how the tables write one.  Data only.

An ARN is a template: ``{a}`` account, ``{r}`` region, ``{n}`` the resource's name in AWS, ``{p}`` the prefix of the
environment's names, ``{path}`` the path of its roles.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

ANY_RESOURCE: Final = ("*",)


class PermissionRule(Struct, frozen=True):
    """``actions`` (of one service) on ``arns``.

    ``who``: ``read`` for planning and deploying, ``write`` for deploying, ``destroy`` for deploying where the manifest
    lets the data go.  ``when``: a name in ``policies.CONDITIONS``.
    """

    access_level: str
    actions: tuple[str, ...]
    arns: tuple[str, ...] = ANY_RESOURCE
    condition: str = ""


def allow(access_level: str, service: str, actions: str, *arns: str, condition: str = "") -> PermissionRule:
    """The ``actions`` of one service, parted by spaces."""
    return PermissionRule(
        access_level, tuple(f"{service}:{action}" for action in actions.split()), arns or ANY_RESOURCE, condition
    )


def crud_actions(resource_name: str) -> str:
    """Making, changing and deleting it."""
    return f"Create{resource_name} Update{resource_name} Delete{resource_name}"


ROLE_ARN: Final = "arn:aws:iam::{a}:role{path}*"
SERVICE_LINKED_ROLE_ARN: Final = "arn:aws:iam::{a}:role/aws-service-role/*"
