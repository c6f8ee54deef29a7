"""Evaluate a bucket policy for CloudFront: Allow and explicit Deny by principal, action, resource, condition.

Follows S3's "Policies and permissions" and IAM's "Policy evaluation logic", for the keys in a read by CloudFront.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CLOUDFRONT_PRINCIPAL = "cloudfront.amazonaws.com"
Statement = Mapping[str, Any]


@dataclass(frozen=True)
class AccessRequest:
    """One read: by CloudFront for the distribution ``source``, or anonymous if ``source`` is empty."""

    action: str
    resource: str
    source: str
    account: str

    @property
    def condition_keys(self) -> dict[str, str]:
        """Return the condition keys of the request, in lower case."""
        common_keys = {"aws:securetransport": "true"}
        source_keys = {"aws:sourcearn": self.source, "aws:sourceaccount": self.account}
        return common_keys | (source_keys if self.source else {})


def allows_access(policy: str, access: AccessRequest) -> bool:
    """Return whether a policy (its JSON text, or "") allows a read: some Allow matches and no Deny does."""
    statements = json.loads(policy).get("Statement", []) if policy else []
    effects = {statement["Effect"] for statement in _as_list(statements) if _statement_matches(statement, access)}
    return "Allow" in effects and "Deny" not in effects


def matches_wildcard(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern with ``*`` and ``?``."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _statement_matches(statement: Statement, access: AccessRequest) -> bool:
    return (
        _member_matches(statement, "Principal", lambda expected: _principal_matches(expected, access))
        and _member_matches(statement, "Action", lambda expected: _matches_any(expected, access.action, str.lower))
        and _member_matches(statement, "Resource", lambda expected: _matches_any(expected, access.resource, str))
        and all(
            _condition_matches(operator, key, expected, access)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _member_matches(statement: Statement, member: str, matches: Callable[[Any], bool]) -> bool:
    """Return whether a member or its ``Not`` counterpart matches; a statement has one of the two."""
    if member in statement:
        return matches(statement[member])
    return f"Not{member}" in statement and not matches(statement[f"Not{member}"])


def _matches_any(patterns: Any, text: str, normalise: Callable[[str], str]) -> bool:
    return any(matches_wildcard(normalise(pattern), normalise(text)) for pattern in _as_list(patterns))


def _principal_matches(principal: Any, access: AccessRequest) -> bool:
    if principal == "*":
        return True
    is_public = "*" in _as_list(principal.get("AWS", []))
    return is_public or (bool(access.source) and CLOUDFRONT_PRINCIPAL in _as_list(principal.get("Service", [])))


def _condition_matches(operator: str, key: str, expected: Any, access: AccessRequest) -> bool:
    """Return whether one condition holds; an unknown operator or key does not, like a missing key."""
    name = operator.rpartition(":")[2]
    is_optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    value = access.condition_keys.get(key.lower())
    expected_values = [
        str(expected_value).lower() if name == "Bool" else str(expected_value) for expected_value in _as_list(expected)
    ]
    if name == "Null":
        return (value is None) == (str(expected).lower() == "true")
    is_negated = "Not" in name
    if value is None:
        return is_optional or is_negated
    compare = _COMPARISONS.get(name.replace("Not", ""))
    return (
        compare is not None and any(compare(expected_value, value) for expected_value in expected_values) != is_negated
    )


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda expected, value: expected.lower() == value.lower(),
    "StringLike": matches_wildcard,
    "ArnEquals": matches_wildcard,
    "ArnLike": matches_wildcard,
    "Bool": str.__eq__,
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
