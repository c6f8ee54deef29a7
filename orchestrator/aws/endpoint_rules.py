"""Create botocore's endpoint rules lazily, and evaluate those of S3 once for all ordinary bucket names.

S3 has hundreds of rules, and resolving an endpoint needs only a few.  Creating all of them takes 13 ms per client, a
fiftieth of the time of a plan.  Evaluating them takes 2 ms for each bucket.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from botocore.endpoint_provider import (
    BaseRule,
    EndpointProvider,
    RuleCreator,
    RuleSetEndpoint,
    RuleSetStandardLibrary,
)

ORDINARY_BUCKET = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
"""Names for which the rules make no difference: no dots, and no ``--``, with which those of other kinds are marked."""
PLACEHOLDER = "placeholder-for-a-bucket"


class LazyTreeRule(BaseRule):  # type: ignore[misc]
    """botocore's TreeRule, with the rules below it created only once its conditions are met.

    ``rules`` is the parsed JSON of those rules.
    """

    def __init__(self, rules: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(**options)
        self._rule_definitions = rules

    @cached_property
    def rules(self) -> list[Any]:
        """The rules below this one, in order."""
        return [RuleCreator.create(**rule) for rule in self._rule_definitions]

    def evaluate(self, scope_vars: dict[str, Any], rule_lib: RuleSetStandardLibrary) -> Any:
        """Return the first result of a rule below, or None if no conditions are met.

        Raises botocore's EndpointResolutionError if the result is an error.
        """
        if not self.evaluate_conditions(scope_vars, rule_lib):
            return None
        results = (rule.evaluate(scope_vars.copy(), rule_lib) for rule in self.rules)
        return next((result for result in results if result), None)


class BucketEndpoints:
    """Resolves endpoints as botocore's ``provider`` does; all ordinary buckets share one evaluation of the rules."""

    def __init__(self, provider: EndpointProvider) -> None:
        self._provider = provider
        self._templates: dict[frozenset[tuple[str, Any]], RuleSetEndpoint] = {}

    def resolve_endpoint(self, **parameters: Any) -> RuleSetEndpoint:
        """Return the endpoint for the parameters of a call.

        Raises botocore's EndpointProviderError if there is none.
        """
        bucket = parameters.get("Bucket")
        if not isinstance(bucket, str) or not ORDINARY_BUCKET.fullmatch(bucket):
            return self._provider.resolve_endpoint(**parameters)
        shared = {name: value for name, value in parameters.items() if name not in {"Bucket", "Key", "Prefix"}}
        key = frozenset(shared.items())
        template = self._templates.get(key)
        if template is None:
            template = self._provider.resolve_endpoint(**parameters | {"Bucket": PLACEHOLDER})
            self._templates[key] = template
        return template._replace(url=template.url.replace(PLACEHOLDER, bucket))


def install() -> None:
    """Make botocore use LazyTreeRule for rules of type ``tree``."""
    RuleCreator.tree = LazyTreeRule


def share_bucket_endpoints(client: Any) -> None:
    """Make a client of S3 resolve its endpoints with BucketEndpoints."""
    client._ruleset_resolver._provider = BucketEndpoints(client._ruleset_resolver._provider)
