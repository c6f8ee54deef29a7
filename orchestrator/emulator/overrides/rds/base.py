"""Store the DB instances of the RDS override, find them and advance their state."""

from __future__ import annotations

import time

from orchestrator.emulator.account_limits import NO_CREDENTIALS_MESSAGE, NO_LINKED_ROLE_MESSAGE
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds.instance import Instance
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service

_RDS_PRINCIPAL = "rds.amazonaws.com"


class RdsBase(Service):
    """Base class of the RDS overrides: holds the instances by region and name."""

    service = "rds"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._instances: dict[tuple[str, str], Instance] = {}

    def _require_linked_role(self) -> None:
        """Refuse while RDS cannot use its service-linked role.

        Raises AwsError InvalidParameterValue.
        """
        if not self.state.is_linked_role_usable(_RDS_PRINCIPAL):
            raise AwsError("InvalidParameterValue", NO_CREDENTIALS_MESSAGE, 400)

    def _create_linked_role(self) -> None:
        """Create RDS's service-linked role if it is missing, and refuse the call, as AWS does.

        Raises AwsError InvalidParameterValue.
        """
        if not self.state.has_linked_role(_RDS_PRINCIPAL):
            self.state.linked_role_created_at[_RDS_PRINCIPAL] = time.monotonic()
            raise AwsError("InvalidParameterValue", NO_LINKED_ROLE_MESSAGE, 400)

    def _find_instance(self, name: str, context: CallContext) -> Instance | None:
        instance = self._instances.get((context.region, name.lower()))
        if instance is not None:
            self._refresh(instance)
        return self._instances.get((context.region, name.lower()))

    def _get_instance(self, name: str, context: CallContext) -> Instance:
        instance = self._find_instance(name, context)
        if instance is None:
            raise AwsError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
        return instance

    def _refresh(self, instance: Instance) -> None:
        """Advance an instance to its current state; delete it from the backend once its deletion is over."""
        was_created = instance.is_created
        instance.refresh()
        engine = self.state.database_engine
        if engine is not None and instance.is_created and not was_created:
            instance.earliest_restorable = engine.earliest_restorable_time(instance.resource_id)
        if instance.status == "deleted":
            delete_params = {"DBInstanceIdentifier": instance.name, "SkipFinalSnapshot": True}
            self.state.call("rds", "DeleteDBInstance", instance.region, **delete_params)
            del self._instances[instance.region, instance.name]

    def _describe(self, instance: Instance) -> Params:
        response = self.state.call("rds", "DescribeDBInstances", instance.region, DBInstanceIdentifier=instance.name)
        return instance.shape(response["DBInstances"][0])
