"""IAM's decision for identity policies with a permissions boundary, after "Policy evaluation logic".

Only what the generated policies use: Allow and Deny, wildcards, StringEquals, StringEqualsIfExists, ArnEquals.  A
statement that uses anything else is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Request:
    """One action on one ARN, with the condition keys that AWS would know."""

    action: str
    arn: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.arn}"


def allows(documents: Iterable[Mapping[str, Any]], boundary: Mapping[str, Any], request: Request) -> bool:
    """Whether a role with these policies, within this boundary, may do it."""
    return _decides(list(documents), request) and _decides([boundary], request)


def _decides(documents: list[Mapping[str, Any]], request: Request) -> bool:
    effects = [
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if _concerns(statement, request)
    ]
    return "Allow" in effects and "Deny" not in effects


def _concerns(statement: Mapping[str, Any], request: Request) -> bool:
    assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}, statement.keys()
    named = any(_pattern(each.lower()).fullmatch(request.action.lower()) for each in statement["Action"])
    placed = any(_pattern(each).fullmatch(request.arn) for each in statement["Resource"])
    return (
        named
        and placed
        and all(_holds(operator, keys, request) for operator, keys in statement.get("Condition", {}).items())
    )


def _holds(operator: str, keys: Mapping[str, Any], request: Request) -> bool:
    found = {key.lower(): value for key, value in request.context.items()}
    for key, wanted in keys.items():
        value = found.get(key.lower())
        values = [wanted] if isinstance(wanted, str) else wanted
        if operator == "StringEqualsIfExists" and value is None:
            continue
        assert operator in {"StringEquals", "StringEqualsIfExists", "ArnEquals"}, operator
        if value not in values:
            return False
    return True


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """``*`` and ``?`` as IAM means them; in an ARN they do not end at a colon's part but for the service."""
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in text), re.DOTALL)
