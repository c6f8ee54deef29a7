"""What people are told of a change before it is made: every type that says something, and where it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import resources
from orchestrator.resources.migration import TASK_EFFECT
from orchestrator.vocabulary import FieldChange, Health, LiveResource

HOOKS = ("effects", "losses", "stuck")
RUNNING = {"outputs": {"host": "x.example", "url": "https://x.example"}}


def live(**fields: Any) -> LiveResource:
    return LiveResource(**{"spec": {}, "owner": "shop/prod", **fields})


EFFECTS: list[tuple[str, list[str], LiveResource, list[str]]] = [
    ("apprunner_service", ["image"], live(status="RUNNING"), ["Rolling deployment"]),
    ("apprunner_service", ["tags"], live(status="RUNNING"), []),
    ("apprunner_service", ["image"], live(status="PAUSED"), ["Rolling deployment", "The paused service is resumed"]),
    ("apprunner_service", ["tags"], live(status="PAUSED"), []),
    ("apprunner_service", ["image", "encryption_key"], live(status="RUNNING"), ["The service is recreated"]),
    ("apprunner_service", ["tags"], live(status="CREATE_FAILED"), ["The service never ran: it is deleted"]),
    ("budgets_budget", ["limit"], live(), ["The budget shows no spend until AWS recalculates it"]),
    ("budgets_budget", ["tags", "limit"], live(), ["The budget shows no spend until AWS recalculates it"]),
    ("budgets_budget", ["tags", "notifications"], live(), []),
    ("ec2_vpc_endpoint", ["marked"], live(), ["Uses the S3 endpoint of another environment"]),
    ("ec2_vpc_endpoint", ["complete"], live(), []),
    ("ecs_express_service", ["image"], live(status="ACTIVE"), ["Canary deployment"]),
    ("ecs_express_service", ["tags"], live(status="ACTIVE"), []),
    ("ecs_express_service", ["settled"], live(status="ACTIVE"), ["The run waits for the deployment in progress."]),
    ("ecs_express_service", ["settled"], live(status="ACTIVE", health=Health.FAILED), ["Canary deployment"]),
    ("ecs_express_service", ["image"], live(status="DRAINING"), ["The service is recreated with a new URL."]),
    ("ecs_express_service", ["image", "infrastructure_role"], live(status="ACTIVE"), ["The service is recreated"]),
    ("migration", ["build"], live(), []),
    ("migration", ["build"], live(private={"task": "arn"}), [TASK_EFFECT]),
    ("rds_instance", ["instance_class"], live(), ["Changing the class", "A snapshot is created first"]),
    ("rds_instance", ["instance_class", "username"], live(), []),
    ("rds_instance", ["tags"], live(), []),
    ("rds_subnet_group", ["description"], live(), []),
    ("secretsmanager_secret", ["rotation"], live(), ["New values are generated."]),
    ("secretsmanager_secret", ["description"], live(), []),
]  # fmt: skip
LOSSES: list[tuple[str, LiveResource, list[str]]] = [
    ("apprunner_service", live(**RUNNING), ["https://x.example stops responding."]),
    ("apprunner_service", live(), []),
    ("ecs_express_service", live(**RUNNING), ["https://x.example stops responding."]),
    ("ecs_express_service", live(), []),
    (
        "ec2_vpc_endpoint",
        live(private={"other_users": ("shop/test", "till/prod")}),
        ["The S3 endpoint is kept for shop/test and till/prod; only this environment's mark on it is removed."],
    ),
    ("ec2_vpc_endpoint", live(private={"other_users": ()}), []),
    ("rds_instance", live(private={"status": "storage-full"}), []),
    ("rds_instance", live(private={"status": "failed"}), ["The instance is failed: RDS deletes it only without"]),
    ("rds_instance", live(private={"status": "available"}), []),
]
STUCK: list[tuple[str, LiveResource, str]] = [
    ("apprunner_service", live(status="RUNNING"), ""),
    ("apprunner_service", live(status="CREATE_FAILED"), "The first deployment failed."),
    ("apprunner_service", live(status="PAUSED"), "Resume it: `orchestrator wake`."),
    ("cloudfront_distribution", live(), "CloudFront"),
    ("ec2_vpc", live(status="1 zone"), "1 zone; a database needs two."),
    ("ecs_express_service", live(status="ACTIVE", private={"refusal": "no quota"}), ""),
    (
        "ecs_express_service",
        live(status="PENDING", private={"refusal": "no quota"}),
        "the resources of the service: no quota",
    ),
    ("ecs_express_service", live(status="STOPPED"), "The last deployment was stopped."),
    ("ecs_express_service", live(status="PENDING"), "which takes 6 to 10 minutes"),
    (
        "rds_instance",
        live(private={"status": "incompatible-network"}),
        "(status `incompatible-network`).",
    ),
    ("rds_instance", live(spec={"deletion_protection": True}), "first apply `deletionProtection: false`."),
    ("rds_instance", live(), "Check the events of the instance in RDS."),
    ("s3_bucket", live(owner="another AWS account"), "Names are globally unique: choose another `spec.name`."),
    ("s3_bucket", live(), ""),
    ("secretsmanager_secret", live(status="scheduled for deletion"), "Apply the manifest to restore it."),
    ("secretsmanager_secret", live(), ""),
]


@pytest.mark.parametrize(("resource_type", "names", "found", "starts"), EFFECTS)
def test_effects(resource_type: str, names: list[str], found: LiveResource, starts: list[str]) -> None:
    """One sentence for each thing that users notice."""
    fields = tuple(FieldChange((name,), 1, 2) for name in names)
    sentences = resources.update_effects(resource_type, fields, found)

    assert len(sentences) == len(starts), sentences
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, starts, strict=True)), sentences


def test_a_replacement_has_no_effects_of_updates() -> None:
    """With every field that an update can change beside the one that replaces: no snapshot, no window, no roll-out."""
    rows = {
        (resource_type, name)
        for resource_type in resources.list_types()
        for name in resources.load(resource_type).IMMUTABLE
        if hasattr(resources.load(resource_type), "effects")
    }
    others = {row[0]: {name for kind, names, *_ in EFFECTS if kind == row[0] for name in names} for row in rows}
    sentences = [
        sentence
        for resource_type, name in sorted(rows)
        for sentence in resources.update_effects(
            resource_type, tuple(FieldChange((item,), 1, 2) for item in (*sorted(others[resource_type]), name)), live()
        )
    ]

    assert len(rows) == 9
    assert set(sentences) == {"The service is recreated with a new URL."}


@pytest.mark.parametrize(
    ("point", "phrase"),
    [
        ("time 2026-11-29T15:05:00+01:00", "restored to 2026-11-29 14:05:00 UTC,"),
        ("snapshot before-the-import", "restored from snapshot before-the-import,"),
        ("instance main-before-1f", "restored to the replaced instance main-before-1f,"),
    ],
)
def test_a_restore_names_its_point_as_people_read_it(point: str, phrase: str) -> None:
    """Tags hold `time 2026-11-29T14:05:00+00:00`; sentences do not."""
    started, *_ = resources.update_effects("rds_instance", (FieldChange(("restored_from",), "", point),), live())

    assert phrase in started


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (["a", "b", "c"], ["c"], "Subnet a, b is removed from the group."),
        (["b", "a"], ["a"], "Subnet b is removed from the group."),
        (["a"], ["a", "b"], ""),
        (["a"], None, "Subnet a is removed from the group."),
    ],
)
def test_a_subnet_that_goes_is_named(before: Any, after: Any, named: str) -> None:
    """Only of the field that holds subnets."""
    sentences = resources.update_effects("rds_subnet_group", (FieldChange(("subnets",), before, after),), live())
    others = resources.update_effects("rds_subnet_group", (FieldChange(("tags",), before, after),), live())

    assert [sentence.partition(" RDS refuses")[0] for sentence in sentences] == ([named] if named else [])
    assert others == ()


@pytest.mark.parametrize(("resource_type", "found", "starts"), LOSSES)
def test_losses(resource_type: str, found: LiveResource, starts: list[str]) -> None:
    """What a deletion takes from users."""
    sentences = resources.deletion_effects(resource_type, found)

    assert [sentence[: len(start)] for sentence, start in zip(sentences, starts, strict=True)] == starts


@pytest.mark.parametrize(("resource_type", "found", "hint"), STUCK)
def test_hints(resource_type: str, found: LiveResource, hint: str) -> None:
    """What to do about a resource that is not well; nothing if it is."""
    text: str = vars(resources.load(resource_type))["stuck"](found)

    assert hint in text
    assert bool(text) is bool(hint)


def test_every_type_that_says_something_is_here() -> None:
    listed = {
        "effects": {row[0] for row in EFFECTS},
        "losses": {row[0] for row in LOSSES},
        "stuck": {row[0] for row in STUCK},
    }
    speaking = {
        hook: {name for name in resources.list_types() if hasattr(resources.load(name), hook)} for hook in HOOKS
    }

    assert listed == speaking
