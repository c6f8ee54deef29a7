"""A network that changes converges, although App Runner allows one connector for a combination of security groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.aws import AwsError
from orchestrator.emulator import Emulator
from orchestrator.vocabulary import DesiredState
from tests.proofs import real_stack

pytestmark = [pytest.mark.both_backends, pytest.mark.timeout(180)]


def load(folder: Path, subnets: list[str]) -> DesiredState:
    network = f"spec:\n  network: {{subnets: [{', '.join(subnets)}]}}\n" if subnets else "spec:\n"
    return real_stack.load_stack(folder, real_stack.replace_text("project.yaml", ("spec:\n", network)))


def list_default_subnets() -> list[str]:
    """By their zones: a database runs in the first."""
    subnets = real_stack.clients().call("ec2", "describe_subnets", {})["Subnets"]
    return [subnet["SubnetId"] for subnet in sorted(subnets, key=lambda item: str(item["AvailabilityZone"]))]


def test_every_change_of_subnets_is_applied_in_one_run(emulator: Emulator, tmp_path: Path) -> None:
    """The first connector, another for two subnets, and back: each time under a free combination (pulumi-aws 5364)."""
    subnets = list_default_subnets()
    for number, chosen in enumerate(([], subnets[:2], [], [subnets[0], subnets[2]])):
        desired = load(tmp_path / str(number), chosen)

        assert real_stack.list_failures(real_stack.apply(desired)) == [], number
        assert real_stack.describe_changes(real_stack.make_plan(desired)) == [], number

    connectors = real_stack.clients().call("apprunner", "list_vpc_connectors", {})["VpcConnectors"]
    assert [len(connector["SecurityGroups"]) for connector in connectors] == [2]
    assert sorted(connectors[0]["Subnets"]) == sorted([subnets[0], subnets[2]])


def test_a_plan_says_when_a_database_may_run_in_a_subnet_that_goes(emulator: Emulator, tmp_path: Path) -> None:
    """RDS keeps subnets in use (AWS re:Post knowledge centre, "RDS DB subnet group")."""
    subnets = list_default_subnets()
    real_stack.apply(load(tmp_path / "before", []))

    plan = real_stack.make_plan(load(tmp_path / "after", subnets[:2]))

    (change,) = [item for item in plan.pending_changes if item.address.startswith("rds_subnet_group.")]
    assert subnets[2] in change.effects[0]
    assert "`network.subnets`" in change.effects[0]


def test_a_subnet_in_which_a_database_runs_stays(emulator: Emulator, tmp_path: Path) -> None:
    """RDS refuses to drop it ("Some of the subnets to be deleted are currently in use"): the plan knows its zone."""
    aws, subnets = real_stack.clients(), list_default_subnets()
    real_stack.apply(load(tmp_path / "before", []))
    (instance,) = aws.call("rds", "describe_db_instances", {})["DBInstances"]
    (group,) = aws.call("rds", "describe_db_subnet_groups", {})["DBSubnetGroups"]
    zones = {item["SubnetIdentifier"]: item["SubnetAvailabilityZone"]["Name"] for item in group["Subnets"]}
    (used,) = [subnet for subnet, zone in zones.items() if zone == instance["AvailabilityZone"]]
    others = [subnet for subnet in subnets if subnet != used]

    plan = real_stack.make_plan(load(tmp_path / "without", others))

    vetoes = [veto for change in plan.changes for veto in change.vetoes if veto.name == "Refused"]
    assert [used in veto.sentence and "`network.subnets`" in veto.sentence for veto in vetoes] == [True]
    request = {"DBSubnetGroupName": group["DBSubnetGroupName"], "SubnetIds": others}
    with pytest.raises(AwsError, match="currently in use"):
        aws.call("rds", "modify_db_subnet_group", request)
    kept = load(tmp_path / "with", sorted([used, others[0]]))
    assert real_stack.list_failures(real_stack.apply(kept)) == []
    assert real_stack.describe_changes(real_stack.make_plan(kept)) == []
