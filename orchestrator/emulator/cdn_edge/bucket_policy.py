"""What a bucket policy allows CloudFront: Allow and explicit Deny over principals, actions, resources, conditions.

After S3's "Policies and permissions" and IAM's "Policy evaluation logic", for the keys a read by CloudFront brings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE = "cloudfront.amazonaws.com"
Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Access:
    """One read: by CloudFront for a distribution, or by nobody where ``source`` is empty."""

    action: str
    resource: str
    source: str
    account: str

    @property
    def keys(self) -> dict[str, str]:
        """The condition keys it brings, in lower case."""
        known = {"aws:securetransport": "true"}
        mine = {"aws:sourcearn": self.source, "aws:sourceaccount": self.account}
        return known | (mine if self.source else {})


def allows(policy: str, access: Access) -> bool:
    """Whether a policy (its JSON text, or "") allows a read: some Allow fits and no Deny does."""
    statements = json.loads(policy).get("Statement", []) if policy else []
    effects = {each["Effect"] for each in _list(statements) if _fits(each, access)}
    return "Allow" in effects and "Deny" not in effects


def like(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern with ``*`` and ``?``."""
    expression = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _fits(statement: Statement, access: Access) -> bool:
    return (
        _named(statement, "Principal", lambda given: _is_principal(given, access))
        and _named(statement, "Action", lambda given: _any(given, access.action, str.lower))
        and _named(statement, "Resource", lambda given: _any(given, access.resource, str))
        and all(
            _holds(operator, key, given, access)
            for operator, keys in statement.get("Condition", {}).items()
            for key, given in keys.items()
        )
    )


def _named(statement: Statement, member: str, fits: Callable[[Any], bool]) -> bool:
    """Each of these members has an opposite; one of the two is there."""
    if member in statement:
        return fits(statement[member])
    return f"Not{member}" in statement and not fits(statement[f"Not{member}"])


def _any(patterns: Any, text: str, case: Callable[[str], str]) -> bool:
    return any(like(case(pattern), case(text)) for pattern in _list(patterns))


def _is_principal(given: Any, access: Access) -> bool:
    if given == "*":
        return True
    everybody = "*" in _list(given.get("AWS", []))
    return everybody or (bool(access.source) and SERVICE in _list(given.get("Service", [])))


def _holds(operator: str, key: str, given: Any, access: Access) -> bool:
    """One condition; an operator or key that is unknown here is one that does not hold, as a missing key is."""
    name = operator.rpartition(":")[2]
    optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    value = access.keys.get(key.lower())
    wanted = [str(each).lower() if name == "Bool" else str(each) for each in _list(given)]
    if name == "Null":
        return (value is None) == (str(given).lower() == "true")
    negated = "Not" in name
    if value is None:
        return optional or negated
    compare = _COMPARISONS.get(name.replace("Not", ""))
    return compare is not None and any(compare(each, value) for each in wanted) != negated


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": str.__eq__,
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
