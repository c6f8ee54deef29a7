"""What the schemas show as examples is what AWS takes, and what AWS then says of it is no change."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from tests.proofs import manifest_sets, real_stack


@pytest.mark.both_backends
@pytest.mark.parametrize("kind", manifest_sets.KIND_NAMES.values())
def test_every_example_converges(emulator: Emulator, tmp_path: Path, kind: str) -> None:
    """Each value that the kind's schema names, in an otherwise minimal manifest, is applied; then the plan is empty.

    Nothing is left out. Examples that are ids of AWS's making stand for the ids of things that the test makes.
    """
    sets = list(manifest_sets.make_sets(kind))
    assert sets
    for number, found in enumerate(sets):
        emulator.reset()
        stand_ins = surroundings()
        folder = found.write(tmp_path / str(number), stand_ins)
        desired = pipeline.load_desired(folder)

        assert real_stack.list_failures(real_stack.apply(desired)) == []
        assert real_stack.describe_changes(real_stack.make_plan(desired)) == []


def surroundings() -> dict[str, str]:
    """What the examples speak of and no manifest makes; returns the ids for which AWS draws lots, by the examples'."""
    clients = real_stack.clients()
    where = {"CreateBucketConfiguration": {"LocationConstraint": real_stack.REGION}}
    clients.call("s3", "create_bucket", {"Bucket": "shop-logs", **where})
    default = clients.call("ec2", "describe_subnets", {})["Subnets"]
    group = {"DBSubnetGroupName": "default-vpc-0a1b2c3d", "DBSubnetGroupDescription": "somebody's"}
    clients.call("rds", "create_db_subnet_group", {**group, "SubnetIds": [subnet["SubnetId"] for subnet in default]})
    vpc = clients.call("ec2", "create_vpc", {"CidrBlock": "10.9.0.0/16"})["Vpc"]["VpcId"]
    for zone, block in {"a": "10.9.0.0/24", "b": "10.9.1.0/24"}.items():
        place = {"VpcId": vpc, "CidrBlock": block, "AvailabilityZone": f"{real_stack.REGION}{zone}"}
        clients.call("ec2", "create_subnet", place)
    return {
        "vpc-0a1b2c3d4e5f60718": vpc,
        "subnet-0a1b2c3d4e5f60718": default[0]["SubnetId"],
        "subnet-0b1c2d3e4f5a60718": default[1]["SubnetId"],
    }
