"""Find a service of the manifests by the name that a person types, and read it from AWS."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.planning import snapshot
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import DesiredState, LiveResource, Resource

SERVICE_TYPES = ("apprunner_service", "ecs_express_service")


def find_service(desired: DesiredState, component: str) -> Resource:
    """Return the service of a component.

    ``component`` is a handle or its name.  Raises Problems, with the names there are, if it is not a service.
    """
    services = [resource for resource in desired.resources if resource.type in SERVICE_TYPES]
    matching = [item for item in services if component in {item.component, item.component.partition(".")[2]}]
    if matching:
        return matching[0]
    names = ", ".join(item.component for item in services) or "none"
    raise Problems.from_message(
        f"`{component}` is not a service", hint=f"the manifests declare these services: {names}"
    )


def read_live(desired: DesiredState, service: Resource, reader: AwsReader, purpose: str) -> LiveResource:
    """Return a service as it is in AWS.  Raises Problems, which begin with ``purpose``, if it cannot be read."""
    taken = snapshot.take(reader, replace(desired, resources=(service,)))
    live = taken.live.get(service.address)
    if live is None:
        unread = taken.unread.get(service.address)
        reason = unread.reason if unread else "it is not in AWS yet"
        raise Problems.from_message(f"{purpose} {service.component}: {reason}")
    return live
