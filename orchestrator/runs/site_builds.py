"""Build the sites of a checkout, or take over what another job has built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.problems import Problems
from orchestrator.runs.display import display_build
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.manifest.check import Manifest
    from orchestrator.release.promotion import PromotionRequest


def build_sites(
    manifest: Manifest, settings: Settings, *, should_run: bool = True, request: PromotionRequest | None = None
) -> None:
    """Run the build command of every site that is built here, or only check that the sites are built.

    Sites that are promoted, by the Project or by ``request``, are not built.  Raises Problems if a command fails, is
    interrupted, or has written no site.
    """
    from orchestrator.artefacts.build_process import BuildLog
    from orchestrator.artefacts.sites import build_command
    from orchestrator.release import promotion

    for component in promotion.list_built_components(manifest, request):
        if not should_run:
            build_command.check_built(component)
        elif command := build_command.get_command(component):
            with display_build(component.handle, command, settings) as on_output:
                build_command.build_site(component, BuildLog(component.handle, on_output))


def save_built_sites(settings: Settings, target: Path) -> bool:
    """Build the sites of the checkout into ``target``, and return whether there are any.  Needs no credentials.

    Raises Problems if the manifests are invalid or a build fails.
    """
    from orchestrator.artefacts.sites import built_sites
    from orchestrator.planning import pipeline
    from orchestrator.release import ledger_entry, promotion

    manifest = pipeline.validate(settings.manifests, settings.environment)
    components = promotion.list_built_components(manifest)
    if not built_sites.list_built(components):
        return False
    build_sites(manifest, settings)
    built_sites.save(components, ledger_entry.detect_origin(settings.manifests).commit, target)
    return True


def restore_built_sites(settings: Settings, source: Path, result: str, failure: str = "") -> bool:
    """Take over the sites that another job has built from this commit, and return whether that was possible.

    ``result`` is that of the job, ``failure`` what it said if it failed.  Sites of an older commit are not used: a
    newer one was pushed in the meantime.  Raises Problems if the job failed: a build that fails is not repeated where
    there are credentials.
    """
    from orchestrator.artefacts.sites import built_sites
    from orchestrator.planning import pipeline
    from orchestrator.release import ledger_entry, promotion

    if result not in {"", "success"}:
        hint = "see the job `build` of this run; nothing was changed"
        raise Problems.from_message(failure or "the sites and images could not be built", hint=hint)
    commit = built_sites.read_commit(source)
    if not commit:
        return False
    if commit != ledger_entry.detect_origin(settings.manifests).commit:
        settings.terminal.print_out(
            f"The sites were built from {commit[:12]}. The newest commit is different, so they are built again."
        )
        return False
    manifest = pipeline.validate(settings.manifests, settings.environment)
    built_sites.restore(promotion.list_built_components(manifest), source)
    return True
