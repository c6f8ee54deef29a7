"""Decide whether policies allow a request, as IAM does for identities (user guide, "Policy evaluation logic").

Covers Allow and Deny, wildcards, a permissions boundary, and the condition operators on strings, ARNs and booleans.
A statement with another operator allows nothing, and denies whatever it may deny.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Document = Mapping[str, Any]

_NEGATED_OPERATORS = {"StringNotEquals": "StringEquals", "StringNotLike": "StringLike", "ArnNotEquals": "ArnLike"}
_NEGATED_OPERATORS |= {"ArnNotLike": "ArnLike", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase"}


@dataclass(frozen=True)
class PolicyRequest:
    """One action on one ARN; ``context`` has the values of condition keys."""

    action: str
    arn: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.arn}"

    def values_of(self, key: str) -> tuple[str, ...]:
        """Return the values of a condition key, whose name ignores case; () if the request has none."""
        found = next((value for name, value in self.context.items() if name.lower() == key.lower()), ())
        return (found,) if isinstance(found, str) else found


def decide(policies: Iterable[Document], boundary: Document | None, request: PolicyRequest) -> Decision:
    """Return IAM's decision for the policies of an identity and its boundary."""
    documents = list(policies)
    limits = [] if boundary is None else [boundary]
    if any(_matches(document, "Deny", request) for document in [*documents, *limits]):
        return "explicitDeny"
    is_allowed = any(_matches(document, "Allow", request) for document in documents)
    return "allowed" if is_allowed and is_within(boundary, request) else "implicitDeny"


def is_within(boundary: Document | None, request: PolicyRequest) -> bool:
    """Return whether a boundary allows a request; no boundary allows everything."""
    return boundary is None or (_matches(boundary, "Allow", request) and not _matches(boundary, "Deny", request))


def _matches(document: Document, effect: str, request: PolicyRequest) -> bool:
    statements = as_list(document["Statement"])
    return any(statement["Effect"] == effect and _statement_applies(statement, request) for statement in statements)


def _statement_applies(statement: Mapping[str, Any], request: PolicyRequest) -> bool:
    if "Action" in statement:
        is_action = _matches_any(statement["Action"], request.action, ignore_case=True)
    else:
        is_action = not _matches_any(statement["NotAction"], request.action, ignore_case=True)
    if "Resource" in statement:
        is_resource = _matches_any(statement["Resource"], request.arn)
    else:
        # A trust policy names no resource: it is about the role that has it.
        is_resource = "NotResource" not in statement or not _matches_any(statement["NotResource"], request.arn)
    return is_action and is_resource and _conditions_hold(statement, request)


def _conditions_hold(statement: Mapping[str, Any], request: PolicyRequest) -> bool:
    return all(
        _condition_holds(operator, request.values_of(key), expected, statement["Effect"])
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )


def _condition_holds(operator: str, values: tuple[str, ...], expected: Any, effect: str) -> bool:
    patterns = [str(pattern) for pattern in as_list(expected)]
    if operator == "Null":
        return (patterns[0].lower() == "true") == (not values)
    if operator.endswith("IfExists"):
        return not values or _condition_holds(operator.removesuffix("IfExists"), values, expected, effect)
    quantifier, _, plain = operator.rpartition(":")
    if quantifier == "ForAllValues":
        return all(_condition_holds(plain, (value,), expected, effect) for value in values)
    if plain in _NEGATED_OPERATORS:
        return not _condition_holds(_NEGATED_OPERATORS[plain], values, expected, effect)
    match plain:
        case "StringEquals":
            return any(value in patterns for value in values)
        case "StringEqualsIgnoreCase" | "Bool":
            return any(value.lower() in [pattern.lower() for pattern in patterns] for value in values)
        case "StringLike" | "ArnEquals" | "ArnLike":
            return any(_matches_any(patterns, value) for value in values)
    return effect == "Deny"


def _matches_any(patterns: Any, value: str, *, ignore_case: bool = False) -> bool:
    flags = re.IGNORECASE if ignore_case else 0
    return any(_compile(str(pattern), flags).fullmatch(value) for pattern in as_list(patterns))


@lru_cache(maxsize=4096)
def _compile(pattern: str, flags: int) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile("".join(parts), flags | re.DOTALL)


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and any other value as a list of it: policies may have either."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
