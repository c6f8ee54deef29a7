"""Makes botocore's endpoint rules when they are asked for: S3 has hundreds, and its address takes a few of them.

Making all of them is 13 ms for each client of S3, a fiftieth of a plan.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.endpoint_provider import BaseRule, RuleCreator, RuleSetStandardLibrary


class LazyTreeRule(BaseRule):  # type: ignore[misc]
    """botocore's TreeRule: conditions and what follows from them, which is made when they are met.

    ``rules`` are as JSON has them.
    """

    def __init__(self, rules: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(**options)
        self._rule_definitions = rules

    @cached_property
    def rules(self) -> list[Any]:
        """What follows, in order."""
        return [RuleCreator.create(**rule) for rule in self._rule_definitions]

    def evaluate(self, scope_vars: dict[str, Any], rule_lib: RuleSetStandardLibrary) -> Any:
        """The first answer of a rule below whose conditions are met, or None.

        Raises botocore's EndpointResolutionError when that is an error.
        """
        if not self.evaluate_conditions(scope_vars, rule_lib):
            return None
        results = (rule.evaluate(scope_vars.copy(), rule_lib) for rule in self.rules)
        return next((result for result in results if result), None)


def install() -> None:
    """From now on botocore takes Branch for its rules of type ``tree``."""
    RuleCreator.tree = LazyTreeRule
