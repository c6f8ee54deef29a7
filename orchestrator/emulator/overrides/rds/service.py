"""Override DB instances: create, modify and delete them over time, with AWS's refusals.

The backend keeps existence, ARN, tags, groups and snapshots; this override keeps attributes, states and pending
changes.
"""

from __future__ import annotations

from typing import Any

from orchestrator.emulator.account_limits import check_backup_days
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds import validation
from orchestrator.emulator.overrides.rds.databases import Work
from orchestrator.emulator.overrides.rds.engine_versions import Catalogue
from orchestrator.emulator.overrides.rds.instance import Instance, parameter_group_shapes, security_group_shape
from orchestrator.emulator.overrides.rds.snapshots import Snapshots, StartServer
from orchestrator.emulator.overrides.rds.subnet_and_parameter_groups import SubnetAndParameterGroups
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext

_FORWARDED_PARAMETERS = (
    "DBInstanceIdentifier", "DBInstanceClass", "Engine", "AllocatedStorage", "MasterUsername", "MasterUserPassword",
    "DBName", "VpcSecurityGroupIds", "DBSubnetGroupName", "Port", "Tags", "EngineVersion", "BackupRetentionPeriod",
    "StorageEncrypted", "KmsKeyId", "StorageType", "DBParameterGroupName", "CopyTagsToSnapshot",
)  # fmt: skip
_IMMEDIATE_PARAMETERS = ("VpcSecurityGroupIds", "DBParameterGroupName")


