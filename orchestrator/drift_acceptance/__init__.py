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
from orchestrator.drift_acceptance.draft import differences
from orchestrator.drift_acceptance.session import Acceptance, Edited
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.drift_ignore import IGNORE
from orchestrator.planning.plan import Planned
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.vocabulary import Action, Change, FieldChange, Plan

__all__ = ["ALL", "Edited", "accept", "chosen", "ignore"]

ALL = "all"
_WHOLE = {
    Action.CREATE: "it is not in AWS, and only a field can be let be; `--accept` it, or put it back with "
    "`orchestrator apply`",
    Action.DELETE: "no manifest declares it, and only a field can be let be; `--accept` it, or remove it with "
    "`orchestrator apply`",
}


def chosen(plan: Plan, targets: Iterable[str]) -> list[tuple[Change, FieldChange | None]]:
    """The differences that ``targets`` name: ``all``, an address, a component, or ``ADDRESS:FIELD``.

    A whole resource that is missing or too many comes without a field.  Raises Problems for a target that names none.
    """
    pairs = [(change, one) for change in plan.pending for one in differences(change)]
    found: dict[tuple[str, tuple[str, ...]], tuple[Change, FieldChange | None]] = {}
    for target in targets:
        fitting = [pair for pair in pairs if _meant(target, *pair)]
        if not fitting:
            known = ", ".join(dict.fromkeys(change.address for change in plan.pending)) or "nothing"
            raise Problems.one(f"no drift is called {target}", hint=f"what has drifted: {known}")
        for change, one in fitting:
            found[change.address, one.path if one else ()] = (change, one)
    return list(found.values())


def accept(manifest: Manifest, artefacts: Artefacts, planned: Planned, targets: Iterable[str], aws: Aws) -> Edited:
    """The texts that say what AWS has, for what ``targets`` name.

    Raises Problems.
    """
    run = Acceptance(manifest, artefacts, planned, aws)
    # Whole resources first: what the others say of them is settled with them.
    open_ = sorted(chosen(planned.plan, targets), key=lambda pair: pair[1] is not None)
    while before := len(open_):
        open_ = [pair for pair in open_ if not run.take(*pair)]
        if len(open_) == before or not run.edited.done:
            break
    for pair in open_:
        run.leave(*pair)
    return run.edited


def ignore(manifest: Manifest, planned: Planned, targets: Iterable[str], **words: str) -> Edited:
    """The texts that let be what ``targets`` name; ``words`` are ``until``, ``owner`` and ``reason``.

    Raises Problems.
    """
    edited, counts = Edited(), dict.fromkeys(manifest.declared, 0)
    for change, one in chosen(planned.plan, targets):
        if one is None or change.component not in manifest.declared:
            edited.left.append(f"{change.address}: {_WHOLE.get(change.action, 'no manifest declares it')}")
            continue
        declared = manifest.declared[change.component]
        known = (declared.value["metadata"].get("drift") or {}).get("ignore", ())
        path = (*IGNORE, len(known) + counts[change.component])
        counts[change.component] += 1
        name = ".".join(one.path)
        entry = {"field": name, "resource": change.address, **words}
        edited.texts = manifest_texts.edit(edited.texts, manifest, declared, path, entry)
        edited.done.append(f"{change.address}: {name} is let be until {words['until']}")
    return edited


def _meant(target: str, change: Change, one: FieldChange | None) -> bool:
    name, _, wanted = target.partition(":")
    if name not in {ALL, change.address, change.component}:
        return False
    path = ".".join(one.path) if one else ""
    return not wanted or path == wanted or path.startswith(f"{wanted}.")
