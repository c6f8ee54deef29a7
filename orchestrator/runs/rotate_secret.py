"""Generate values of a Secret again: deploy new ones, and bring the old ones back if a service does not answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.problems import Problems
from orchestrator.runs.approval import Approval
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.result import DeployRun
from orchestrator.runs.settings import Settings
from orchestrator.secret_rotation import Rotation

if TYPE_CHECKING:
    from orchestrator.vocabulary import Component

ROTATION_FORMAT = "%Y%m%dT%H%M%S"
"""Id of a rotation: when it was made, in UTC; at most 29 characters fit into the id of a version."""


def rotate(
    settings: Settings, secret: str, keys: Sequence[str], approval: Approval, run_options: RunOptions
) -> DeployRun:
    """Rotate ``keys`` of a Secret, all generated ones if empty, as a deploy that changes nothing else.

    The deploy writes a new version, sets the password of each database, restarts the services that use the Secret and
    sends requests to them. If they do not answer, it rolls back to the current release, and its values come back in the
    same way. Raises Problems if the Secret has no such keys, or the checkout is not what is deployed.
    """
    from orchestrator.components.secret import list_rotatable_keys
    from orchestrator.runs.release import DeployOptions, deploy

    component = _find_secret(settings, secret)
    available = list_rotatable_keys(component)
    if unknown := [key for key in keys if key not in available]:
        raise Problems.from_message(
            f"{component.handle} generates no value for {unknown[0]}",
            hint=f"keys that can be rotated: {', '.join(available) or 'none'}; nothing was changed",
        )
    if not available:
        raise Problems.from_message(
            f"{component.handle} has no generated values",
            hint="replace external values with `orchestrator secret set`; nothing was changed",
        )
    rotation = Rotation(time.strftime(ROTATION_FORMAT, time.gmtime()), tuple(keys) or available)
    options = DeployOptions(
        approval,
        run=run_options,
        description=f"rotate {component.handle}",
        rotations={component.handle: rotation},
        retry_command=("secret", "rotate", component.name, *(part for key in keys for part in ("--key", key))),
    )
    return deploy(settings, options)


def _find_secret(settings: Settings, name: str) -> Component:
    from orchestrator.manifest import expand
    from orchestrator.planning import pipeline

    stack = expand.build_stack(pipeline.validate(settings.manifests, settings.environment))
    handle = f"secret.{name.removeprefix('secret.')}"
    if handle not in stack.components:
        secrets = sorted(item.name for item in stack.components.values() if item.kind == "Secret")
        raise Problems.from_message(
            f"no manifest declares the Secret {name}", hint=f"available: {', '.join(secrets) or 'none'}"
        )
    return stack.components[handle]
