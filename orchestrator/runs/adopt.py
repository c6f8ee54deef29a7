"""Adopt components: show what becomes of what exists, edit the manifests to match it, then mark it, with consent.

Each step can be repeated.  A run that is killed leaves edited manifests, or resources of which some have their marks:
the next run finds fewer differences and continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.planning import adoption
from orchestrator.planning.adoption import Adoption
from orchestrator.problems import ExitCode, Problems
from orchestrator.render import adoption_report
from orchestrator.runs import plan_output
from orchestrator.runs.apply import ApplyOptions, plan_without_artefacts, review_and_apply
from orchestrator.runs.approval import Approval
from orchestrator.runs.lock import WriteLock, write_lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.drift_acceptance.manifest_texts import Texts
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate
    from orchestrator.vocabulary import Change, FieldChange, Veto

LOSS_VETO = "AdoptionLoses"
ADOPT_PATH = ("metadata", "adopt")

Handles = tuple[str, ...]


class AdoptOptions(Struct, frozen=True):
    """Options of ``adopt``: ``allow`` is the token of a plan that removes something."""

    approval: Approval = field(default_factory=Approval)
    allow: str = ""
    plan_only: bool = False
    run: RunOptions = field(default_factory=RunOptions)


def adopt(settings: Settings, handles: Handles, options: AdoptOptions) -> int:
    """Take over the existing resources of components, and return the exit code.

    Raises Problems if the manifests do not declare one, AWS has nothing of it, or nobody approves.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    settings.choose_environment()
    texts, manifest = _declare_adoption(pipeline.validate(settings.manifests, settings.environment), handles)
    candidate = checkout.from_manifest(manifest, is_promoting=False)
    planned = pipeline.plan(candidate.desired, clients=candidate.clients)
    _require_existing(planned, handles)
    _require_managed_dependencies(settings, planned, handles)
    adoptions = _list_adoptions(planned, handles)
    if not adoptions:
        command = settings.command_line("plan")
        settings.terminal.print_out(
            f"Already managed: {', '.join(handles)}. To see the remaining differences, run: {command}"
        )
        return ExitCode.OK
    settings.terminal.print_out(adoption_report.render_text(handles, adoptions, settings.terminal.style))
    texts = _find_edits(manifest, candidate, planned, handles, texts)
    _edit_manifests(settings, texts, options)
    return ExitCode.CHANGES if options.plan_only else _mark(settings, handles, options)


def _declare_adoption(manifest: Manifest, handles: Handles) -> tuple[Texts, Manifest]:
    """Return the manifests with ``adopt: true`` on the components, and the texts that are edited for it."""
    from orchestrator.drift_acceptance import manifest_texts
    from orchestrator.manifest import check, suggest

    texts: Texts = {}
    for handle in handles:
        declared = manifest.declarations.get(handle)
        if declared is None:
            hint = suggest.hint(handle, manifest.declarations, list_prefix="declared")
            raise Problems.from_message(f"the manifests do not declare {handle}", hint=hint)
        if not declared.value["metadata"].get("adopt"):
            texts = manifest_texts.edit_field(texts, manifest, declared, ADOPT_PATH, value=True)
    if not texts:
        return texts, manifest
    return texts, check.check(manifest_texts.reload_sources(manifest.sources, texts), manifest.environment)


def _require_existing(planned: PreparedPlan, handles: Handles) -> None:
    """Raise Problems if AWS has nothing of a component, or what it has belongs to another environment."""
    missing = [veto for veto in planned.plan.vetoes if veto.name == "NothingToAdopt"]
    sentences = [veto.sentence for veto in missing if veto.sentence.startswith(tuple(f"{name} " for name in handles))]
    foreign = _list_vetoes(planned, "NotOurs")
    sentences += [veto.sentence for change, veto in foreign if change.component in handles]
    if sentences:
        hint = "`identifier`, `name` and `distributionId` identify an existing database, service and distribution"
        raise Problems.from_message(" ".join(sentences), hint=hint)


def _list_vetoes(planned: PreparedPlan, name: str) -> Iterator[tuple[Change, Veto]]:
    return ((change, veto) for change in planned.plan.changes for veto in change.vetoes if veto.name == name)


def _list_adoptions(planned: PreparedPlan, handles: Handles) -> list[Adoption]:
    return [adoption.describe(change, planned.tasks[change.address]) for change in _adopting_changes(planned, handles)]


def _adopting_changes(planned: PreparedPlan, handles: Handles) -> list[Change]:
    changes = (change for change in planned.plan.pending_changes if change.component in handles)
    return [change for change in changes if adoption.is_adoption(planned.tasks[change.address])]


