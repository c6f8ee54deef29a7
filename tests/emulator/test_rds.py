"""RDS in time: creation, pending changes, windows, protection, snapshots, restores."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import Account, Client, Clients, error_code, wait_until


@pytest.fixture
def rds(aws: Clients) -> Client:
    return aws("rds")


def described(rds: Client, name: str = "main") -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


class TestInstance:
    def test_it_is_created_in_time(self, emulator: Emulator, account: Account, rds: Client) -> None:
        """Creating and without an address, then available with one."""
        emulator.faults = Faults(settle_seconds={"rds": 1.0})
        available = account.create_instance

        rds.create_db_instance(
            DBInstanceIdentifier="Early",
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="joiabagur",
            MasterUserPassword="correct-horse",
        )
        early = described(rds, "EARLY")
        late = available()

        assert (early["DBInstanceStatus"], early["DBInstanceIdentifier"], early.get("Endpoint")) == (
            "creating",
            "early",
            None,
        )
        assert late["Endpoint"]["Port"] == 5432
        assert late["Endpoint"]["Address"].endswith(".eu-west-1.rds.amazonaws.com")

    def test_it_is_found_by_its_resource_id(self, account: Account, rds: Client) -> None:
        """Terraform looks for the id that outlives a change of name; every instance has its own."""
        one, other = account.create_instance("one"), account.create_instance("other")
        wanted = [{"Name": "dbi-resource-id", "Values": [other["DbiResourceId"]]}]
        found = rds.describe_db_instances(Filters=wanted)["DBInstances"]

        assert one["DbiResourceId"] != other["DbiResourceId"]
        assert [each["DBInstanceIdentifier"] for each in found] == ["other"]

    def test_defaults_read_back(self, account: Account) -> None:
        """A major version becomes a full one, and what was not given has AWS's default."""
        found = account.create_instance(StorageEncrypted=True)

        assert found["EngineVersion"].startswith("16.")
        assert found["KmsKeyId"].startswith("arn:aws:kms:eu-west-1:123456789012:key/")
        assert found["LicenseModel"] == "postgresql-license"
        assert found["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres16"
        assert (found["AutoMinorVersionUpgrade"], found["MultiAZ"], found["PubliclyAccessible"]) == (True, False, False)
        assert found["EngineLifecycleSupport"] == "open-source-rds-extended-support"
        assert "LatestRestorableTime" in found

    def test_observation_reads_back(self, account: Account, rds: Client) -> None:
        """The role of enhanced monitoring; how long Performance Insights keep, 7 days unless said."""
        role = "arn:aws:iam::123456789012:role/rds-monitoring-role"
        found = account.create_instance(MonitoringInterval=60, MonitoringRoleArn=role, EnablePerformanceInsights=True)
        assert (found["MonitoringInterval"], found["MonitoringRoleArn"]) == (60, role)
        assert found["PerformanceInsightsRetentionPeriod"] == 7

        rds.modify_db_instance(DBInstanceIdentifier="main", EnablePerformanceInsights=False)

        assert not described(rds)["PerformanceInsightsEnabled"]

    def test_an_outage_waits_for_the_window(self, account: Account, rds: Client) -> None:
        """A class change stays pending; the backup window changes at once."""
        account.create_instance()

        rds.modify_db_instance(
            DBInstanceIdentifier="main", DBInstanceClass="db.t4g.micro", PreferredBackupWindow="02:00-03:00"
        )

        found = described(rds)
        assert (found["DBInstanceClass"], found["DBInstanceStatus"]) == ("db.t3.micro", "available")
        assert found["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.micro"}
        assert found["PreferredBackupWindow"] == "02:00-03:00"

    def test_apply_immediately_flushes_all_that_is_pending(self, account: Account, rds: Client) -> None:
        """Not only what comes with it."""
        account.create_instance()
        rds.modify_db_instance(DBInstanceIdentifier="main", DBInstanceClass="db.t4g.micro")

        rds.modify_db_instance(DBInstanceIdentifier="main", AllocatedStorage=30, ApplyImmediately=True)

        found = account.wait_for_instance()
        assert (found["DBInstanceClass"], found["AllocatedStorage"]) == ("db.t4g.micro", 30)

    def test_a_new_password_is_pending_and_masked(self, emulator: Emulator, account: Account, rds: Client) -> None:
        """Until it is applied."""
        account.create_instance()
        emulator.faults = Faults(settle_seconds={"rds": 0.2})

        rds.modify_db_instance(DBInstanceIdentifier="main", MasterUserPassword="another-horse", ApplyImmediately=True)

        assert described(rds)["PendingModifiedValues"] == {"MasterUserPassword": "****"}
        assert account.wait_for_instance()["PendingModifiedValues"] == {}

    def test_a_busy_instance_is_left_alone(self, emulator: Emulator, account: Account, rds: Client) -> None:
        """InvalidDBInstanceState while it is modified; at first it still says available."""
        account.create_instance()
        emulator.faults = Faults(settle_seconds={"rds": 60})
        answer = rds.modify_db_instance(
            DBInstanceIdentifier="main", DBInstanceClass="db.t4g.micro", ApplyImmediately=True
        )

        assert answer["DBInstance"]["DBInstanceStatus"] == "available"
        again = {"DBInstanceIdentifier": "main", "DBInstanceClass": "db.t3.small"}
        assert error_code(rds.modify_db_instance, **again) == "InvalidDBInstanceState"
        snapshot = {"DBInstanceIdentifier": "main", "DBSnapshotIdentifier": "now"}
        assert error_code(rds.create_db_snapshot, **snapshot) == "InvalidDBInstanceState"

    def test_deletion_is_guarded(self, account: Account, rds: Client) -> None:
        """Protection first, then a word about the final snapshot."""
        account.create_instance(DeletionProtection=True)
        gone = {"DBInstanceIdentifier": "main", "SkipFinalSnapshot": True}
        assert error_code(rds.delete_db_instance, **gone) == "InvalidParameterCombination"
        rds.modify_db_instance(DBInstanceIdentifier="main", DeletionProtection=False)
        assert error_code(rds.delete_db_instance, DBInstanceIdentifier="main") == "InvalidParameterCombination"

        rds.delete_db_instance(DBInstanceIdentifier="main", FinalDBSnapshotIdentifier="main-final")

        wait_until(lambda: rds.describe_db_instances()["DBInstances"], lambda found: found == [])
        assert error_code(rds.describe_db_instances, DBInstanceIdentifier="main") == "DBInstanceNotFound"
        snapshots = rds.describe_db_snapshots(DBSnapshotIdentifier="main-final")["DBSnapshots"]
        assert [each["DBSnapshotIdentifier"] for each in snapshots] == ["main-final"]

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"PreferredMaintenanceWindow": "sun:03:30-sun:04:30"}, "InvalidParameterValue"),
            ({"PreferredBackupWindow": "23:30-00:30", "PreferredMaintenanceWindow": "mon:00:00-mon:01:00"},
             "InvalidParameterValue"),
            ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
            ({"MasterUserPassword": "with/a/slash"}, "InvalidParameterValue"),
            ({"DBInstanceClass": "t3.micro"}, "InvalidParameterValue"),
            ({"StorageType": "gp3", "Iops": 3000}, "InvalidParameterCombination"),
            ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
            ({"DBInstanceIdentifier": "double--hyphen"}, "InvalidParameterValue"),
            ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault"),
            ({"DBParameterGroupName": "none"}, "DBParameterGroupNotFound"),
        ],
    )  # fmt: skip
    def test_it_refuses(self, rds: Client, changed: dict[str, Any], code: str) -> None:
        """What RDS does not take."""
        wanted = {
            "DBInstanceIdentifier": "main",
            "Engine": "postgres",
            "DBInstanceClass": "db.t3.micro",
            "AllocatedStorage": 20,
            "MasterUsername": "joiabagur",
            "MasterUserPassword": "correct-horse",
            "PreferredBackupWindow": "03:00-04:00",
            **changed,
        }
        assert error_code(rds.create_db_instance, **wanted) == code

    def test_storage_does_not_shrink(self, account: Account, rds: Client) -> None:
        """And grows by a tenth at least."""
        account.create_instance()
        less = {"DBInstanceIdentifier": "main", "AllocatedStorage": 10, "ApplyImmediately": True}

        assert error_code(rds.modify_db_instance, **less) == "InvalidParameterCombination"
        rds.modify_db_instance(DBInstanceIdentifier="main", AllocatedStorage=21, ApplyImmediately=True)
        assert account.wait_for_instance()["AllocatedStorage"] == 22


