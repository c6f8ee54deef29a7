"""Find a Database of the manifests in AWS, and how to connect to it as its application does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import Problems

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.postgresql.connection import ConnectionTarget, Route
    from orchestrator.vocabulary import DesiredState, LiveResource, Resource


class LiveDatabase(Struct, frozen=True):
    """A Database of the manifests (``resource``), its instance in AWS (``live``), and the plan that has read both."""

    resource: Resource
    live: LiveResource
    desired: DesiredState
    planned: PreparedPlan


def find_live(desired: DesiredState, clients: Clients, name: str) -> LiveDatabase:
    """Return the Database called ``name``. Raises Problems if there is none, or it has no host name yet."""
    from orchestrator.planning import pipeline
    from orchestrator.recovery.database_restore import find_database

    database = find_database(desired, name)
    planned = pipeline.plan(desired, targets=(database.address,), clients=clients)
    live = planned.live.get(database.address)
    if live is None or not live.outputs.get("host"):
        raise Problems.from_message(f"{database.physical} does not exist yet", hint="apply the manifests first")
    return LiveDatabase(database, live, desired, planned)


def find_connection(
    database: LiveDatabase, clients: Clients, ca_file: str, route: Route | None = None
) -> ConnectionTarget:
    """Return how to connect, with the password that the application uses. Raises Problems if it cannot be read."""
    from orchestrator.aws import StepExecutor
    from orchestrator.aws.step_executor import StepFailedError
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.resources.rds_instance.password import read_password
    from orchestrator.steps import execute_steps
    from orchestrator.values import reveal

    spec, live = database.resource.spec, database.live
    steps = read_password({**spec["credentials"], **live.spec["credentials"]}, live.private)
    try:
        password = reveal(execute_steps(steps, StepExecutor(clients).perform)["password"])
    except StepFailedError as error:
        raise Problems.from_message(f"cannot read the password of {database.resource.physical}: {error}") from None
    host, port = str(live.outputs["host"]), int(spec["port"])
    return ConnectionTarget(host, spec["database"], spec["username"], password, port, "require", ca_file, route)
