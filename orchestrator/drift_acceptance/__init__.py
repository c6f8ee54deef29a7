"""Answering drift in the manifests: they say what AWS has, or let it be.  Reads files and AWS, writes neither.

There is no table that leads from a resource back to a manifest.  Edits are tried, likely ones first, with values that
AWS's answer holds: of one field, then of several, step by step; of a whole document where a whole resource is missing
or too many.  An edit counts only when the plan made with it has lost that difference and gained none, or none but of
what else the same resource says (a description with the value in it).
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.artefacts import Artefacts
from orchestrator.drift_acceptance import manifest_texts
from orchestrator.drift_acceptance.draft import list_differences
from orchestrator.drift_acceptance.session import AcceptanceSession, ManifestEdits
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.drift_ignore import IGNORE_PATH
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

__all__ = ["ALL_TARGETS", "ManifestEdits", "accept", "ignore", "select_differences"]

ALL_TARGETS = "all"
_NOT_IGNORABLE_REASONS = {
    Action.CREATE: "it is not in AWS, and only a field can be let be; `--accept` it, or put it back with "
    "`orchestrator apply`",
    Action.DELETE: "no manifest declares it, and only a field can be let be; `--accept` it, or remove it with "
    "`orchestrator apply`",
}


def select_differences(plan: Plan, targets: Iterable[str]) -> list[tuple[Change, FieldChange | None]]:
    """The differences that ``targets`` name: ``all``, an address, a component, or ``ADDRESS:FIELD``.

    A whole resource that is missing or too many comes without a field.  Raises Problems for a target that names none.
    """
    differences_by_change = [
        (change, difference) for change in plan.pending_changes for difference in list_differences(change)
    ]
    selected: dict[tuple[str, tuple[str, ...]], tuple[Change, FieldChange | None]] = {}
    for target in targets:
        matches = [pair for pair in differences_by_change if _matches_target(target, *pair)]
        if not matches:
            drifted_addresses = ", ".join(dict.fromkeys(change.address for change in plan.pending_changes)) or "nothing"
            raise Problems.from_message(f"no drift is called {target}", hint=f"what has drifted: {drifted_addresses}")
        for change, difference in matches:
            selected[change.address, difference.path if difference else ()] = (change, difference)
    return list(selected.values())


def accept(
    manifest: Manifest, artefacts: Artefacts, planned: PreparedPlan, targets: Iterable[str], aws: AwsReader
) -> ManifestEdits:
    """The texts that say what AWS has, for what ``targets`` name.

    Raises Problems.
    """
    session = AcceptanceSession(manifest, artefacts, planned, aws)
    # Whole resources first: what the others say of them is settled with them.
    pending = sorted(select_differences(planned.plan, targets), key=lambda pair: pair[1] is not None)
    while pending_count := len(pending):
        pending = [pair for pair in pending if not session.accept(*pair)]
        if len(pending) == pending_count or not session.edits.applied:
            break
    for pair in pending:
        session.mark_unresolved(*pair)
    return session.edits


def ignore(manifest: Manifest, planned: PreparedPlan, targets: Iterable[str], **waiver_fields: str) -> ManifestEdits:
    """The texts that let be what ``targets`` name; ``words`` are ``until``, ``owner`` and ``reason``.

    Raises Problems.
    """
    edited, added_counts = ManifestEdits(), dict.fromkeys(manifest.declarations, 0)
    for change, difference in select_differences(planned.plan, targets):
        if difference is None or change.component not in manifest.declarations:
            edited.unresolved.append(
                f"{change.address}: {_NOT_IGNORABLE_REASONS.get(change.action, 'no manifest declares it')}"
            )
            continue
        declared = manifest.declarations[change.component]
        existing_waivers = (declared.value["metadata"].get("drift") or {}).get("ignore", ())
        path = (*IGNORE_PATH, len(existing_waivers) + added_counts[change.component])
        added_counts[change.component] += 1
        field_name = ".".join(difference.path)
        entry = {"field": field_name, "resource": change.address, **waiver_fields}
        edited.texts = manifest_texts.edit_field(edited.texts, manifest, declared, path, entry)
        edited.applied.append(f"{change.address}: {field_name} is let be until {waiver_fields['until']}")
    return edited


def _matches_target(target: str, change: Change, difference: FieldChange | None) -> bool:
    target_name, _, field_prefix = target.partition(":")
    if target_name not in {ALL_TARGETS, change.address, change.component}:
        return False
    path = ".".join(difference.path) if difference else ""
    return not field_prefix or path == field_prefix or path.startswith(f"{field_prefix}.")
