"""RDS with real PostgreSQL behind it: what AWS documents of its databases holds for rows, TLS, copies and time.

Sources, each named at its test: the Amazon RDS User Guide ("Restoring a DB instance to a specified time", "Restoring to
a DB instance", "Using SSL with a PostgreSQL DB instance", "Renaming a DB instance", "Working with automated backups").
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.emulator import Emulator, start
from orchestrator.emulator.database_engine import find_binaries
from orchestrator.emulator.database_engine.certificates import CertificateAuthority
from tests.emulator.account import Client, error_code, make_client, wait_until

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
PASSWORD = "correct-horse-9"


class RealAccount:
    """An account whose databases answer."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.rds: Client = make_client(emulator, "rds")
        self.ca_file = folder / "rds-ca.pem"
        self.ca_file.write_text(emulator.database_ca_bundle)

    def create(self, name: str, **changed: Any) -> dict[str, Any]:
        """A new instance, available."""
        self.rds.create_db_instance(
            **{
                "DBInstanceIdentifier": name,
                "Engine": "postgres",
                "EngineVersion": "15",
                "DBInstanceClass": "db.t3.micro",
                "AllocatedStorage": 20,
                "MasterUsername": "shop",
                "MasterUserPassword": PASSWORD,
                "DBName": "shop",
                "BackupRetentionPeriod": 7,
                **changed,
            }
        )
        return self.wait(name)

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found

    def wait(self, name: str, *statuses: str) -> dict[str, Any]:
        """The instance, once it has one of these statuses, "available" without any."""
        wanted = statuses or ("available",)
        found: dict[str, Any] = wait_until(
            lambda: self.describe(name), lambda item: item["DBInstanceStatus"] in wanted, 60
        )
        return found

    def connect(self, name: str, mode: str = "verify-full", password: str = PASSWORD, **options: Any) -> Any:
        endpoint = self.describe(name)["Endpoint"]
        settings: dict[str, Any] = {
            "host": endpoint["Address"],
            "port": endpoint["Port"],
            "dbname": "shop",
            "user": "shop",
            "password": password,
            "sslmode": mode,
            "sslrootcert": str(self.ca_file),
            "autocommit": True,
            **options,
        }
        return psycopg.connect(**settings)

    def rows(self, name: str) -> list[str]:
        with self.connect(name) as connection:
            return [row[0] for row in connection.execute("SELECT note FROM notes ORDER BY note")]

    def write(self, name: str, note: str) -> None:
        with self.connect(name) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
            connection.execute("INSERT INTO notes VALUES (%s)", [note])

    def wait_for_snapshot(self, name: str) -> None:
        wait_until(
            lambda: self.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"],
            lambda status: status == "available",
            60,
        )


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """One account for the module: each test names its own instances."""
    with start(settle_seconds=0, run_services=True) as emulator:
        account = RealAccount(emulator, tmp_path_factory.mktemp("databases"))
        yield account
        account.rds.close()


def next_second() -> datetime:
    """A moment with whole seconds, later than everything before and earlier than everything after."""
    time.sleep(1.05)
    moment = datetime.now(UTC).replace(microsecond=0)
    time.sleep(1.0)
    return moment


def test_tls_means_what_it_means_at_rds(aws: RealAccount, tmp_path: Path) -> None:
    """A private authority; ``rds.force_ssl`` is 1 from PostgreSQL 15 on ("Using SSL with a PostgreSQL DB instance")."""
    aws.create("tls")
    other_authority = tmp_path / "other.pem"
    other_authority.write_text(CertificateAuthority().bundle)

    for mode in ("require", "verify-ca", "verify-full"):
        with aws.connect("tls", mode) as connection:
            assert connection.pgconn.ssl_in_use
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        aws.connect("tls", "disable")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        aws.connect("tls", sslrootcert=str(other_authority))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        aws.connect("tls", password="something-else")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba.conf entry|pg_hba.conf rejects"):
        aws.connect("tls", user="rdsadmin")


