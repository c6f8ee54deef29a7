"""The manifest stage: YAML in git -> a checked Manifest -> desired resources.  Offline; knows no AWS API.

``load.load`` reads files, ``check.check`` finds every problem, ``expand.expand`` makes resources; ``render`` shows
what an environment comes to, ``explain.explain`` what a field means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.manifest.check import Manifest


def render(manifest: Manifest) -> str:
    """The merged manifests as YAML documents, with a comment where the environment or a default gave the value."""
    from orchestrator.manifest import dump

    return dump.render(manifest)
