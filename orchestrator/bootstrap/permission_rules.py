"""What a rule about IAM actions is, and how the tables write one.  Data only.

An ARN is a template: ``{a}`` account, ``{r}`` region, ``{n}`` the resource's name in AWS, ``{p}`` the prefix of the
environment's names, ``{path}`` the path of its roles.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

ANY: Final = ("*",)


class Rule(Struct, frozen=True):
    """``actions`` (of one service) on ``arns``.

    ``who``: ``read`` for planning and deploying, ``write`` for deploying, ``destroy`` for deploying where the manifest
    lets the data go.  ``when``: a name in ``policies.CONDITIONS``.
    """

    who: str
    actions: tuple[str, ...]
    arns: tuple[str, ...] = ANY
    when: str = ""


def rule(who: str, service: str, actions: str, *arns: str, when: str = "") -> Rule:
    """The ``actions`` of one service, parted by spaces."""
    return Rule(who, tuple(f"{service}:{action}" for action in actions.split()), arns or ANY, when)


def each(what: str) -> str:
    """Making, changing and deleting it."""
    return f"Create{what} Update{what} Delete{what}"


ROLES: Final = "arn:aws:iam::{a}:role{path}*"
LINKED: Final = "arn:aws:iam::{a}:role/aws-service-role/*"