class Rds(Snapshots, SubnetAndParameterGroups, Catalogue):
    """Overrides the whole of RDS, on both backends."""

    def create_db_instance(self, params: Params, context: CallContext) -> Params:
        """Start a creation: status ``creating`` and no endpoint until the settle time is over."""
        name = validation.normalise_identifier(params["DBInstanceIdentifier"])
        if self._find_instance(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        if not params.get("ManageMasterUserPassword") and "MasterUserPassword" not in params:
            raise validation.invalid_value("The parameter MasterUserPassword must be provided and must not be blank.")
        validation.check_password(params.get("MasterUserPassword"))
        attributes = validation.build_attributes(params, self.state.account, context.region)
        check_backup_days(self.state.faults.account_limits, attributes.get("BackupRetentionPeriod"))
        self._create_linked_role()
        self._require_linked_role()

        def start_server(instance: Instance) -> Work:
            settings = self._settings(instance)
            return self._with_engine(lambda engine: engine.create(instance.resource_id, instance.name, settings))

        return {"DBInstance": self._create_instance(name, attributes, params, context, start_server)}

    def describe_db_instances(self, params: Params, context: CallContext) -> Params:
        """Describe instances with their current state, by identifier in any case or by resource ID."""
        filters = params.get("Filters", [])
        resource_ids = {value for item in filters if item["Name"] == "dbi-resource-id" for value in item["Values"]}
        query_params = {**params, "Filters": [item for item in filters if item["Name"] != "dbi-resource-id"]}
        if "DBInstanceIdentifier" in query_params:
            query_params["DBInstanceIdentifier"] = query_params["DBInstanceIdentifier"].lower()
        for item in list(self._instances.values()):
            self._refresh(item)
        response = context.forward(query_params)
        shapes = [self._instance_shape(item, context.region) for item in response["DBInstances"]]
        response["DBInstances"] = [item for item in shapes if not resource_ids or item["DbiResourceId"] in resource_ids]
        return response

    def modify_db_instance(self, params: Params, context: CallContext) -> Params:
        """Apply changes at once, over time or in the maintenance window, as on AWS."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        instance.require_available()
        validation.check_password(params.get("MasterUserPassword"))
        pending = validation.collect_pending(params, instance.attributes)
        if "EngineVersion" in pending:
            validation.check_version_change(instance.attributes["EngineVersion"], pending["EngineVersion"])
        immediate = validation.extract_attributes(
            {name: value for name, value in params.items() if name not in validation.DEFERRED_PARAMETERS}
        )
        if "BackupRetentionPeriod" in pending:
            immediate.pop("BackupRetentionPeriod", None)
        validation.check_attributes({**instance.attributes, **immediate, **pending})
        check_backup_days(self.state.faults.account_limits, params.get("BackupRetentionPeriod"))
        self._apply_groups_and_exports(params, pending, instance, context)
        instance.attributes.update(immediate)
        validation.apply_insights_retention(instance.attributes)
        self._update_master_secret(instance, params)
        self._apply_changes(instance, params, pending)
        response = {"DBInstance": self._describe(instance)}
        new_name = params.get("NewDBInstanceIdentifier")
        return self._rename_instance(instance, new_name, context) if new_name else response

    def delete_db_instance(self, params: Params, context: CallContext) -> Params:
        """Delete an instance over time; refuse if protected or if the final snapshot is undecided."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        final_snapshot, skips_snapshot = params.get("FinalDBSnapshotIdentifier"), params.get("SkipFinalSnapshot", False)
        if instance.transition is not None and instance.transition.status == "deleting":
            raise AwsError("InvalidDBInstanceState", f"Instance {instance.name} is already being deleted.", 400)
        if instance.attributes["DeletionProtection"]:
            raise validation.invalid_combination(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        if skips_snapshot == (final_snapshot is not None):
            raise validation.invalid_combination(
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
            )
        if final_snapshot is not None:
            self._take_snapshot(instance, final_snapshot, [])
        keep = params.get("DeleteAutomatedBackups") is False and instance.attributes["BackupRetentionPeriod"] > 0
        if keep:
            self._retain_backup(instance)
        work = self._with_engine(lambda engine: engine.delete(instance.resource_id, keep_backup=keep))
        instance.start_transition("deleting", self.state.settle_seconds("rds"), final_status="deleted", work=work)
        return {"DBInstance": self._describe(instance)}

    def reboot_db_instance(self, params: Params, context: CallContext) -> Params:
        """Reboot an instance, which is down for the settle time."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        instance.require_available()
        instance.attributes["DBParameterGroups"][0]["ParameterApplyStatus"] = "in-sync"
        return self._change_status(instance, "rebooting", "available", self._restart_server(instance))

    def stop_db_instance(self, params: Params, context: CallContext) -> Params:
        """Stop an instance."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        instance.require_available()
        work = self._with_engine(lambda engine: engine.stop_instance(instance.resource_id))
        return self._change_status(instance, "stopping", "stopped", work)

    def start_db_instance(self, params: Params, context: CallContext) -> Params:
        """Start a stopped instance."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        if instance.visible_status != "stopped":
            raise AwsError("InvalidDBInstanceState", f"Instance {instance.name} is not stopped.", 400)
        return self._change_status(instance, "starting", "available", self._restart_server(instance))

    def security_groups_in_use(self, region: str) -> set[str]:
        """Return the security groups of the instances that still exist."""
        for instance in list(self._instances.values()):
            self._refresh(instance)
        regional_instances = [instance for instance in self._instances.values() if instance.region == region]
        return {
            group["VpcSecurityGroupId"]
            for instance in regional_instances
            for group in instance.attributes["VpcSecurityGroups"]
        }

    def _restart_server(self, instance: Instance) -> Work:
        settings = self._settings(instance)
        return self._with_engine(lambda engine: engine.start_instance(instance.resource_id, settings))

    def _change_status(self, instance: Instance, status: str, final_status: str, work: Work) -> Params:
        settle_seconds = self.state.settle_seconds("rds")
        instance.start_transition(
            status, settle_seconds, final_status=final_status, work=work, failed_status="incompatible-parameters"
        )
        return {"DBInstance": self._describe(instance)}

    def _create_instance(
        self, name: str, attributes: Params, params: Params, context: CallContext, start_server: StartServer
    ) -> Params:
        """Create an instance in the backend and start its creation here."""
        backend_params = {parameter: params[parameter] for parameter in _FORWARDED_PARAMETERS if parameter in params}
        backend_params |= {"DBInstanceIdentifier": name, "EngineVersion": attributes["EngineVersion"]}
        backend_params |= {
            parameter: attributes[parameter]
            for parameter in ("DBInstanceClass", "Engine", "AllocatedStorage", "MasterUsername")
        }
        backend_params.setdefault("MasterUserPassword", "managed-elsewhere")
        if "DBSubnetGroupName" in backend_params:
            backend_params["DBSubnetGroupName"] = backend_params["DBSubnetGroupName"].lower()
            self._require_subnet_group(backend_params["DBSubnetGroupName"], context)
        group = backend_params.pop("DBParameterGroupName", None)
        if group is not None:
            self._require_parameter_group(group, context)
        self.state.call("rds", "CreateDBInstance", context.region, **backend_params)
        instance = Instance(name, context.region, attributes, self._make_host(name, context.region))
        instance.master_password = params.get("MasterUserPassword", "")
        family = f"default.{attributes['Engine']}{attributes['EngineVersion'].partition('.')[0]}"
        instance.attributes["DBParameterGroups"] = parameter_group_shapes(group or family)
        instance.attributes["VpcSecurityGroups"] = security_group_shape(
            params.get("VpcSecurityGroupIds")
            or self._default_security_groups(backend_params.get("DBSubnetGroupName"), context)
        )
        self._update_master_secret(instance, params)
        self._instances[context.region, name] = instance
        work = start_server(instance)
        settle_seconds = self.state.settle_seconds("rds")
        instance.start_transition("creating", settle_seconds, work=work, failed_status="incompatible-restore")
        if instance.transition and "MasterUserPassword" in params:
            instance.transition.changes["MasterUserPassword"] = "****"
        return self._describe(instance)

    def _update_master_secret(self, instance: Instance, params: Params) -> None:
        """Create or remove the secret in which RDS manages the master password."""
        if params.get("ManageMasterUserPassword"):
            arn = self._create_master_secret(instance)
            instance.attributes["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active"}
        elif "ManageMasterUserPassword" in params:
            instance.attributes.pop("MasterUserSecret", None)

    def _apply_changes(self, instance: Instance, params: Params, pending: Params) -> None:
        """Start the changes that apply now; keep those that wait for the window."""
        changes: Params = {}
        if "MasterUserPassword" in params:
            changes["MasterUserPassword"] = "****"
            instance.master_password = params["MasterUserPassword"]
        if params.get("ApplyImmediately"):
            withdrawn = validation.collect_withdrawn(params, instance.attributes)
            instance.upgrade_group = None if "EngineVersion" in withdrawn else instance.upgrade_group
            queued = {name: value for name, value in instance.deferred.items() if name not in withdrawn}
            changes = {**queued, **pending, **changes}
            instance.deferred = {}
        else:
            instance.deferred = {**instance.deferred, **pending}
        if changes:
            only_password = set(changes) == {"MasterUserPassword"}
            status = "resetting-master-credentials" if only_password else "modifying"
            work = self._apply_to_server(instance, changes)
            instance.start_transition(status, self.state.settle_seconds("rds"), changes=changes, work=work)

    def _apply_groups_and_exports(
        self, params: Params, pending: Params, instance: Instance, context: CallContext
    ) -> None:
        """Change groups and log exports, which apply at once, except the parameter group of an upgrade."""
        if "DBParameterGroupName" in params:
            self._require_parameter_group(params["DBParameterGroupName"], context)
            if "EngineVersion" in pending:
                instance.upgrade_group = params["DBParameterGroupName"]
            else:
                shapes = parameter_group_shapes(params["DBParameterGroupName"], "pending-reboot")
                instance.attributes["DBParameterGroups"] = shapes
        if "VpcSecurityGroupIds" in params:
            instance.attributes["VpcSecurityGroups"] = security_group_shape(params["VpcSecurityGroupIds"])
        exports = params.get("CloudwatchLogsExportConfiguration")
        if exports:
            current = set(instance.attributes.get("EnabledCloudwatchLogsExports", []))
            enabled = (current | set(exports.get("EnableLogTypes", []))) - set(exports.get("DisableLogTypes", []))
            instance.attributes["EnabledCloudwatchLogsExports"] = sorted(enabled)

    def _rename_instance(self, instance: Instance, new_name: str, context: CallContext) -> Params:
        """Rename an instance, which reboots it and changes its endpoint."""
        name = validation.normalise_identifier(new_name)
        if self._find_instance(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        self._rename_in_backend(instance.name, name, context.region)
        del self._instances[context.region, instance.name]
        instance.host = self._make_host(name, context.region)
        instance.name = name
        self._instances[context.region, name] = instance
        work = self._with_engine(lambda engine: engine.rename(instance.resource_id, name))
        instance.start_transition("renaming", self.state.settle_seconds("rds"), work=work)
        return {"DBInstance": self._describe(instance)}

    def _rename_in_backend(self, name: str, new_name: str, region: str) -> None:
        """Rename the backend's instance; MiniStack ignores a rename, so there it is created again with its tags."""
        old_shape = self.state.call("rds", "DescribeDBInstances", region, DBInstanceIdentifier=name)["DBInstances"][0]
        rename_params = {"DBInstanceIdentifier": name, "NewDBInstanceIdentifier": new_name, "ApplyImmediately": True}
        self.state.call("rds", "ModifyDBInstance", region, **rename_params)
        names = [
            item["DBInstanceIdentifier"]
            for item in self.state.call("rds", "DescribeDBInstances", region)["DBInstances"]
        ]
        if new_name in names:
            return
        copied = ("DBInstanceClass", "Engine", "EngineVersion", "AllocatedStorage", "MasterUsername")
        params = {member: old_shape[member] for member in copied} | {"Tags": old_shape.get("TagList", [])}
        subnet_group = old_shape.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
        if subnet_group:
            params["DBSubnetGroupName"] = subnet_group
        self.state.call(
            "rds",
            "CreateDBInstance",
            region,
            DBInstanceIdentifier=new_name,
            MasterUserPassword="kept-elsewhere",
            **params,
        )
        self.state.call("rds", "DeleteDBInstance", region, DBInstanceIdentifier=name, SkipFinalSnapshot=True)

    def _instance_shape(self, backend_shape: Params, region: str) -> Params:
        instance = self._instances.get((region, backend_shape["DBInstanceIdentifier"]))
        return backend_shape if instance is None else instance.shape(backend_shape)

    def _default_security_groups(self, subnet_group: str | None, context: CallContext) -> list[str]:
        """Return the default security group of the instance's VPC."""
        filters: list[dict[str, Any]] = [{"Name": "group-name", "Values": ["default"]}]
        if subnet_group is not None:
            response = self.state.call("rds", "DescribeDBSubnetGroups", context.region, DBSubnetGroupName=subnet_group)
            filters.append({"Name": "vpc-id", "Values": [response["DBSubnetGroups"][0]["VpcId"]]})
        groups = self.state.call("ec2", "DescribeSecurityGroups", context.region, Filters=filters)["SecurityGroups"]
        return [group["GroupId"] for group in groups[:1]]