def _find_edits(
    manifest: Manifest, candidate: ReleaseCandidate, planned: PreparedPlan, handles: Handles, texts: Texts
) -> Texts:
    """Return edits of the manifests after which as little as possible of what exists changes."""
    from orchestrator import drift_acceptance
    from orchestrator.aws import Reader

    assert candidate.clients is not None
    differences: list[tuple[Change, FieldChange]] = [
        (change, difference)
        for change in _adopting_changes(planned, handles)
        for difference in change.fields
        if difference.path[0] != "tags"
    ]
    reader = Reader(candidate.clients)
    return drift_acceptance.keep_live(manifest, candidate.artefacts, planned, differences, reader, texts).texts


def _edit_manifests(settings: Settings, texts: Texts, options: AdoptOptions) -> None:
    """Show the edits, and write them once they are approved.  Raises Problems if nobody approves."""
    from orchestrator.drift_acceptance import manifest_texts

    if not texts:
        return
    settings.terminal.print_out("\nManifest edits that reduce the number of changes")
    settings.terminal.print_out(manifest_texts.format_diff(texts))
    if not options.plan_only:
        options.approval.confirm(settings.terminal, "Write these edits? Only 'yes' is accepted:", "yes")
        manifest_texts.write(texts)


def _mark(settings: Settings, handles: Handles, options: AdoptOptions) -> int:
    """Plan the components as their manifests are now, show what still changes, and apply it if that is approved."""
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    apply_options = ApplyOptions(options.approval, handles, options.allow, run=options.run)
    store = checkout.find_store(manifest, clients)
    with write_lock(settings, manifest.scope, "apply", options.run, clients, store) as lock:
        candidate = checkout.from_manifest(manifest, lock.clients, is_promoting=False)
        planned = plan_without_artefacts(candidate, apply_options, settings)
        adoptions = _list_adoptions(planned, handles)
        settings.terminal.print_out("\n" + adoption_report.render_text(handles, adoptions, settings.terminal.style))
        if _is_vetoed_by_losses_only(planned) and settings.terminal.is_interactive:
            planned = _ask_about_losses(settings, candidate, planned, handles)
        return _review(planned, settings, lock, apply_options, handles)


def _require_managed_dependencies(settings: Settings, planned: PreparedPlan, handles: Handles) -> None:
    """Raise Problems if what the components depend on is not managed: both have to be adopted together."""
    selected = {change.address for change in planned.plan.changes if change.component in handles}
    for change in reversed(planned.plan.changes):  # dependencies come first
        selected.update(change.depends_on if change.address in selected else ())
    others = {change.component for change, _ in _list_vetoes(planned, "NotOurs") if change.address in selected}
    if others:
        message = f"{', '.join(handles)} depends on {', '.join(sorted(others))}, which exists and is also unmanaged"
        command = settings.command_line("adopt", *handles, *sorted(others))
        raise Problems.from_message(message, hint=f"adopt them together: `{command}`; nothing was changed")


def _review(planned: PreparedPlan, settings: Settings, lock: WriteLock, options: ApplyOptions, handles: Handles) -> int:
    """Show the plan, ask for approval, apply it, and return the exit code."""
    names = ", ".join(handles)
    prompt = f"Adopt {names}, with {{changes}} to {{place}}? Only 'yes' is accepted:", "yes"
    retry_command = settings.command_line("adopt", *handles)
    exit_code = review_and_apply(planned, settings, lock, options, prompt, retry_command)
    if exit_code == ExitCode.OK:
        settings.terminal.print_out(f"Adopted {names}. From now on, `adopt` in the manifest has no effect.")
    return exit_code


def _is_vetoed_by_losses_only(planned: PreparedPlan) -> bool:
    vetoes = planned.plan.all_vetoes
    return bool(vetoes) and all(veto.name == LOSS_VETO for veto in vetoes)


def _ask_about_losses(
    settings: Settings, candidate: ReleaseCandidate, planned: PreparedPlan, handles: Handles
) -> PreparedPlan:
    """Return the plan with its vetoes lifted, if the user agrees to what it removes.  Raises Problems otherwise."""
    plan_output.print_plan(settings.terminal, planned)
    question = "This removes the settings that are listed as removed above. Type 'remove' to confirm:"
    if settings.terminal.prompt(question) != "remove":
        hint = "declare the settings to keep in the manifest, then run the command again"
        raise Problems.from_message(f"{', '.join(handles)}: not adopted; nothing was changed in AWS", hint=hint)
    options = ApplyOptions(targets=handles, allow=planned.plan.token)
    return plan_without_artefacts(candidate, options, settings)
