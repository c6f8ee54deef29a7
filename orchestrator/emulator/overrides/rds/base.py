"""The instances a correction of RDS knows, and how it finds and settles them."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds.instance import Instance
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World


class Registry(Service):
    """Base of the RDS corrections: the instances by region and name."""

    service = "rds"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._instances: dict[tuple[str, str], Instance] = {}

    def _instance_or_none(self, name: str, context: Context) -> Instance | None:
        found = self._instances.get((context.region, name.lower()))
        if found is not None:
            self._settled(found)
        return self._instances.get((context.region, name.lower()))

    def _instance(self, name: str, context: Context) -> Instance:
        found = self._instance_or_none(name, context)
        if found is None:
            raise AwsError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
        return found

    def _settled(self, found: Instance) -> None:
        """Bring an instance up to date; one whose deletion is over leaves the backend too."""
        found.settle()
        if found.status == "deleted":
            told = {"DBInstanceIdentifier": found.name, "SkipFinalSnapshot": True}
            self.world.call("rds", "DeleteDBInstance", found.region, **told)
            del self._instances[found.region, found.name]

    def _described(self, found: Instance) -> Params:
        answer = self.world.call("rds", "DescribeDBInstances", found.region, DBInstanceIdentifier=found.name)
        return found.shape(answer["DBInstances"][0])
