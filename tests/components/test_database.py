"""What a Database becomes, who may reach it, and what it is not allowed to say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.components.database import parameter_checks
from orchestrator.components.database.maintenance_windows import WEEKDAYS, duration_minutes, has_overlap
from orchestrator.values import Ref, TemplateString
from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

BASIC = 'version: "16"\ndatabase: shop\nusername: shop'
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64
API = make_document(
    "ContainerService",
    "api",
    f"image: {{ prebuilt: '{IMAGE}' }}\naccess: [database.main]\ninstances: {{ min: 1, max: 5 }}",
)
ALARMS = "alarms: { connections: 60, freeStorageGb: 4, cpuCredits: 20, cpuPercent: 80 }"


def database(extra: str = "", name: str = "main") -> str:
    return make_document("Database", name, f"{BASIC}\n{extra}")


def instance(folder: Path, *documents: str) -> Mapping[str, Any]:
    return manifest_stacks.load_resources(folder, *documents)["rds_instance.main"].spec


def test_a_database_that_says_little_is_private_encrypted_and_protected(tmp_path: Path) -> None:
    """The defaults are the safe choices, and outages wait for the maintenance window."""
    spec = instance(tmp_path, database())

    assert {key: value for key, value in spec.items() if key != "tags"} == {
        "engine": "postgres",
        "version": "16",
        "instance_class": "db.t4g.micro",
        "storage_type": "gp3",
        "storage_gb": 20,
        "storage_max_gb": None,
        "encrypted": True,
        "database": "shop",
        "username": "shop",
        "port": 5432,
        "subnet_group": Ref("rds_subnet_group.main", "name"),
        "security_groups": [Ref("ec2_security_group.main", "id")],
        "parameter_group": "default.postgres16",
        "multi_az": False,
        "public": False,
        "network_type": "IPV4",
        "backup_retention_days": 7,
        "backup_window": "03:00-04:00",
        "copy_tags_to_snapshots": True,
        "maintenance_window": "sun:04:30-sun:05:30",
        "apply": "maintenance-window",
        "minor_upgrades": True,
        "lifecycle_support": "open-source-rds-extended-support-disabled",
        "deletion_protection": True,
        "iam_authentication": False,
        "logs": [],
        "credentials": {"managed": True},
        "insights": False,
        "monitoring_seconds": 0,
    }


def test_only_who_lists_it_may_connect(tmp_path: Path) -> None:
    """Its security group lets in the services that name it and the blocks it names, on its port."""
    made = manifest_stacks.load_resources(tmp_path, database('allowFrom: ["203.0.113.0/24"]\nport: 5433'), API)

    assert made["ec2_security_group.main"].spec["ingress"] == [
        {"protocol": "tcp", "port": "5433", "source": Ref("ec2_security_group.api", "id")},
        {"protocol": "tcp", "port": "5433", "source": "203.0.113.0/24"},
    ]


def test_own_parameters_have_a_group_named_after_their_family(tmp_path: Path) -> None:
    """A major upgrade makes a new group beside the old one, for a family cannot change."""
    made = manifest_stacks.load_resources(tmp_path, database("parameters: { work_mem: 8192 }"))

    assert made["rds_parameter_group.main"].physical == "shop-prod-main-postgres16"
    assert made["rds_instance.main"].spec["parameter_group"] == "shop-prod-main-postgres16"
    assert "rds_parameter_group.main" in made["rds_instance.main"].depends_on


def test_a_database_that_is_taken_over_keeps_its_subnet_group(tmp_path: Path) -> None:
    """RDS moves no instance from one subnet group to another inside of a VPC."""
    made = manifest_stacks.load_resources(tmp_path, database("subnetGroup: legacy"))

    assert "rds_subnet_group.main" not in made
    assert made["rds_instance.main"].spec["subnet_group"] == "legacy"


def test_each_threshold_is_an_alarm(tmp_path: Path) -> None:
    """In the unit and direction of its metric, with the owner's mark at the end of its description."""
    made = manifest_stacks.load_resources(tmp_path, database(ALARMS + "\ninstanceClass: db.t3.micro"))
    alarms = {name: resource.spec for name, resource in made.items() if name.startswith("cloudwatch_alarm.")}

    assert {name: (spec["metric"], spec["statistic"], spec["threshold"]) for name, spec in alarms.items()} == {
        "cloudwatch_alarm.main-connections": ("DatabaseConnections", "Maximum", 60),
        "cloudwatch_alarm.main-cpu": ("CPUUtilization", "Average", 80),
        "cloudwatch_alarm.main-cpu-credits": ("CPUCreditBalance", "Minimum", 20),
        "cloudwatch_alarm.main-free-storage": ("FreeStorageSpace", "Minimum", 4 * 1024**3),
    }
    assert alarms["cloudwatch_alarm.main-free-storage"]["comparison"] == "LessThanOrEqualToThreshold"
    assert all(spec["description"].endswith("[orchestrator shop/prod database.main]") for spec in alarms.values())
    assert all(spec["dimensions"] == {"DBInstanceIdentifier": "shop-prod-main"} for spec in alarms.values())


