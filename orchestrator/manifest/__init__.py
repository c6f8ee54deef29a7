"""Read the YAML manifests, check them and expand them into desired resources, offline.

``load.load`` reads the files, ``check.check`` finds every problem, ``expand.expand`` builds the resources, ``render``
prints the merged manifests of an environment and ``explain.explain`` describes a field.  Nothing here calls AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.manifest.check import Manifest


def render(manifest: Manifest) -> str:
    """Return the merged manifests as YAML, with a comment on each value that the environment or a default sets."""
    from orchestrator.manifest import dump

    return dump.render(manifest)


def render_difference(first: Manifest, second: Manifest) -> str:
    """Return the fields that differ between two environments, one line each; "" if there are none."""
    from orchestrator.manifest import environment_difference

    return environment_difference.render(first, second)