def test_parameters_apply(aws: RealAccount) -> None:
    """Dynamic ones at once, static ones after a reboot, and until then they are pending."""
    aws.rds.create_db_parameter_group(
        DBParameterGroupName="tuned", DBParameterGroupFamily="postgres15", Description="d"
    )
    aws.create("tuned", DBParameterGroupName="tuned")

    def show(name: str) -> str:
        with aws.connect("tuned") as connection:
            return str(connection.execute(f"SHOW {name}").fetchone()[0])

    assert show("max_connections") == "84"  # LEAST({DBInstanceClassMemory/9531392}, 5000) of 1 GiB less RDS's share
    parameters = [
        {"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"},
        {"ParameterName": "max_connections", "ParameterValue": "40", "ApplyMethod": "pending-reboot"},
    ]
    aws.rds.modify_db_parameter_group(DBParameterGroupName="tuned", Parameters=parameters)

    assert (show("work_mem"), show("max_connections")) == ("8MB", "84")
    assert aws.describe("tuned")["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    aws.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    aws.wait("tuned")
    assert show("max_connections") == "40"
    assert aws.describe("tuned")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    aws.rds.modify_db_parameter_group(
        DBParameterGroupName="tuned",
        Parameters=[{"ParameterName": "max_connections", "ParameterValue": "-5", "ApplyMethod": "pending-reboot"}],
    )
    aws.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    aws.wait("tuned", "incompatible-parameters")


def test_a_password_changes(aws: RealAccount) -> None:
    """The old one is refused; a managed one is in a secret of its own."""
    aws.create("keys")
    aws.rds.modify_db_instance(DBInstanceIdentifier="keys", MasterUserPassword="a-new-password")
    wait_until(
        lambda: aws.describe("keys"), lambda item: "MasterUserPassword" not in item.get("PendingModifiedValues", {}), 60
    )
    aws.connect("keys", password="a-new-password").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        aws.connect("keys")


def test_a_restore_to_a_time_has_the_rows_of_that_time(aws: RealAccount) -> None:
    """A new instance with default groups and protection, without tags ("Restoring ... to a specified time")."""
    tags = [{"Key": "team", "Value": "shop"}]
    source = aws.create("past", DeletionProtection=True, Tags=tags)
    restore = aws.rds.restore_db_instance_to_point_in_time
    time.sleep(1.0)
    aws.write("past", "early")
    moment = next_second()
    aws.write("past", "late")
    wait_until(lambda: aws.describe("past")["LatestRestorableTime"], lambda latest: latest >= moment)

    names = {"SourceDBInstanceIdentifier": "past", "TargetDBInstanceIdentifier": "past-copy"}
    ahead = datetime.now(UTC) + timedelta(seconds=30)
    assert error_code(restore, **names, RestoreTime=ahead) == "InvalidParameterValue"
    before = source["InstanceCreateTime"] - timedelta(seconds=5)
    assert error_code(restore, **names, RestoreTime=before) == "InvalidParameterValue"
    in_use = {**names, "TargetDBInstanceIdentifier": "past"}
    assert error_code(restore, **in_use, RestoreTime=moment) == "DBInstanceAlreadyExists"

    restore(**names, RestoreTime=moment)
    copy = aws.wait("past-copy")

    assert (aws.rows("past"), aws.rows("past-copy")) == (["early", "late"], ["early"])
    assert (copy["DeletionProtection"], copy.get("TagList", [])) == (False, [])
    assert copy["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres15"
    assert copy["Endpoint"]["Address"] != aws.describe("past")["Endpoint"]["Address"]
    latest = {**names, "TargetDBInstanceIdentifier": "past-latest"}
    restore(**latest, UseLatestRestorableTime=True)
    aws.wait("past-latest")
    assert aws.rows("past-latest") == ["early", "late"]


def test_names_carry_the_endpoint(aws: RealAccount) -> None:
    """After two renames the application's host name leads to the other data ("Renaming a DB instance")."""
    first = aws.create("shop-main")["Endpoint"]["Address"]
    aws.create("shop-new")
    aws.write("shop-main", "old")
    aws.write("shop-new", "new")

    for name, new_name in (("shop-main", "shop-old"), ("shop-new", "shop-main")):
        aws.rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=new_name, ApplyImmediately=True)
        aws.wait(new_name)

    assert aws.describe("shop-main")["Endpoint"]["Address"] == first
    assert (aws.rows("shop-main"), aws.rows("shop-old")) == (["new"], ["old"])


def test_what_outlives_a_deletion(aws: RealAccount) -> None:
    """The final snapshot, the retained backup ("Working with automated backups"), and a stopped instance's rows."""
    resource_id = aws.create("gone")["DbiResourceId"]
    time.sleep(1.0)
    aws.write("gone", "kept")
    aws.rds.stop_db_instance(DBInstanceIdentifier="gone")
    aws.wait("gone", "stopped")
    with pytest.raises(psycopg.OperationalError):
        aws.connect("gone")
    aws.rds.start_db_instance(DBInstanceIdentifier="gone")
    aws.wait("gone")
    assert aws.rows("gone") == ["kept"]

    aws.rds.delete_db_instance(
        DBInstanceIdentifier="gone", FinalDBSnapshotIdentifier="gone-final", DeleteAutomatedBackups=False
    )
    wait_until(
        lambda: [item["DBInstanceIdentifier"] for item in aws.rds.describe_db_instances()["DBInstances"]],
        lambda names: "gone" not in names,
        60,
    )
    aws.wait_for_snapshot("gone-final")
    backup = aws.rds.describe_db_instance_automated_backups(DbiResourceId=resource_id)["DBInstanceAutomatedBackups"][0]
    assert backup["Status"] == "retained"

    aws.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="back", DBSnapshotIdentifier="gone-final")
    aws.rds.restore_db_instance_to_point_in_time(
        SourceDbiResourceId=resource_id, TargetDBInstanceIdentifier="back-too", UseLatestRestorableTime=True
    )
    for name in ("back", "back-too"):
        aws.wait(name)
        assert aws.rows(name) == ["kept"]
