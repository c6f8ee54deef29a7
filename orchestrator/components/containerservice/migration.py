"""Build the migration that runs once before a new build of a service gets traffic.

Pure, except for resolving a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.components import Stack
from orchestrator.components.containerservice.builders import list_databases, service_name
from orchestrator.components.containerservice.checks import Finding
from orchestrator.components.containerservice.image import image_reference
from orchestrator.components.containerservice.injected_secrets import (
    list_secret_handles,
    list_variable_sources,
    locate_variables,
    secret_arn,
    to_variable_name,
)
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

IN_VPC = "in-vpc"
_MIB_PER_GB = 1024
_CPU_UNITS = 1024


def runs_in_vpc(component: Component) -> bool:
    """Return whether the migration is a task in the VPC."""
    return bool((component.spec.get("migrate") or {}).get("runs") == IN_VPC)


def list_task_secrets(component: Component) -> list[str]:
    """Return the handles of the secrets that a migration in the VPC gets."""
    return list_secret_handles(_secrets_spec(component)) if runs_in_vpc(component) else []


def check_migration(component: Component) -> Iterator[Finding]:
    """Yield why the migration cannot run."""
    if component.spec.get("migrate") and "build" not in component.spec["image"]:
        message = "spec.migrate runs once for each build, and spec.image has no `build`: it would never run"
        hint = "set `build` in spec.image, or remove `migrate` and migrate where the image is built"
        yield ("spec", "migrate"), message, hint
    path = ("spec", "migrate", "runs")
    if not runs_in_vpc(component):
        return
    if component.spec["runtime"] == "app-runner" and not list_databases(component):
        message = (
            "spec.migrate.runs `in-vpc` requires a Database in spec.access: without one, the service has no VPC network"
        )
        yield path, message, "add `access: [database.NAME]`, or remove `runs`"
    if component.spec["migrate"]["folder"] != ".":
        message = "spec.migrate.folder is a folder of this checkout, which a task in the VPC cannot read"
        yield ("spec", "migrate", "folder"), message, "remove it: the command runs in the image's working directory"


def build_migration(component: Component, stack: Stack) -> list[Resource]:
    """Return the migration of the desired build; an empty list if none is declared or nothing is built."""
    migration_spec, image = component.spec.get("migrate"), stack.artefacts.images.get(component.handle)
    if migration_spec is None or image is None:
        return []
    databases = [handle.partition(".")[2] for handle in list_databases(component)]
    database_names = [str(stack.get_export(f"database.{name}", "name")) for name in databases]
    sources = list_variable_sources(_secrets_spec(component), stack)
    run_options: dict[str, Value] = {
        "secrets": _group_variables(sources),
        "environment": {**component.spec["environment"], **migration_spec["environment"]},
        "command": list(migration_spec["command"]),
        "folder": str((Path(component.where.file).parent / migration_spec["folder"]).resolve()),
        "within": float(migration_spec["withinSeconds"]),
        "snapshots": database_names if migration_spec["destructive"] else [],
    }
    if runs_in_vpc(component):
        run_options["task"] = _task_options(component, stack, image.tag, sources)
    physical = f"{stack.release_bucket}/migrations/{stack.scope.environment}/{component.aws_name}/{image.tag}"
    values = (f"secretsmanager_value.{handle.partition('.')[2]}" for _, handle, _ in sources)
    record = f"s3_bucket.{stack.project.spec['releases']['bucket'].partition('.')[2]}"
    databases_after = (f"rds_instance.{name}" for name in databases)
    after = frozenset({*databases_after, f"ecr_image.{component.name}", record, *values})
    spec = {"build": image.tag, "how": run_options}
    return [Resource("migration", component.name, physical, spec, component.handle, component.where, after)]


def _secrets_spec(component: Component) -> Any:
    return component.spec["migrate"].get("secrets", component.spec["secrets"])


def _task_options(
    component: Component, stack: Stack, build: str, sources: list[tuple[str, str, str]]
) -> dict[str, Value]:
    """Return how the task runs: as the service does, with the size, network, roles and log group of an Express service.

    Every size that App Runner offers is one of Fargate's.
    """
    name, scope = service_name(component, stack.scope), stack.scope
    is_public = component.spec["public"] or component.spec["runtime"] == "app-runner"
    return {
        "family": f"{name}-migration",
        "started_by": f"{scope.project}/{scope.environment}/{component.aws_name}/{build}",
        "image": image_reference(component),
        "cpu": str(round(component.spec["cpu"] * _CPU_UNITS)),
        "memory": str(round(component.spec["memory"] * _MIB_PER_GB)),
        "task_role": Ref(f"iam_role.{component.name}-task", "arn"),
        "execution_role": Ref(f"iam_role.{component.name}-execution", "arn"),
        "secrets": locate_variables(sources),
        "public_subnets": Ref("ec2_vpc.network", "public_subnets") if is_public else [],
        "private_subnets": Ref("ec2_vpc.network", "private_subnets"),
        "security_groups": [Ref(f"ec2_security_group.{component.name}", "id")],
        "log_group": f"/ecs/{name}",
        "log_retention_days": component.spec["logs"]["retentionDays"],
        "region": scope.region,
        "tags": build_ownership_tags(scope, component.handle),
    }


def _group_variables(sources: list[tuple[str, str, str]]) -> list[Value]:
    """Return each secret with the environment variables that come from it, and their keys in its document."""
    variables: dict[str, dict[str, Value]] = {}
    for variable, handle, key in sources:
        variables.setdefault(handle, {})[variable] = to_variable_name(key)
    return [{"arn": secret_arn(handle), "variables": keys} for handle, keys in variables.items()]