def test_what_holds_the_password_may_stand_in_a_secret_only(tmp_path: Path) -> None:
    """Host, port and user are anybody's; the connection string is not."""
    open_to_all = API.replace(
        "access:", 'environment: { HOST: "${database.main.host}:${database.main.port}" }\n  access:'
    )
    made = manifest_stacks.load_resources(tmp_path, database(), open_to_all)
    assert made["apprunner_service.api"].spec["environment"]["HOST"] == TemplateString(
        (Ref("rds_instance.main", "host"), ":", "5432")
    )

    closed = open_to_all.replace("database.main.host", "database.main.connectionString")
    assert any(
        "only a Secret can contain one" in sentence
        for sentence in manifest_stacks.list_problems(tmp_path, database(), closed)
    )


def test_the_plan_says_what_is_seldom_wise(tmp_path: Path) -> None:
    """Allowed, and told."""
    spec = "public: true\nbackups: { retentionDays: 0 }\nextendedSupport: true\nparameters: { rds.force_ssl: 0 }"
    notes = manifest_stacks.load_desired(tmp_path, database(spec)).notes

    assert [note.partition(" ")[2].split(";")[0].split(":")[0] for note in notes] == [
        "has a public address",
        "has no automated backups",
        "stays on its PostgreSQL version after standard support ends, which costs about 0.10 USD per vCPU and hour.",
        "accepts connections without TLS (`rds.force_ssl`).",
    ]


BAD = {
    "overlapping windows": ('maintenanceWindow: "mon:03:30-mon:04:30"', "overlap"),
    "windows that overlap past midnight": (
        'backups: { window: "23:30-00:30" }\nmaintenanceWindow: "tue:00:00-tue:01:00"',
        "the backup window 23:30-00:30 and the maintenance window tue:00:00-tue:01:00 overlap",
    ),
    "a window that is too short": ('backups: { window: "03:00-03:10" }', "lasts 10 minutes"),
    "a user of PostgreSQL's own": ("username: admin", "the user name admin is reserved"),
    "a database of RDS's own": ("database: rdsadmin", "the database name rdsadmin is reserved"),
    "speed for a small gp3": ("storage: { iops: 12000 }", "gp3 below 400 GB does not support `iops`"),
    "speed for gp2": ("storage: { type: gp2, iops: 12000 }", "gp2 does not support `iops`"),
    "throughput for io2": (
        "storage: { type: io2, sizeGb: 100, iops: 1000, throughput: 500 }",
        "io2 does not support `throughput`",
    ),
    "io2 without speed": ("storage: { type: io2, sizeGb: 100 }", "io2 requires `iops`"),
    "no room to grow": ("storage: { sizeGb: 100, maxSizeGb: 105 }", "maxSizeGb 105 is too small"),
    "a key for an open disk": (
        "storage: { encrypted: false, kmsKey: 'arn:aws:kms:eu-west-1:123456789012:key/1' }",
        "`kmsKey` requires encrypted storage",
    ),
    "a zone for two zones": ("multiAz: true\navailabilityZone: eu-west-1a", "AWS chooses the zones"),
    "monitoring without a role": ("monitoring: { intervalSeconds: 60 }", "requires a `role`"),
    "a pool upside down": ("pool: { min: 20, max: 10 }", "pool.min 20 is greater than pool.max 10"),
    "credits without credits": (
        "instanceClass: db.m6g.large\nalarms: { cpuCredits: 20 }",
        "db.m6g.large has no CPU credits",
    ),
    "an alarm that never goes off": ("alarms: { connections: 500 }", "this alarm can never fire"),
    "an alarm that never rests": ("alarms: { freeStorageGb: 20 }", "this alarm always fires"),
    "a class that is none": ("instanceClass: t3.micro", "must be an RDS instance class"),
    "too many days": ("backups: { retentionDays: 36 }", "must be 0 to 35 days, the range that RDS allows"),
    "no window at all": ('backups: { window: "3-4" }', "must be written as HH:MM-HH:MM"),
}


