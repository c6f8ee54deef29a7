"""PostgreSQL instances.  API: RDS CreateDBInstance, ModifyDBInstance, DeleteDBInstance, DescribeDBInstances.

Two fields have no place in RDS and stand on the instance as tags: ``apply`` (whether what causes an outage waits for
the maintenance window) and ``credentials`` (which secret, and which key in it, holds the master password).
Two fields are never declared: ``ready`` (it has an address) and ``surplus_gb`` (storage beyond what is asked for).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.ownership_tags import parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources.rds_instance import live_shape, modify, password
from orchestrator.resources.rds_instance.api_members import BUSY_CODES, NOT_FOUND_CODES
from orchestrator.resources.rds_instance.messages import effects, stuck
from orchestrator.steps import ApiCall, Outputs, Steps, Wait
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

__all__ = ["effects", "stuck"]

IMMUTABLE = frozenset(
    {"engine", "database", "username", "encrypted", "kms_key", "availability_zone", "subnet_group", "surplus_gb"}
)
STATEFUL = True
USES = frozenset({"rds_subnet_group", "rds_parameter_group", "ec2_security_group", "secretsmanager_secret"})
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:db:(?P<name>.+)")

CREATION_TIMEOUT_SECONDS = 3600.0
DELETION_TIMEOUT_SECONDS = 3600.0


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Sets sorted, and the two fields that every instance is to have."""
    sorted_fields = {
        key: sort_canonically(spec[key]) for key in ("security_groups", "logs") if isinstance(spec.get(key), list)
    }
    return {"ready": True, "surplus_gb": 0, **spec, **sorted_fields}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """One listing for all instances; what is pending counts as done, for it needs no second order."""
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    instance = next((item for item in instances if item["DBInstanceIdentifier"] == name.lower()), None)
    if instance is None:
        return None
    live_spec = live_shape.parse_spec(instance, spec)
    return LiveResource(
        normalise(live_spec),
        live_shape.parse_outputs(instance),
        live_shape.parse_private(instance),
        health=live_shape.parse_health(instance),
        status=live_shape.format_status(instance, spec),
        **parse_ownership(live_spec["tags"]),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The instance, then wait: nobody can use it before it has an address."""
    credentials = yield from password.password_parameters(spec["credentials"])
    request = {**modify.build_create_request(name, spec), **credentials, "Tags": to_aws_tags(modify.build_tags(spec))}
    yield ApiCall("rds", "create_db_instance", request, ok_codes=("DBInstanceAlreadyExists",))
    response = yield modify.wait_until_available(name, timeout_seconds=CREATION_TIMEOUT_SECONDS)
    return {**live_shape.parse_outputs(response["DBInstances"][0]), "arn": modify.build_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """One ModifyDBInstance; the password by itself, for it must be in force before the tag says so."""
    outputs: Outputs = {}
    modification = modify.build_modification(name, spec, live, changed)
    if modification is not None:
        yield modification.call
        yield modify.wait_until_available(name, modification.pending_members)
    if "ready" in changed:
        response = yield modify.wait_until_available(name, timeout_seconds=CREATION_TIMEOUT_SECONDS)
        outputs = live_shape.parse_outputs(response["DBInstances"][0])
    if "credentials" in changed:
        was_managed = bool(live.spec.get("credentials", {}).get("managed"))
        request = yield from password.password_parameters(spec["credentials"], stop_managing=was_managed)
        yield ApiCall(
            "rds",
            "modify_db_instance",
            {"DBInstanceIdentifier": name, **request},
            retry_codes=BUSY_CODES,
            timeout_seconds=1800,
        )
        yield modify.wait_until_available(name, ("MasterUserPassword",))
    if changed & {"tags", "credentials", "apply"}:
        request = {"ResourceName": modify.build_arn(scope, name), "Tags": to_aws_tags(modify.build_tags(spec))}
        yield ApiCall("rds", "add_tags_to_resource", request)
    return outputs


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """A final snapshot is taken and the automated backups are kept; RDS refuses while it is protected."""
    if live.private.get("status") != "deleting":
        yield ApiCall(
            "rds",
            "delete_db_instance",
            {
                "DBInstanceIdentifier": name,
                "SkipFinalSnapshot": False,
                "FinalDBSnapshotIdentifier": final_snapshot_name(name, live),
                "DeleteAutomatedBackups": False,
            },
            ok_codes=(*NOT_FOUND_CODES, "DBSnapshotAlreadyExists"),
            retry_codes=BUSY_CODES,
            timeout_seconds=1800,
        )
    listing = ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": name})
    yield Wait(
        listing,
        "DBInstances[0].DBInstanceStatus",
        gone_codes=NOT_FOUND_CODES,
        timeout_seconds=DELETION_TIMEOUT_SECONDS,
        stuck_hint=stuck(live),
    )
    return {}


def final_snapshot_name(name: str, live: LiveResource) -> str:
    """The name of the last snapshot: the same on every try, another for every instance that ever had this name."""
    short_resource_id = str(live.private.get("resource_id") or "").removeprefix("db-").lower()[:12]
    return "-".join(filter(None, (name, "final", short_resource_id)))
