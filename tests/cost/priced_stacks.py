"""One small stack for each thing that the schemas allow and that costs something, and what has no price for it."""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec.structs import replace

from orchestrator import cost
from orchestrator.cost import price_list
from orchestrator.cost.declared_usage import Amounts
from orchestrator.problems import Position
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource

WANTED_REGIONS = [
    "eu-west-1", "eu-central-1", "eu-west-3", "eu-south-2", "eu-north-1", "us-east-1", "us-east-2", "us-west-2",
]  # fmt: skip
STORAGE_TYPES = ["gp2", "gp3", "io1", "io2"]


def make(address: str, **spec: Any) -> Resource:
    kind, _, name = address.partition(".")
    return Resource(kind, name, name, spec, "x.y", Position("x.yaml"))


def database(
    instance_class: str, *, storage_gb: int = 20, multi_az: bool = False, storage_type: str = "gp3", iops: int = 0
) -> Resource:
    spec = {"instance_class": instance_class, "storage_type": storage_type, "storage_gb": storage_gb, "iops": iops}
    return make("rds_instance.main", multi_az=multi_az, **spec)


def everything() -> dict[str, tuple[list[Resource], dict[str, dict[str, Amounts]]]]:
    """One stack, with its declared use, for each thing that the schemas allow and that costs something."""
    service = make("apprunner_service.api", cpu=256, memory=512)
    subnets = Ref("ec2_vpc.network", "public_subnets")
    express = {"cpu": 256, "memory": 512, "scaling": {"min": 1, "max": 2}, "subnets": subnets}
    old = {"version": "13", "lifecycle_support": "open-source-rds-extended-support"}
    off = {"instance_class": "db.t4g.micro", "storage_gb": 20, "power": "stopped"}
    much = (2000.0, 2000.0, 2000.0)
    stacks = {
        **{family: [database(f"db.{family}.large")] for family in price_list.POSTGRESQL_FAMILIES},
        **{kind: [make("rds_instance.main", storage_type=kind, **off)] for kind in STORAGE_TYPES},
        **{
            f"{kind} iops": [make("rds_instance.main", storage_type=kind, iops=20_000, **off)]
            for kind in STORAGE_TYPES[1:]
        },
        "extended support": [make("rds_instance.main", instance_class="db.t3.large", storage_type="gp3", storage_gb=20,
                                  **old)],
        "app-runner": [service, make("apprunner_autoscaling.api", min_size=1, max_size=2)],
        "ecs-express": [make("ecs_express_service.api", **express)],
        "bucket": [make("s3_bucket.a")],
        "secret": [make("secretsmanager_secret.a")],
        "images": [make("ecr_repository.a")],
        "alarms": [make(f"cloudwatch_alarm.a{number}") for number in range(11)],
    }  # fmt: skip
    used: dict[str, tuple[str, dict[str, Amounts]]] = {
        "logs": ("containerservice.api", {"logsGb": much}),
        "traffic": ("bucket.a", {"trafficGb": much}),
        "cdn traffic": ("cdn.a", {"trafficGb": much}),
        "cdn requests": ("cdn.a", {"requestsMillion": much}),
    }
    role = make("iam_role.free")
    return {
        **{name: (stack, {}) for name, stack in stacks.items()},
        **{name: ([replace(role, component=handle)], {handle: use}) for name, (handle, use) in used.items()},
    }


def find_unpriced(region: str) -> set[str]:
    """Return what the shipped list does not price in ``region``; all else has a line in the estimate.

    Raises AssertionError if something is neither priced nor named.
    """
    unpriced = set()
    for name, (stack, usage) in everything().items():
        estimate = cost.estimate(stack, region, on=date(2026, 12, 1), usage=usage)
        reasons = " ".join(reason for _, reason in estimate.unpriced)
        assert [*estimate.line_items, *estimate.unpriced] != [], name
        assert all(region in reason for _, reason in estimate.unpriced), name
        if estimate.unpriced and _SOUGHT.get(name, "") in reasons:
            unpriced.add(name)
    return unpriced


_SOUGHT = {
    **dict.fromkeys(price_list.POSTGRESQL_FAMILIES, "instance class"),
    "extended support": "Extended Support",
}
"""Which part of a stack is asked for, where a stack has others."""
