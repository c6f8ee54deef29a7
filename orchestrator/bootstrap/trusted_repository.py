"""Read from trust policies which ids and which branch of a repository they trust.  Pure.

With these, trust policies can be compared with the expected ones though nobody has asked GitHub for the ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.bootstrap.workflow_roles import OIDC_ISSUER, Repository

BRANCH_PREFIX = "refs/heads/"
_SUBJECT = re.compile(r"repo:(?P<owner>[^/@:]+)(?:@(?P<owner_id>\d+))?/(?P<name>[^/@:]+)(?:@(?P<id>\d+))?:")


def read(repository: str, trust_policies: Iterable[Any]) -> Repository:
    """Return ``repository`` (``OWNER/NAME``) with the ids, the branch and the letter case that the policies trust.

    The policies are in IAM's form.  Of several values, the one named most often is returned: an edit of one policy then
    shows as a difference of that one.  What none of them says has its default, and ids are 0.
    """
    claims = [claim for policy in trust_policies for claim in _iter_claims(policy)]
    subjects = [match for name, value in claims if name == "sub" and (match := _SUBJECT.match(value))]
    own_subjects = [match for match in subjects if f"{match['owner']}/{match['name']}".lower() == repository.lower()]
    ids = [value for name, value in claims if name == "repository_id" and re.fullmatch("[0-9]{1,18}", value)]
    branches = [
        value.removeprefix(BRANCH_PREFIX) for name, value in claims if name == "ref" and value.startswith(BRANCH_PREFIX)
    ]
    return Repository(
        _most_common([f"{match['owner']}/{match['name']}" for match in own_subjects], repository),
        int(_most_common([*ids, *(match["id"] for match in own_subjects if match["id"])], "0")),
        int(_most_common([match["owner_id"] for match in own_subjects if match["owner_id"]], "0")),
        branch=_most_common(branches, "main"),
        has_environments=any(name == "environment" for name, _ in claims),
    )


def _most_common(values: list[str], default: str) -> str:
    return Counter(values).most_common(1)[0][0] if values else default


def _iter_claims(policy: Any) -> Iterator[tuple[str, str]]:
    """Yield name and value of each claim of GitHub's tokens that the statements of a policy require."""
    statements = policy.get("Statement", []) if isinstance(policy, Mapping) else []
    for statement in statements if isinstance(statements, list) else [statements]:
        conditions = statement.get("Condition") or {}
        for key, values in conditions.get("StringEquals", {}).items():
            for value in values if isinstance(values, list) else [values]:
                yield key.removeprefix(f"{OIDC_ISSUER}:"), str(value)
