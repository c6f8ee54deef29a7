"""DB instances over a backend's: created, modified, deleted in time, with the refusals AWS makes.

The backend keeps what exists, its ARN, tags, groups and snapshots; this keeps facts, states and pending changes.
"""

from __future__ import annotations

import secrets
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds import validation
from orchestrator.emulator.overrides.rds.engine_versions import Catalogue
from orchestrator.emulator.overrides.rds.instance import Instance, group_shape
from orchestrator.emulator.overrides.rds.snapshots import Snapshots
from orchestrator.emulator.overrides.rds.subnet_and_parameter_groups import Groups
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context

_FORWARDED = (
    "DBInstanceIdentifier", "DBInstanceClass", "Engine", "AllocatedStorage", "MasterUsername", "MasterUserPassword",
    "DBName", "VpcSecurityGroupIds", "DBSubnetGroupName", "Port", "Tags", "EngineVersion", "BackupRetentionPeriod",
    "StorageEncrypted", "KmsKeyId", "StorageType", "DBParameterGroupName", "CopyTagsToSnapshot",
)  # fmt: skip
_TOLD_AT_ONCE = ("VpcSecurityGroupIds", "DBParameterGroupName")


class Rds(Snapshots, Groups, Catalogue):
    """RDS as AWS has it, on either backend."""

    def create_db_instance(self, params: Params, context: Context) -> Params:
        """Start creating; it is ``creating`` and without an endpoint until it has settled."""
        name = validation.identifier(params["DBInstanceIdentifier"])
        if self._instance_or_none(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        if not params.get("ManageMasterUserPassword") and "MasterUserPassword" not in params:
            raise validation.invalid("The parameter MasterUserPassword must be provided and must not be blank.")
        validation.check_password(params.get("MasterUserPassword"))
        facts = validation.created(params, self.world.account, context.region)
        return {"DBInstance": self._created(name, facts, params, context)}

    def describe_db_instances(self, params: Params, context: Context) -> Params:
        """The backend's list with states laid over it; identifiers in any case; resource ids are known here alone."""
        filters = params.get("Filters", [])
        ids = {value for each in filters if each["Name"] == "dbi-resource-id" for value in each["Values"]}
        wanted = {**params, "Filters": [each for each in filters if each["Name"] != "dbi-resource-id"]}
        if "DBInstanceIdentifier" in wanted:
            wanted["DBInstanceIdentifier"] = wanted["DBInstanceIdentifier"].lower()
        for each in list(self._instances.values()):
            self._settled(each)
        found = context.forward(wanted)
        shown = [self._shape(each, context.region) for each in found["DBInstances"]]
        found["DBInstances"] = [each for each in shown if not ids or each["DbiResourceId"] in ids]
        return found

    def modify_db_instance(self, params: Params, context: Context) -> Params:
        """At once, in time, or pending until the maintenance window, as the parameters and ApplyImmediately say."""
        found = self._instance(params["DBInstanceIdentifier"], context)
        found.require_available()
        validation.check_password(params.get("MasterUserPassword"))
        pending = validation.pending_of(params, found.facts)
        at_once = validation.facts_of(
            {name: value for name, value in params.items() if name not in validation.DEFERRED}
        )
        if "BackupRetentionPeriod" in pending:
            at_once.pop("BackupRetentionPeriod", None)
        validation.check({**found.facts, **at_once, **pending})
        self._tell(params, found, context)
        found.facts.update(at_once)
        validation.observe(found.facts)
        self._manage(found, params)
        self._apply(found, params, pending)
        answer = {"DBInstance": self._described(found)}
        new_name = params.get("NewDBInstanceIdentifier")
        return self._renamed(found, new_name, context) if new_name else answer

    def delete_db_instance(self, params: Params, context: Context) -> Params:
        """Refused when protected or without word about a final snapshot; gone once it has settled."""
        found = self._instance(params["DBInstanceIdentifier"], context)
        final, skipped = params.get("FinalDBSnapshotIdentifier"), params.get("SkipFinalSnapshot", False)
        if found.phase is not None and found.phase.status == "deleting":
            raise AwsError("InvalidDBInstanceState", f"Instance {found.name} is already being deleted.", 400)
        if found.facts["DeletionProtection"]:
            raise validation.conflict(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        if skipped == (final is not None):
            raise validation.conflict("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
        if final is not None:
            self._take_snapshot(found, final, [])
        keep = params.get("DeleteAutomatedBackups") is False and found.facts["BackupRetentionPeriod"] > 0
        self._retain(found, context, keep=keep)
        found.begin("deleting", self.world.settle("rds"), then="deleted")
        return {"DBInstance": self._described(found)}

    def reboot_db_instance(self, params: Params, context: Context) -> Params:
        """Down for the settle time."""
        return self._away(params, context, "rebooting", "available")

    def stop_db_instance(self, params: Params, context: Context) -> Params:
        """To ``stopped``."""
        return self._away(params, context, "stopping", "stopped")

    def start_db_instance(self, params: Params, context: Context) -> Params:
        """From ``stopped``."""
        found = self._instance(params["DBInstanceIdentifier"], context)
        if found.shown != "stopped":
            raise AwsError("InvalidDBInstanceState", f"Instance {found.name} is not stopped.", 400)
        found.begin("starting", self.world.settle("rds"))
        return {"DBInstance": self._described(found)}

    def groups_in_use(self, region: str) -> set[str]:
        """The security groups of the instances that are not gone."""
        for each in list(self._instances.values()):
            self._settled(each)
        found = [each for each in self._instances.values() if each.region == region]
        return {group["VpcSecurityGroupId"] for each in found for group in each.facts["VpcSecurityGroups"]}

    def _away(self, params: Params, context: Context, status: str, then: str) -> Params:
        found = self._instance(params["DBInstanceIdentifier"], context)
        found.require_available()
        found.begin(status, self.world.settle("rds"), then=then)
        return {"DBInstance": self._described(found)}

    def _created(self, name: str, facts: Params, params: Params, context: Context) -> Params:
        """Make an instance in the backend and start its creation here."""
        told = {each: params[each] for each in _FORWARDED if each in params}
        told |= {"DBInstanceIdentifier": name, "EngineVersion": facts["EngineVersion"]}
        told |= {each: facts[each] for each in ("DBInstanceClass", "Engine", "AllocatedStorage", "MasterUsername")}
        told.setdefault("MasterUserPassword", "managed-elsewhere")
        if "DBSubnetGroupName" in told:
            told["DBSubnetGroupName"] = told["DBSubnetGroupName"].lower()
            self._require_subnet_group(told["DBSubnetGroupName"], context)
        group = told.pop("DBParameterGroupName", None)
        if group is not None:
            self._require_parameter_group(group, context)
        self.world.call("rds", "CreateDBInstance", context.region, **told)
        host = f"{name}.c{secrets.token_hex(6)}.{context.region}.rds.amazonaws.com"
        made = Instance(name, context.region, facts, host)
        family = f"default.{facts['Engine']}{facts['EngineVersion'].partition('.')[0]}"
        made.facts["DBParameterGroups"] = _parameter_groups(group or family)
        made.facts["VpcSecurityGroups"] = group_shape(
            params.get("VpcSecurityGroupIds") or self._default_groups(told.get("DBSubnetGroupName"), context)
        )
        self._manage(made, params)
        self._instances[context.region, name] = made
        made.begin("creating", self.world.settle("rds"))
        if made.phase and "MasterUserPassword" in params:
            made.phase.applies["MasterUserPassword"] = "****"
        return self._described(made)

    def _manage(self, found: Instance, params: Params) -> None:
        """A secret of RDS's own for the master password, or none any more."""
        if params.get("ManageMasterUserPassword"):
            name = f"rds!db-{secrets.token_hex(8)}-{secrets.token_hex(3)}"
            arn = f"arn:aws:secretsmanager:{found.region}:{self.world.account}:secret:{name}"
            found.facts["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active"}
        elif "ManageMasterUserPassword" in params:
            found.facts.pop("MasterUserSecret", None)

    def _apply(self, found: Instance, params: Params, pending: Params) -> None:
        """Start what happens now; keep what waits for the window."""
        running: Params = {}
        if "MasterUserPassword" in params:
            running["MasterUserPassword"] = "****"
        if params.get("ApplyImmediately"):
            running = {**found.deferred, **pending, **running}
            found.deferred = {}
        else:
            found.deferred = {**found.deferred, **pending}
        if running:
            only_password = set(running) == {"MasterUserPassword"}
            status = "resetting-master-credentials" if only_password else "modifying"
            found.begin(status, self.world.settle("rds"), applies=running)

    def _tell(self, params: Params, found: Instance, context: Context) -> None:
        """Tell the backend of the groups that change at once."""
        if "DBParameterGroupName" in params:
            self._require_parameter_group(params["DBParameterGroupName"], context)
            found.facts["DBParameterGroups"] = _parameter_groups(params["DBParameterGroupName"], "pending-reboot")
        if "VpcSecurityGroupIds" in params:
            found.facts["VpcSecurityGroups"] = group_shape(params["VpcSecurityGroupIds"])
        exports = params.get("CloudwatchLogsExportConfiguration")
        if exports:
            current = set(found.facts.get("EnabledCloudwatchLogsExports", []))
            wanted = (current | set(exports.get("EnableLogTypes", []))) - set(exports.get("DisableLogTypes", []))
            found.facts["EnabledCloudwatchLogsExports"] = sorted(wanted)

    def _renamed(self, found: Instance, new_name: str, context: Context) -> Params:
        """Move to another identifier: a reboot and a new endpoint."""
        name = validation.identifier(new_name)
        if self._instance_or_none(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        told = {"DBInstanceIdentifier": found.name, "NewDBInstanceIdentifier": name, "ApplyImmediately": True}
        self.world.call("rds", "ModifyDBInstance", context.region, **told)
        del self._instances[context.region, found.name]
        found.host = found.host.replace(found.name, name, 1)
        found.name = name
        self._instances[context.region, name] = found
        found.begin("renaming", self.world.settle("rds"))
        return {"DBInstance": self._described(found)}

    def _shape(self, backend: Params, region: str) -> Params:
        found = self._instances.get((region, backend["DBInstanceIdentifier"]))
        return backend if found is None else found.shape(backend)

    def _default_groups(self, subnet_group: str | None, context: Context) -> list[str]:
        """The default security group of the instance's VPC."""
        wanted: list[dict[str, Any]] = [{"Name": "group-name", "Values": ["default"]}]
        if subnet_group is not None:
            answer = self.world.call("rds", "DescribeDBSubnetGroups", context.region, DBSubnetGroupName=subnet_group)
            wanted.append({"Name": "vpc-id", "Values": [answer["DBSubnetGroups"][0]["VpcId"]]})
        groups = self.world.call("ec2", "DescribeSecurityGroups", context.region, Filters=wanted)["SecurityGroups"]
        return [group["GroupId"] for group in groups[:1]]


def _parameter_groups(name: str, status: str = "in-sync") -> list[Params]:
    return [{"DBParameterGroupName": name, "ParameterApplyStatus": status}]
