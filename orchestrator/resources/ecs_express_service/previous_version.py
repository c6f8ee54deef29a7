"""Find the version that a deployment in progress replaces: ECS returns to it when the deployment is stopped.

API: ECS DescribeServiceDeployments (``sourceServiceRevisions``); EC2 DescribeSecurityGroups.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from orchestrator.resources import AwsReader
from orchestrator.resources.ecs_express_service.api_shape import normalise, parse_service
from orchestrator.resources.ecs_express_service.rollout import NOT_FOUND_CODES
from orchestrator.values import Value, is_known
from orchestrator.vocabulary import FieldChange, LiveResource


def read_previous_spec(aws: AwsReader, service: Any, deployment: Any) -> Mapping[str, Value] | None:
    """Return the spec of the version that a deployment in progress replaces, or None if ECS does not describe it.

    ``service`` is ECS's description of the service, which lists the configurations of both versions.
    """
    arn = deployment["serviceDeploymentArn"]
    response = aws.get("ecs", "describe_service_deployments", serviceDeploymentArns=[arn], missing=NOT_FOUND_CODES)
    described = (response or {}).get("serviceDeployments") or [{}]
    sources = {source.get("arn") for source in described[0].get("sourceServiceRevisions") or ()}
    configurations = [
        item for item in service.get("activeConfigurations") or () if item.get("serviceRevisionArn") in sources
    ]
    if len(configurations) != 1:
        return None
    groups = list_own_security_groups(aws, configurations[0])
    return normalise(parse_service(service, configurations[0], groups))


def is_previous(spec: Mapping[str, Value], live: LiveResource, ignored: Set[str]) -> bool:
    """Return whether a spec, apart from ``ignored`` fields, is the version that the deployment in progress replaces."""
    previous = live.private.get("previous")
    return previous is not None and all(
        is_known(value) and value == previous.get(key) for key, value in spec.items() if key not in ignored
    )


def returns_to_previous(fields: tuple[FieldChange, ...], live: LiveResource, ignored: Set[str]) -> bool:
    """Return whether the fields of a change make of the live spec the version that the deployment replaces."""
    previous = live.private.get("previous")
    if previous is None:
        return False
    changed = {field.path[0] for field in fields} - ignored
    differing = {key for key in previous if previous[key] != live.spec.get(key)} - ignored
    return changed == differing and all(
        _value_at(previous, field.path) == field.after for field in fields if field.path[0] in changed
    )


def list_own_security_groups(aws: AwsReader, configuration: Mapping[str, Any]) -> list[str]:
    """Return the security groups set by users; ECS tags its own."""
    group_ids = (configuration.get("networkConfiguration") or {}).get("securityGroups") or []
    filters = [{"Name": "tag:AmazonECSManaged", "Values": ["true"]}]
    managed_groups = (
        aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=filters) if len(group_ids) > 1 else []
    )
    managed_ids = {item["GroupId"] for item in managed_groups}
    return [item for item in group_ids if item not in managed_ids]


def _value_at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