class TestGroups:
    def test_two_zones_are_needed(self, account: Account, rds: Client) -> None:
        """A subnet group spans two availability zones."""
        wanted = {"DBSubnetGroupName": "main", "DBSubnetGroupDescription": "d", "SubnetIds": account.list_subnets()[:1]}

        assert error_code(rds.create_db_subnet_group, **wanted) == "DBSubnetGroupDoesNotCoverEnoughAZs"

    def test_a_used_group_stays(self, account: Account, rds: Client, aws: Clients) -> None:
        """Neither a subnet group, nor a parameter group, nor a security group goes while an instance uses it."""
        rds.create_db_subnet_group(
            DBSubnetGroupName="MAIN", DBSubnetGroupDescription="d", SubnetIds=account.list_subnets()[:2]
        )
        rds.create_db_parameter_group(DBParameterGroupName="main", DBParameterGroupFamily="postgres16", Description="d")
        network = aws("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        group = aws("ec2").create_security_group(GroupName="db", Description="d", VpcId=network)["GroupId"]
        found = account.create_instance(
            DBSubnetGroupName="Main", DBParameterGroupName="main", VpcSecurityGroupIds=[group]
        )

        assert found["DBSubnetGroup"]["DBSubnetGroupName"] == "main"
        used = rds.delete_db_subnet_group
        assert error_code(used, DBSubnetGroupName="main") == "InvalidDBSubnetGroupStateFault"
        assert error_code(rds.delete_db_parameter_group, DBParameterGroupName="main") == "InvalidDBParameterGroupState"
        assert error_code(aws("ec2").delete_security_group, GroupId=group) == "DependencyViolation"

    def test_a_missing_parameter_group_is_an_error(self, rds: Client) -> None:
        """AWS's own are there, others not."""
        assert error_code(rds.describe_db_parameter_groups, DBParameterGroupName="x") == "DBParameterGroupNotFound"
        default = rds.describe_db_parameter_groups(DBParameterGroupName="default.postgres16")["DBParameterGroups"]
        assert default[0]["DBParameterGroupFamily"] == "postgres16"


class TestRestore:
    def test_from_a_snapshot(self, account: Account, rds: Client) -> None:
        """A new instance with the old facts and without its protection."""
        account.create_instance(DeletionProtection=True, DBName="joiabagur")
        rds.create_db_snapshot(DBInstanceIdentifier="main", DBSnapshotIdentifier="before")
        wait_until(
            lambda: rds.describe_db_snapshots(DBSnapshotIdentifier="before")["DBSnapshots"][0]["Status"],
            lambda status: status == "available",
        )

        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="copy", DBSnapshotIdentifier="before")

        copy = account.wait_for_instance("copy")
        assert (copy["MasterUsername"], copy["AllocatedStorage"], copy["DBName"]) == ("joiabagur", 20, "joiabagur")
        assert copy["DeletionProtection"] is False

    def test_to_a_point_in_time(self, account: Account, rds: Client) -> None:
        """Inside of the window only, and only with backups."""
        account.create_instance()
        params = {"SourceDBInstanceIdentifier": "main", "TargetDBInstanceIdentifier": "copy"}
        restore = rds.restore_db_instance_to_point_in_time

        assert error_code(restore, **params, RestoreTime=datetime(2001, 1, 1, tzinfo=UTC)) == "InvalidParameterValue"
        restore(**params, UseLatestRestorableTime=True)
        assert account.wait_for_instance("copy")["BackupRetentionPeriod"] == 7
        account.create_instance("bare", BackupRetentionPeriod=0)
        bare = {"SourceDBInstanceIdentifier": "bare", "TargetDBInstanceIdentifier": "other"}
        assert error_code(restore, **bare, UseLatestRestorableTime=True) == "PointInTimeRestoreNotEnabled"


def test_the_catalogue(rds: Client) -> None:
    """Versions and classes of PostgreSQL can be asked for."""
    versions = rds.describe_db_engine_versions(Engine="postgres", EngineVersion="16")["DBEngineVersions"]
    orderable = rds.describe_orderable_db_instance_options(
        Engine="postgres", EngineVersion="16", DBInstanceClass="db.t3.micro"
    )["OrderableDBInstanceOptions"]

    assert {each["DBParameterGroupFamily"] for each in versions} == {"postgres16"}
    assert {each["DBInstanceClass"] for each in orderable} == {"db.t3.micro"}
