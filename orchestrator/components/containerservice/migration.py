"""Build the migration that runs once before a new build of a service gets traffic.

Pure, except for resolving a folder.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.components import Stack
from orchestrator.vocabulary import Component, Resource


def build_migration(component: Component, stack: Stack) -> list[Resource]:
    """Return the migration of the desired build; an empty list if none is declared or nothing is built."""
    migration_spec, image = component.spec.get("migrate"), stack.artefacts.images.get(component.handle)
    if migration_spec is None or image is None:
        return []
    databases = [handle.partition(".")[2] for handle in component.spec["access"] if handle.startswith("database.")]
    database_names = [str(stack.get_export(f"database.{name}", "name")) for name in databases]
    run_options = {
        "command": list(migration_spec["command"]),
        "folder": str((Path(component.where.file).parent / migration_spec["folder"]).resolve()),
        "within": float(migration_spec["withinSeconds"]),
        "snapshots": database_names if migration_spec["destructive"] else [],
    }
    physical = f"{stack.release_bucket}/migrations/{stack.scope.environment}/{component.name}/{image.tag}"
    after = frozenset({*(f"rds_instance.{name}" for name in databases), f"ecr_image.{component.name}"})
    spec = {"build": image.tag, "how": run_options}
    return [Resource("migration", component.name, physical, spec, component.handle, component.where, after)]
