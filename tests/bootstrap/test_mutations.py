"""Every grant is needed and every condition matters: what would go unnoticed if a rule lost an action or a condition.

Needs are the recorded requests and those of the cases; a grant is needed if some request is allowed by it alone.  A
condition matters if an attack is allowed as soon as it is gone.  Both are ratchets at 100 %: what is not needed is
listed with its reason.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.bootstrap import policy_documents
from orchestrator.bootstrap.policy_conditions import build_conditions
from orchestrator.planning import pipeline
from orchestrator.vocabulary import DesiredState
from tests.bootstrap import full_stack, lifecycle, test_resource_cases
from tests.bootstrap.attacks import SHOP, all_attacks, plan_attacks
from tests.bootstrap.policy_evaluator import Request, applies_to
from tests.bootstrap.test_lifecycle import rare_requests

LEVELS = {"plan": {"read", "adopt-read"}, "deploy": {"read", "adopt-read", "write", "destroy", "adopt"}}
DISTRIBUTION, GROUP = (
    SHOP.arn("cloudfront", "distribution/E1ABCDEFGHIJKL", regional=False),
    SHOP.arn("ec2", "security-group/sg-9"),
)
UNPROVOKED: Mapping[str, str] = {
    f"kms:DescribeKey {full_stack.KEY}": "the stack's other database has it for every key: RDS manages its password",
}
"""Grants that no request needs alone, with the reason."""


def adoptions() -> list[Request]:
    """The requests about a distribution and a security group that a manifest adopts and that have no tags yet."""
    marks = {f"aws:RequestTag/{key}": value for key, value in SHOP.tags.items()}
    return [
        Request("cloudfront:GetDistribution", DISTRIBUTION),
        Request("cloudfront:GetDistributionConfig", DISTRIBUTION),
        Request("cloudfront:TagResource", DISTRIBUTION, marks),
        Request("ec2:CreateTags", GROUP, {**marks, "aws:TagKeys": tuple(SHOP.tags)}),
    ]


def restores() -> list[Request]:
    """The requests of ``restore database``, its drill and ``upgrade``, by the types of the authorization reference."""
    name = "shop-prod-main"
    restored, kept = f"{name}-restored-1a2b3c4d", f"{name}-before-1a2b3c4d"
    shared = (
        "subgrp:shop-prod-main",
        "pg:shop-prod-main-postgres16",
        "pg:default.postgres16",
        "og:default:postgres-16",
    )
    targets = (f"db:{name}", f"db:{restored}", *shared)
    by_action = {
        "RestoreDBInstanceToPointInTime": (*targets, "auto-backup:ab-1a2b3c4d"),
        "RestoreDBInstanceFromDBSnapshot": (*targets, "snapshot:by-hand"),
        "ModifyDBInstance": (f"db:{restored}",),
        "AddTagsToResource": (f"db:{restored}",),
        "RemoveTagsFromResource": (f"db:{name}", f"db:{kept}"),
        "DescribeDBInstanceAutomatedBackups": (f"db:{name}",),
        "DeleteDBInstance": (f"db:{name}-drill-1a2b3c4d",),
        "CreateDBSnapshot": (f"db:{name}", f"snapshot:{name}-before-version-17"),
        "DescribeDBEngineVersions": ("pg:default.postgres16",),
    }
    return [Request(f"rds:{action}", SHOP.arn("rds", item)) for action, items in by_action.items() for item in items]


def ledger_restores() -> list[Request]:
    """The requests of ``restore ledger`` beyond those of a deploy: ListObjectVersions, GetObject with a version."""
    return [
        Request("s3:ListBucketVersions", "arn:aws:s3:::shop-releases"),
        Request("s3:GetObjectVersion", "arn:aws:s3:::shop-releases/ledger/prod.json"),
    ]


def model_status() -> list[Request]:
    """The requests of ``model status --publish`` beyond those of a deploy (``test_model_status``)."""
    return [
        Request("s3:GetObject", "arn:aws:s3:::shop-files/ml-training/m1/catalogue.json"),
        Request("s3:PutObject", "arn:aws:s3:::shop-files/ml-models/training-needed.json"),
    ]


class Grant(NamedTuple):
    """One action on one ARN template under one condition, wherever the tables say so."""

    action: str
    arn: str
    condition: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.action, self.arn, f"if {self.condition}" if self.condition else "")))


class Statement(NamedTuple):
    """A grant as a statement of the policies of one environment."""

    grant: Grant
    document: Mapping[str, Any]


def list_statements(desired: DesiredState, role: str) -> dict[str, list[Statement]]:
    """The statements of a role by action, one for each grant of each resource."""
    statements: dict[str, list[Statement]] = defaultdict(list)
    conditions = build_conditions(desired)
    for target in policy_documents.list_targets(desired):
        for rule in target.rules:
            if rule.access_level in LEVELS[role] - target.excluded_levels:
                for action in rule.actions:
                    for arn in rule.arns:
                        filled = policy_documents.fill_arn_template(arn, desired.scope, target.name)
                        statement = {"Effect": "Allow", "Action": [action], "Resource": [filled]}
                        condition = {"Condition": conditions[rule.condition]} if rule.condition else {}
                        grant = Grant(action, arn, rule.condition)
                        statements[action].append(Statement(grant, {**statement, **condition}))
    return statements


def find_needed(statements: Mapping[str, list[Statement]], requests: Iterable[Request]) -> Iterator[Grant]:
    """The grants without which some request would be denied."""
    for request in requests:
        granting = {item.grant for item in statements[request.action] if applies_to(item.document, request)}
        if len(granting) == 1:
            yield from granting


def built_stack(folder: Path, runtime: str) -> DesiredState:
    folder.mkdir()
    manifests = full_stack.write_built(folder, runtime)
    for file in ("cdn.yaml", "databases.yaml"):
        text = (manifests / file).read_text()
        (manifests / file).write_text(re.sub(r"metadata: {name: (\w+)}", r"metadata: {name: \1, adopt: true}", text))
    return pipeline.load_desired(manifests, "prod", include_artefacts=False)


@pytest.mark.slow
@pytest.mark.xdist_group("lifecycle")
def test_every_grant_is_needed(tmp_path: Path) -> None:
    """Dropping any action or ARN of any rule denies a request that a plan, a deploy or a case makes."""
    needed: set[Grant] = set()
    grants: set[Grant] = set()
    for runtime in lifecycle.RUNTIMES:
        for stage in lifecycle.record(runtime):
            for role in LEVELS:
                statements = list_statements(stage.desired, role)
                grants |= {item.grant for items in statements.values() for item in items}
                needed |= set(find_needed(statements, stage.requests(role)))
        statements = list_statements(built_stack(tmp_path / runtime, runtime), "deploy")
        grants |= {item.grant for items in statements.values() for item in items}
        needed |= set(
            find_needed(
                statements, [*rare_requests(runtime), *adoptions(), *restores(), *ledger_restores(), *model_status()]
            )
        )
    for index, case in enumerate(test_resource_cases.ALL_CASES):
        statements = list_statements(test_resource_cases.roles_for(index).desired, "deploy")
        needed |= set(find_needed(statements, test_resource_cases.list_requests(case)))

    assert len(grants) > 250
    assert sorted({str(grant) for grant in grants - needed}) == sorted(UNPROVOKED)


@pytest.mark.parametrize("runtime", lifecycle.RUNTIMES)
def test_every_condition_keeps_an_attack_out(runtime: str, tmp_path: Path) -> None:
    """Dropping a condition, or any one of its keys, from any grant lets an attack through."""
    desired = built_stack(tmp_path / runtime, runtime)
    unnoticed = set()
    for role in LEVELS:
        attacks: dict[str, list[Request]] = defaultdict(list)
        for attack in [*all_attacks(), *(plan_attacks() if role == "plan" else ())]:
            attacks[attack.action].append(attack)
        for items in list_statements(desired, role).values():
            for item in items:
                for loosened, key in _loosen(item.document):
                    if not any(applies_to(loosened, attack) for attack in attacks[item.grant.action]):
                        unnoticed.add(f"{role}: {item.grant} without {key}")

    assert sorted(unnoticed) == []


def _loosen(statement: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The statement without each key of its condition."""
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            condition = json.loads(json.dumps(statement["Condition"]))
            del condition[operator][key]
            yield {**statement, "Condition": condition}, f"{operator} {key}"
