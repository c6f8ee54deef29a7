"""Build the migration that runs once before a new build of a service gets traffic.

Pure, except for resolving a folder.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.components import Stack
from orchestrator.components.containerservice.injected_secrets import (
    list_variable_sources,
    secret_arn,
    to_variable_name,
)
from orchestrator.values import Value
from orchestrator.vocabulary import Component, Resource


def build_migration(component: Component, stack: Stack) -> list[Resource]:
    """Return the migration of the desired build; an empty list if none is declared or nothing is built."""
    migration_spec, image = component.spec.get("migrate"), stack.artefacts.images.get(component.handle)
    if migration_spec is None or image is None:
        return []
    databases = [handle.partition(".")[2] for handle in component.spec["access"] if handle.startswith("database.")]
    database_names = [str(stack.get_export(f"database.{name}", "name")) for name in databases]
    secrets_spec = migration_spec.get("secrets", component.spec["secrets"])
    sources = list_variable_sources(secrets_spec, stack)
    run_options: dict[str, Value] = {
        "secrets": _group_variables(sources),
        "environment": {**component.spec["environment"], **migration_spec["environment"]},
        "command": list(migration_spec["command"]),
        "folder": str((Path(component.where.file).parent / migration_spec["folder"]).resolve()),
        "within": float(migration_spec["withinSeconds"]),
        "snapshots": database_names if migration_spec["destructive"] else [],
    }
    physical = f"{stack.release_bucket}/migrations/{stack.scope.environment}/{component.aws_name}/{image.tag}"
    values = (f"secretsmanager_value.{handle.partition('.')[2]}" for _, handle, _ in sources)
    after = frozenset({*(f"rds_instance.{name}" for name in databases), f"ecr_image.{component.name}", *values})
    spec = {"build": image.tag, "how": run_options}
    return [Resource("migration", component.name, physical, spec, component.handle, component.where, after)]


def _group_variables(sources: list[tuple[str, str, str]]) -> list[Value]:
    """Return each secret with the environment variables that come from it, and their keys in its document."""
    variables: dict[str, dict[str, Value]] = {}
    for variable, handle, key in sources:
        variables.setdefault(handle, {})[variable] = to_variable_name(key)
    return [{"arn": secret_arn(handle), "variables": keys} for handle, keys in variables.items()]
