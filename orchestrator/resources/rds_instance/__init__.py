"""Manage PostgreSQL instances. API: RDS CreateDBInstance, ModifyDBInstance, DeleteDBInstance, DescribeDBInstances.

Two fields that RDS does not have are stored as tags: ``apply`` (whether changes with an outage wait for the maintenance
window) and ``credentials`` (the secret, and the key in it, that holds the master password). Three fields are never
declared: ``ready`` (the instance has a host name), ``unfinished_restore`` (what a restore that did not finish
restores) and ``power`` (whether it runs). Only the restore command declares ``restored_from``, and
``restore_options`` with it. ``drill_every_days`` is only for the plan's notes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.ownership_tags import parse_ownership, to_aws_tags
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources._database_snapshot import create_new_snapshot
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import find_changes
from orchestrator.resources.rds_instance import live_shape, modify, password, restore, stop_and_start, throwaway
from orchestrator.resources.rds_instance.api_members import (
    BUSY_CODES,
    NO_SNAPSHOT_STATUSES,
    NOT_FOUND_CODES,
    TAG_ROTATION,
    WATCHED,
)
from orchestrator.resources.rds_instance.messages import (
    GENTLE,
    adoption_losses,
    effects,
    losses,
    notes,
    refusals,
    stuck,
)
from orchestrator.resources.rds_instance.modify import is_upgrade_deferred as is_deferred
from orchestrator.steps import ApiCall, Outputs, Steps, Wait
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import POWER_ON, LiveResource, Scope

__all__ = ["GENTLE", "adoption_losses", "effects", "is_deferred", "losses", "notes", "refusals", "stuck"]

IMMUTABLE = frozenset({"engine", "database", "username", "encrypted", "kms_key", "availability_zone", "subnet_group"})
STATEFUL = True
USES = frozenset({"rds_subnet_group", "rds_parameter_group", "ec2_security_group", "secretsmanager_secret"})
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:db:(?P<name>.+)")

CREATION_TIMEOUT_SECONDS = 3600.0
DELETION_TIMEOUT_SECONDS = 3600.0


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with sets sorted and the undeclared fields at their expected values."""
    sorted_fields = {
        key: sort_canonically(spec[key]) for key in ("security_groups", "logs") if isinstance(spec.get(key), list)
    }
    return {"ready": True, "unfinished_restore": None, "power": POWER_ON, **spec, **sorted_fields}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the instance from one listing of all, or None.

    Pending changes that the manifests want count as done, so they are not sent again. In the middle of a restore no
    instance may have the name: then the restored one, which will get it, stands for it.
    """
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    instance = next((item for item in instances if item["DBInstanceIdentifier"] == name.lower()), None)
    unfinished = restore.find_unfinished(instances, scope, name)
    if instance is None and unfinished is not None:
        instance = next(item for item in instances if item["DBInstanceIdentifier"] == unfinished.candidate)
    if instance is None:
        return None
    live_spec = live_shape.parse_spec(instance, spec)
    live = LiveResource(
        normalise(live_spec),
        live_shape.parse_outputs(instance),
        {**live_shape.parse_private(instance), "throwaways": throwaway.find_throwaways(instances, scope, name)},
        health=live_shape.parse_health(instance),
        status=live_shape.format_status(instance, spec),
        pending=live_shape.list_pending(instance),
        unmanaged=(
            *live_shape.list_unmanaged(instance, spec),
            *(find_changes(WATCHED, instance, spec) if spec else ()),
        ),
        **parse_ownership(live_spec["tags"]),
    )
    return live if unfinished is None else _with_unfinished_restore(live, scope, unfinished)


def _with_unfinished_restore(live: LiveResource, scope: Scope, state: restore.RestoreState) -> LiveResource:
    """Return the live instance in the middle of a restore, which belongs to this environment at every moment of it."""
    spec = {**live.spec, "unfinished_restore": state.point, "restored_from": None}
    private = {**live.private, "restore": state}
    return replace(live, spec=spec, private=private, owner=scope.owner, status=f"{live.status}; restore unfinished")


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the instance, or restore it from a backup, and wait until it is available: before it has no host name."""
    if spec.get("restored_from"):
        return (yield from restore.create_from_backup(scope, name, spec))
    credentials = yield from password.password_parameters(spec["credentials"])
    request = {**modify.build_create_request(name, spec), **credentials, "Tags": to_aws_tags(modify.build_tags(spec))}
    yield ApiCall(
        "rds",
        "create_db_instance",
        request,
        exists_codes=("DBInstanceAlreadyExists",),
        read_existing=confirm_existing(read, scope, name, spec),
    )
    response = yield modify.wait_until_available(name, timeout_seconds=CREATION_TIMEOUT_SECONDS)
    return {**live_shape.parse_outputs(response["DBInstances"][0]), "arn": modify.build_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Stop or start, withdraw what must not happen, then send one ModifyDBInstance, after a snapshot if needed.

    The password changes separately, because it must be active before its tag is set.
    """
    if changed & {"restored_from", "unfinished_restore"}:
        return (yield from restore.replace_by_restored(scope, name, spec, live))
    outputs: Outputs = {}
    if "power" in changed:
        yield from stop_and_start.change(scope, name, spec, live)
    for build in (modify.build_withdrawal, modify.build_modification):
        modification = build(name, spec, live, changed)
        if modification is None:
            continue
        if modification.snapshot_purpose:
            yield from create_new_snapshot(name, modification.snapshot_purpose, "The instance was not changed.")
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
        tags = {**_rotation_tag(spec, live), **modify.build_tags(spec)}
        request = {"ResourceName": modify.build_arn(scope, name), "Tags": to_aws_tags(tags)}
        yield ApiCall("rds", "add_tags_to_resource", request)
    return outputs


def _rotation_tag(spec: Mapping[str, Value], live: LiveResource) -> Mapping[str, Value]:
    """Return the empty tag if the password is again the one from before its first rotation: adding removes no tag."""
    had_rotation = bool(live.spec.get("credentials", {}).get("rotation"))
    return {TAG_ROTATION: ""} if had_rotation and spec["credentials"].get("rotation", "") == "" else {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the instance with a final snapshot, keeping automated backups. RDS refuses while it is protected."""
    snapshot = (
        {"SkipFinalSnapshot": True}
        if live.private.get("status") in NO_SNAPSHOT_STATUSES
        else {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": final_snapshot_name(name, live)}
    )
    if live.private.get("status") != "deleting":
        yield ApiCall(
            "rds",
            "delete_db_instance",
            {"DBInstanceIdentifier": name, **snapshot, "DeleteAutomatedBackups": False},
            ok_codes=NOT_FOUND_CODES,
            retry_codes=BUSY_CODES,
            exists_codes=("DBSnapshotAlreadyExists",),
            read_existing=lambda aws, message: _confirm_deleting(aws, name, final_snapshot_name(name, live)),
            timeout_seconds=1800,
        )
    listing = ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": name})
    yield Wait(
        listing,
        "DBInstances[0].DBInstanceStatus",
        deleted_codes=NOT_FOUND_CODES,
        timeout_seconds=DELETION_TIMEOUT_SECONDS,
        stuck_hint=stuck(live),
    )
    return {}


def _confirm_deleting(aws: AwsReader, name: str, snapshot: str) -> Mapping[str, Value]:
    """Return the response of a deletion that an earlier attempt started.  Raises Problems if none has."""
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    status = next((item["DBInstanceStatus"] for item in instances if item["DBInstanceIdentifier"] == name.lower()), "")
    if status not in ("", "deleting"):
        raise Problems.from_message(
            f"{name} was not deleted: its final snapshot {snapshot} already exists, and the instance is {status}",
            hint=f"check the snapshot, delete it with `aws rds delete-db-snapshot --db-snapshot-identifier {snapshot}`"
            ", then run the command again",
        )
    return {}


def final_snapshot_name(name: str, live: LiveResource) -> str:
    """Return the name of the final snapshot: the same on every try, different for each instance of this name."""
    short_resource_id = str(live.private.get("resource_id") or "").removeprefix("db-").lower()[:12]
    return "-".join(filter(None, (name, "final", short_resource_id)))
