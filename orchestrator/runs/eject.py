"""Export an environment for another tool.  Reads AWS, writes files, changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.eject.owned_resources import Inventory


def export(settings: Settings, folder: Path) -> Inventory:
    """Write the export of the environment into ``folder`` and return what it holds.

    Raises Problems if the folder has files already, the manifests are invalid, AWS cannot be read, or nothing is owned.
    """
    from orchestrator import eject
    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import pipeline, snapshot

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Problems.from_message(f"{folder} exists and is not an empty folder", hint="set another folder with --to")
    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    clients = Clients.for_scope(desired.scope)
    pipeline.check_connection(clients)
    live = snapshot.take(Reader(clients), desired)
    if live.account != desired.scope.account:
        raise Problems.from_message(
            f"these credentials belong to account {live.account}, but the Project belongs to {desired.scope.account}",
            hint="use credentials of the Project's account; nothing was written",
        )
    inventory = eject.list_owned(live, desired)
    if not inventory.resources:
        raise Problems.from_message(
            f"{desired.scope.owner} has no resources in account {live.account}", hint="set the environment with -e"
        )
    for name, text in eject.build_files(inventory).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return inventory
