"""IAM's decision for identity policies with a permissions boundary, after "Policy evaluation logic".

Only what the generated policies use: Allow and Deny, wildcards and a few condition operators.  A statement that uses
anything else is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from orchestrator.emulator.policy_evaluation import PolicyRequest

Request = PolicyRequest
"""One action on one ARN, with the condition keys that AWS would know."""


def is_allowed(documents: Iterable[Mapping[str, Any]], boundary: Mapping[str, Any], request: Request) -> bool:
    """Whether a role with these policies, within this boundary, may do it."""
    return _is_granted(list(documents), request) and _is_granted([boundary], request)


def _is_granted(documents: list[Mapping[str, Any]], request: Request) -> bool:
    effects = [
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if applies_to(statement, request)
    ]
    return "Allow" in effects and "Deny" not in effects


def applies_to(statement: Mapping[str, Any], request: Request) -> bool:
    assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}, statement.keys()
    action_matches = any(
        _compile_pattern(pattern.lower()).fullmatch(request.action.lower()) for pattern in statement["Action"]
    )
    resource_matches = any(_compile_pattern(pattern).fullmatch(request.arn) for pattern in statement["Resource"])
    return (
        action_matches
        and resource_matches
        and all(
            _condition_matches(operator, keys, request) for operator, keys in statement.get("Condition", {}).items()
        )
    )


def _condition_matches(operator: str, keys: Mapping[str, Any], request: Request) -> bool:
    context = {key.lower(): value for key, value in request.context.items()}
    return all(_key_matches(operator, context.get(key.lower()), expected) for key, expected in keys.items())


def _key_matches(operator: str, value: str | tuple[str, ...] | None, expected: Any) -> bool:
    allowed_values = [expected] if isinstance(expected, str) else list(expected)
    match operator:
        case "Null":
            return allowed_values == ["true" if value is None else "false"]
        case "StringEqualsIfExists":
            return value is None or value in allowed_values
        case "StringLikeIfExists":
            return value is None or any(fnmatchcase(str(value), pattern) for pattern in allowed_values)
        case "ForAllValues:StringEquals":
            return set(value or ()) <= set(allowed_values)
        case "StringEquals" | "ArnEquals" | "Bool" | "ForAnyValue:StringEquals":
            return value in allowed_values
        case "ArnNotEquals":
            return value not in allowed_values
    raise AssertionError(operator)


@cache
def _compile_pattern(text: str) -> re.Pattern[str]:
    """``*`` and ``?`` as IAM means them; in an ARN they do not end at a colon's part but for the service."""
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in text), re.DOTALL
    )
