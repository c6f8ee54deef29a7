"""Start, change and stop the database servers behind DB instances, if the emulator runs any."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from concurrent.futures import Future

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds.base import RdsBase
from orchestrator.emulator.overrides.rds.instance import Instance
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import DatabaseEngine, DatabaseSettings

Work = Future[None] | None
"""The work behind a transition; None without a database engine."""

_RESTARTING_MEMBERS = frozenset({"DBInstanceClass", "EngineVersion", "Port"})
_MEMORY_GB_BY_SIZE = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_BYTES_PER_CONNECTION = 9_531_392
_MAX_CONNECTIONS = 5000
_FIRST_MAJOR_WITH_FORCED_TLS = 15


class Databases(RdsBase):
    """The connection between DB instances and the database engine."""

    def _with_engine(self, start: Callable[[DatabaseEngine], Future[None]]) -> Work:
        engine = self.state.database_engine
        return None if engine is None else start(engine)

    def _make_host(self, name: str, region: str) -> str:
        """Return the address of an instance name: the same for every instance that gets the name, as on AWS."""
        engine = self.state.database_engine
        return engine.address(name) if engine else f"{name}.{self._host_suffix(region)}"

    def _host_suffix(self, region: str) -> str:
        account_hash = hashlib.sha256(f"{self.state.account} {region}".encode()).hexdigest()[:12]
        return f"c{account_hash}.{region}.rds.amazonaws.com"

    def _settings(self, instance: Instance, changes: Params | None = None) -> DatabaseSettings:
        """Return the settings of an instance's server, once ``changes`` apply."""
        attributes = {**instance.attributes, **(changes or {})}
        major_version = str(attributes["EngineVersion"]).partition(".")[0]
        parameters = self._read_parameters(attributes["DBParameterGroups"][0]["DBParameterGroupName"], instance.region)
        default_tls = "1" if int(major_version) >= _FIRST_MAJOR_WITH_FORCED_TLS else "0"
        return DatabaseSettings(
            major_version=major_version,
            port=int(attributes["Port"]),
            master_user=attributes["MasterUsername"],
            master_password=instance.master_password,
            database=attributes.get("DBName", ""),
            host_suffix=self._host_suffix(instance.region),
            parameters={
                "max_connections": str(_max_connections(attributes["DBInstanceClass"])),
                **{
                    name: value
                    for name, value in parameters.items()
                    if not name.startswith("rds.") and "{" not in value
                },
            },
            requires_tls=parameters.get("rds.force_ssl", default_tls) == "1",
        )

    def _read_parameters(self, group: str, region: str) -> dict[str, str]:
        """Return the parameters that a user set in a group."""
        if group.startswith("default."):
            return {}
        try:
            response = self.state.call("rds", "DescribeDBParameters", region, DBParameterGroupName=group, Source="user")
        except AwsError:
            return {}
        return {
            item["ParameterName"]: str(item["ParameterValue"])
            for item in response["Parameters"]
            if item.get("ParameterValue") not in (None, "")
        }

    def _apply_to_server(self, instance: Instance, changes: Params) -> Work:
        """Restart a server for the changes that need it, or change its password."""
        if changes.keys() & _RESTARTING_MEMBERS:
            settings = self._settings(instance, changes)
            return self._with_engine(lambda engine: engine.start_instance(instance.resource_id, settings))
        if "MasterUserPassword" in changes:
            return self._with_engine(lambda engine: engine.set_password(instance.resource_id, instance.master_password))
        return None

    def _apply_parameters(self, instance: Instance) -> None:
        """Apply the dynamic parameters of an instance's group; static ones wait for a restart."""
        engine = self.state.database_engine
        if engine is None or instance.visible_status != "available":
            return
        engine.reconfigure(instance.resource_id, self._settings(instance)).result()
        if engine.pending_restart(instance.resource_id):
            instance.attributes["DBParameterGroups"][0]["ParameterApplyStatus"] = "pending-reboot"

    def _create_master_secret(self, instance: Instance) -> str:
        """Return the ARN of the secret in which RDS manages the master password; a real one if the server is."""
        name = f"rds!db-{secrets.token_hex(8)}-{secrets.token_hex(3)}"
        if self.state.database_engine is None:
            return f"arn:aws:secretsmanager:{instance.region}:{self.state.account}:secret:{name}"
        instance.master_password = secrets.token_urlsafe(24)
        secret_text = json.dumps(
            {"username": instance.attributes["MasterUsername"], "password": instance.master_password}
        )
        response = self.state.call(
            "secretsmanager", "CreateSecret", instance.region, Name=name, SecretString=secret_text
        )
        return str(response["ARN"])


def _is_plain_parameter(name: str, value: str) -> bool:
    """Return whether PostgreSQL itself knows a parameter, and its value is no formula of RDS."""
    return not name.startswith("rds.") and "{" not in value


def _max_connections(instance_class: str) -> int:
    """Return RDS's default, LEAST({DBInstanceClassMemory/9531392}, 5000); a quarter of the memory is RDS's own."""
    memory_gb = _MEMORY_GB_BY_SIZE.get(instance_class.rpartition(".")[2], 16)
    return min(memory_gb * 1024**3 * 3 // 4 // _BYTES_PER_CONNECTION, _MAX_CONNECTIONS)
