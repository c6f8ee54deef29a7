"""PostgreSQL instances.  API: RDS CreateDBInstance, ModifyDBInstance, DeleteDBInstance, DescribeDBInstances.

Two fields have no place in RDS and stand on the instance as tags: ``apply`` (whether what causes an outage waits for
the maintenance window) and ``credentials`` (which secret, and which key in it, holds the master password).
Two fields are never declared: ``ready`` (it has an address) and ``surplus_gb`` (storage beyond what is asked for).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.ownership_tags import marks, pairs
from orchestrator.resources import Aws
from orchestrator.resources.rds_instance import live_shape, modify, password
from orchestrator.resources.rds_instance.api_members import BUSY, GONE
from orchestrator.resources.rds_instance.messages import effects, stuck
from orchestrator.steps import Call, Outputs, Steps, Wait
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

__all__ = ["effects", "stuck"]

IMMUTABLE = frozenset(
    {"engine", "database", "username", "encrypted", "kms_key", "availability_zone", "subnet_group", "surplus_gb"}
)
STATEFUL = True
USES = frozenset({"rds_subnet_group", "rds_parameter_group", "ec2_security_group", "secretsmanager_secret"})
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:db:(?P<name>.+)")

CREATION = 3600.0
DELETION = 3600.0


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Sets sorted, and the two fields that every instance is to have."""
    sets = {key: canonical(spec[key]) for key in ("security_groups", "logs") if isinstance(spec.get(key), list)}
    return {"ready": True, "surplus_gb": 0, **spec, **sets}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all instances; what is pending counts as done, for it needs no second order."""
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    instance = next((each for each in instances if each["DBInstanceIdentifier"] == name.lower()), None)
    if instance is None:
        return None
    found = live_shape.spec_of(instance, spec)
    return Live(
        normalise(found),
        live_shape.outputs_of(instance),
        live_shape.private_of(instance),
        health=live_shape.health_of(instance),
        status=live_shape.status_of(instance, spec),
        **marks(found["tags"]),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The instance, then wait: nobody can use it before it has an address."""
    credentials = yield from password.given(spec["credentials"])
    body = {**modify.creation(name, spec), **credentials, "Tags": pairs(modify.tags(spec))}
    yield Call("rds", "create_db_instance", body, ok=("DBInstanceAlreadyExists",))
    answer = yield modify.available(name, patience=CREATION)
    return {**live_shape.outputs_of(answer["DBInstances"][0]), "arn": modify.arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One ModifyDBInstance; the password by itself, for it must be in force before the tag says so."""
    outputs: Outputs = {}
    modification = modify.modification(name, spec, live, changed)
    if modification is not None:
        yield modification.call
        yield modify.available(name, modification.awaited)
    if "ready" in changed:
        answer = yield modify.available(name, patience=CREATION)
        outputs = live_shape.outputs_of(answer["DBInstances"][0])
    if "credentials" in changed:
        managed = bool(live.spec.get("credentials", {}).get("managed"))
        body = yield from password.given(spec["credentials"], handed_back=managed)
        yield Call("rds", "modify_db_instance", {"DBInstanceIdentifier": name, **body}, retry=BUSY, patience=1800)
        yield modify.available(name, ("MasterUserPassword",))
    if changed & {"tags", "credentials", "apply"}:
        body = {"ResourceName": modify.arn(scope, name), "Tags": pairs(modify.tags(spec))}
        yield Call("rds", "add_tags_to_resource", body)
    return outputs


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """A final snapshot is taken and the automated backups are kept; RDS refuses while it is protected."""
    if live.private.get("status") != "deleting":
        yield Call(
            "rds",
            "delete_db_instance",
            {
                "DBInstanceIdentifier": name,
                "SkipFinalSnapshot": False,
                "FinalDBSnapshotIdentifier": final_snapshot(name, live),
                "DeleteAutomatedBackups": False,
            },
            ok=(*GONE, "DBSnapshotAlreadyExists"),
            retry=BUSY,
            patience=1800,
        )
    listing = Call("rds", "describe_db_instances", {"DBInstanceIdentifier": name})
    yield Wait(listing, "DBInstances[0].DBInstanceStatus", gone=GONE, patience=DELETION, stuck=stuck(live))
    return {}


def final_snapshot(name: str, live: Live) -> str:
    """The name of the last snapshot: the same on every try, another for every instance that ever had this name."""
    identity = str(live.private.get("resource_id") or "").removeprefix("db-").lower()[:12]
    return "-".join(filter(None, (name, "final", identity)))