@pytest.mark.parametrize(("extra", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_database_that_cannot_be(tmp_path: Path, extra: str, sentence: str) -> None:
    """What RDS would refuse is refused before anything is touched, in a sentence."""
    lines = [line for line in BASIC.splitlines() if line.split(":")[0] not in extra.replace(" ", "").split(":")[0]]
    found = manifest_stacks.list_problems(tmp_path, make_document("Database", "main", "\n".join([*lines, extra])))

    assert len(found) == 1
    assert sentence in found[0]


def test_services_want_no_more_connections_than_there_are(tmp_path: Path) -> None:
    """Five instances with twenty each are more than a micro has."""
    found = manifest_stacks.list_problems(tmp_path, database("pool: { max: 20 }"), API)

    assert found == ["5 instances with 20 connections each need 100 connections, but db.t4g.micro allows about 84"]


def test_a_service_of_the_same_name_would_share_the_security_group(tmp_path: Path) -> None:
    """Each has a group of its name."""
    found = manifest_stacks.list_problems(tmp_path, database(), API.replace("name: api", "name: main"))

    assert any("has the same name" in sentence for sentence in found)


TIMES = st.integers(0, 1439)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@given(TIMES, st.integers(30, 1439), st.sampled_from(WEEKDAYS), TIMES, st.integers(30, 1439))
def test_windows_overlap_exactly_when_they_share_a_minute(
    backup: int, lasting: int, day: str, maintenance: int, long: int
) -> None:
    """Minute by minute of the week, midnight and Sunday night included."""
    start = WEEKDAYS.index(day) * 1440 + maintenance
    end = (start + long) % 10080
    daily = f"{clock(backup)}-{clock((backup + lasting) % 1440)}"
    weekly = f"{day}:{clock(maintenance)}-{WEEKDAYS[end // 1440]}:{clock(end % 1440)}"
    maintained = {(start + offset) % 10080 for offset in range(long)}
    saved = {(each * 1440 + backup + offset) % 10080 for each in range(7) for offset in range(lasting)}

    assert (duration_minutes(daily), duration_minutes(weekly)) == (lasting, long)
    assert has_overlap(daily, weekly) == bool(maintained & saved)


def test_what_is_optional_is_passed_on(tmp_path: Path) -> None:
    """Every optional member at once."""
    everything = [
        "storage: { type: gp3, sizeGb: 400, maxSizeGb: 800, iops: 12000, throughput: 500 }",
        "availabilityZone: eu-west-1a",
        "caCertificate: rds-ca-rsa2048-g1",
        "performanceInsights: { enabled: true }",
        'monitoring: { intervalSeconds: 60, role: "arn:aws:iam::123456789012:role/m" }',
        "logs: [postgresql]",
    ]
    spec = instance(tmp_path, database("\n".join(everything)))

    assert (spec["storage_max_gb"], spec["iops"], spec["throughput"]) == (800, 12000, 500)
    assert (spec["insights"], spec["insights_retention_days"], spec["monitoring_seconds"]) == (True, 7, 60)
    assert (spec["availability_zone"], spec["ca_certificate"]) == ("eu-west-1a", "rds-ca-rsa2048-g1")


@pytest.mark.parametrize(
    ("instance_class", "expected"),
    [
        ("db.t3.medium", "50 connections to database.main (10 from each instance: 5 of containerservice.api), "),
        ("db.t3.medium", "replaces all instances. db.t3.medium allows about 337."),
        ("db.t3.micro", "A deployment can run out of connections: lower `pool.max`."),
    ],
)  # fmt: skip
def test_the_plan_names_the_connections_that_the_services_open(
    tmp_path: Path, instance_class: str, expected: str
) -> None:
    """Instances times pool against LEAST({DBInstanceClassMemory/9531392}, 5000), RDS's documented default."""
    notes = manifest_stacks.load_desired(tmp_path, database(f"instanceClass: {instance_class}"), API).notes

    assert [note for note in notes if expected in note]


@pytest.mark.skipif(shutil.which("postgres") is None, reason="needs postgres")
def test_parameters_are_those_of_postgresql() -> None:
    """Names, types and limits as the server of the same version lists them."""
    version = subprocess.run(["postgres", "--version"], capture_output=True, text=True, check=True).stdout
    if " 15." not in version:
        pytest.skip("needs postgres 15, of which the list is")
    listed = subprocess.run(["postgres", "--describe-config"], capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in listed.splitlines()]
    types = {"BOOLEAN": "bool", "INTEGER": "integer", "REAL": "real", "STRING": "string", "ENUM": "enum"}
    described = {row[0].lower(): (types[row[3]], *map(_round, row[5:7])) for row in rows}
    ours = {
        name: (parameter.type, _round(parameter.lowest), _round(parameter.highest))
        for name, parameter in parameter_checks.list_parameters().items()
        if name in described and parameter.type != "internal"
    }
    assert len(ours) > 300
    assert {name: (limits, described[name]) for name, limits in ours.items() if limits != described[name]} == {}


def _round(limit: str) -> str:
    return f"{float(limit):.4g}" if limit else ""
