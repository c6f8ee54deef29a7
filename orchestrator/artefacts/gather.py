"""Looks at the files of a checkout and says what they would ship.  Reads files; writes nothing, builds nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.model import Component


def gather(components: Iterable[Component]) -> Artefacts:
    """The images and sites of resolved ``components``; paths in a manifest are relative to the file that says them.

    Raises Problems when a folder or a Dockerfile is not there or cannot be read.
    """
    found = list(components)
    sites, notes = _sites(found)
    return Artefacts(sites=sites, notes=tuple(notes))


def _sites(components: list[Component]) -> tuple[dict[str, Site], list[str]]:
    """The sites that are there, and a note about those that are to be built first."""
    sites, notes = {}, []
    for component in components:
        spa = component.spec.get("spa")
        if not spa:
            continue
        folder = beside(component, spa["dir"])
        if spa.get("build") and not folder.exists():
            notes.append(
                f"{component.handle}: its site is not built ({spa['dir']} is not there), so the plan leaves it as it "
                "is. `orchestrator deploy` builds it first."
            )
        else:
            sites[component.handle] = scan(folder)
    return sites, notes


def beside(component: Component, path: str) -> Path:
    """A path written in the manifest of ``component``, as a path on this machine."""
    return (Path(component.where.file).parent / path).resolve()
