"""Accept drift into the manifests, or ignore it until a date.  Reads files and AWS, writes neither.

No table maps a resource back to its manifest.  Candidate edits are tried instead, likely ones first, with values from
AWS: of one field, then of several, step by step; of a whole document if a whole resource is missing or undeclared.  An
edit is accepted only if the plan made with it no longer has that difference and has no new one, except for other fields
of the same resource (such as a description that contains the value).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from orchestrator.artefacts import Artefacts
from orchestrator.drift_acceptance import manifest_texts
from orchestrator.drift_acceptance.draft import list_differences
from orchestrator.drift_acceptance.manifest_texts import Texts
from orchestrator.drift_acceptance.session import AcceptanceSession, ManifestEdits
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.drift_ignore import IGNORE_PATH
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

__all__ = ["ALL_TARGETS", "ManifestEdits", "accept", "accept_differences", "ignore", "keep_live", "select_differences"]

ALL_TARGETS = "all"
_NOT_IGNORABLE_REASONS = {
    Action.CREATE: "it is not in AWS, and only fields can be ignored; accept it with `--accept`, or recreate it with "
    "`orchestrator apply`",
    Action.DELETE: "no manifest declares it, and only fields can be ignored; accept it with `--accept`, or delete it "
    "with `orchestrator apply`",
}


def select_differences(plan: Plan, targets: Iterable[str]) -> list[tuple[Change, FieldChange | None]]:
    """Return the differences that ``targets`` match: ``all``, an address, a component, or ``ADDRESS:FIELD``.

    The field is None if the whole resource is missing or undeclared.  Raises Problems if a target matches nothing.
    """
    differences_by_change = [
        (change, difference) for change in plan.pending_changes for difference in list_differences(change)
    ]
    selected: dict[tuple[str, tuple[str, ...]], tuple[Change, FieldChange | None]] = {}
    for target in targets:
        matches = [pair for pair in differences_by_change if _matches_target(target, *pair)]
        if not matches:
            drifted_addresses = ", ".join(dict.fromkeys(change.address for change in plan.pending_changes)) or "nothing"
            raise Problems.from_message(
                f"no drift matches `{target}`", hint=f"choose from the drifted resources: {drifted_addresses}"
            )
        for change, difference in matches:
            selected[change.address, difference.path if difference else ()] = (change, difference)
    return list(selected.values())


def accept(
    manifest: Manifest, artefacts: Artefacts, planned: PreparedPlan, targets: Iterable[str], aws: AwsReader
) -> ManifestEdits:
    """Return edits that make the manifests match AWS for the differences that ``targets`` match.

    Raises Problems if a target matches nothing.
    """
    return accept_differences(manifest, artefacts, planned, select_differences(planned.plan, targets), aws)


def accept_differences(
    manifest: Manifest,
    artefacts: Artefacts,
    planned: PreparedPlan,
    differences: Iterable[tuple[Change, FieldChange | None]],
    aws: AwsReader,
    texts: Texts = MappingProxyType({}),
) -> ManifestEdits:
    """Return edits that make the manifests match AWS for ``differences`` of the plan, on top of edited ``texts``."""
    session = AcceptanceSession(manifest, artefacts, planned, aws, texts)
    # Whole resources first: accepting one also resolves differences that refer to it.
    pending = sorted(differences, key=lambda pair: pair[1] is not None)
    while pending_count := len(pending):
        pending = [pair for pair in pending if not session.accept(*pair)]
        if len(pending) == pending_count or not session.edits.applied:
            break
    for pair in pending:
        session.mark_unresolved(*pair)
    return session.edits


def keep_live(
    manifest: Manifest,
    artefacts: Artefacts,
    planned: PreparedPlan,
    differences: list[tuple[Change, FieldChange]],
    aws: AwsReader,
    texts: Texts = MappingProxyType({}),
) -> ManifestEdits:
    """Return edits, on top of ``texts``, after which the plan changes as little as possible of ``differences``.

    First whole fields, then parts of them: what a field has in AWS stays, even if the manifests add something to it.
    """
    session = AcceptanceSession(manifest, artefacts, planned, aws, texts)
    remaining = [pair for pair in differences if not session.accept_single(*pair)]
    for change, difference in remaining:
        if session.keep_parts(change, difference):
            session.accept_single(change, difference)  # such as by switching off what the manifest adds to it
    return session.edits


def ignore(manifest: Manifest, planned: PreparedPlan, targets: Iterable[str], **waiver_fields: str) -> ManifestEdits:
    """Return edits that add waivers for what ``targets`` match; ``waiver_fields``: ``until``, ``owner`` and ``reason``.

    Raises Problems if a target matches nothing.
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
        edited.applied.append(f"{change.address}: {field_name} is ignored until {waiver_fields['until']}")
    return edited


def _matches_target(target: str, change: Change, difference: FieldChange | None) -> bool:
    target_name, _, field_prefix = target.partition(":")
    if target_name not in {ALL_TARGETS, change.address, change.component}:
        return False
    path = ".".join(difference.path) if difference else ""
    return not field_prefix or path == field_prefix or path.startswith(f"{field_prefix}.")
