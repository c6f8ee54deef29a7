"""Look up the values of the secrets that a migration gets, by environment variable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.problems import Problem, Problems
from orchestrator.redaction.github_masks import mask


def read_variables(sources: list[Mapping[str, Any]], documents: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield each environment variable with the value of its key.

    Raises Problems, all at once, if a secret has no value for a key.
    """
    problems: list[Problem] = []
    for source, document in zip(sources, documents, strict=True):
        keys = json.loads(document["SecretString"])
        for variable, key in source["variables"].items():
            if key in keys:
                yield variable, mask(str(keys[key]))
            else:
                message = f"the secret {document['Name']} has no value for `{key}`, which the migration needs"
                problems.append(Problem(message, hint="set it in Secrets Manager; nothing was migrated"))
    if problems:
        raise Problems(problems)
