"""What the schemas show as examples is what AWS takes, and what AWS then says of it is no change."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import pipeline
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from tests.proofs import manifests, world


@pytest.mark.both_backends
@pytest.mark.parametrize("kind", manifests.KINDS.values())
def test_every_example_converges(emulator: Emulator, tmp_path: Path, kind: str) -> None:
    """Each example of the kind's schema, in an otherwise minimal manifest, can be applied; then the plan is empty."""
    for number, found in enumerate(manifests.sets(kind)):
        emulator.reset()
        stand_ins = surroundings()
        folder = found.write(tmp_path / str(number), stand_ins)
        desired = pipeline.desired(folder)

        assert world.failures(world.apply(desired)) == []
        assert world.shown(world.plan(desired)) == []


def surroundings() -> dict[str, str]:
    """What the examples speak of and no manifest makes; returns the ids for which AWS draws lots, by the examples'."""
    clients = world.clients()
    where = {"CreateBucketConfiguration": {"LocationConstraint": world.REGION}}
    clients.call("s3", "create_bucket", {"Bucket": "shop-logs", **where})
    default = clients.call("ec2", "describe_subnets", {})["Subnets"]
    group = {"DBSubnetGroupName": "default-vpc-0a1b2c3d", "DBSubnetGroupDescription": "somebody's"}
    clients.call("rds", "create_db_subnet_group", {**group, "SubnetIds": [subnet["SubnetId"] for subnet in default]})
    vpc = clients.call("ec2", "create_vpc", {"CidrBlock": "10.9.0.0/16"})["Vpc"]["VpcId"]
    for zone, block in {"a": "10.9.0.0/24", "b": "10.9.1.0/24"}.items():
        place = {"VpcId": vpc, "CidrBlock": block, "AvailabilityZone": f"{world.REGION}{zone}"}
        clients.call("ec2", "create_subnet", place)
    return {
        "vpc-0a1b2c3d4e5f60718": vpc,
        "subnet-0a1b2c3d4e5f60718": default[0]["SubnetId"],
        "subnet-0b1c2d3e4f5a60718": default[1]["SubnetId"],
    }


@pytest.mark.parametrize("entry", manifests.companions())
def test_every_companion_is_needed(tmp_path: Path, entry: str) -> None:
    """Without it the examples it belongs to are refused, in a sentence: no entry outlives its reason."""
    kind = entry.split(".", maxsplit=1)[0].split(":", maxsplit=1)[0]
    refused = []
    for number, found in enumerate(manifests.sets(kind, without=entry)):
        try:
            pipeline.desired(found.write(tmp_path / str(number)))
        except Problems as problems:
            refused.append(problems)

    assert manifests.companions()[entry]["because"]
    assert refused
