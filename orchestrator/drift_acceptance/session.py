"""Accept differences one by one, each on top of the previous edits, or report why one is unresolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

from orchestrator.artefacts import Artefacts
from orchestrator.aws.errors import AwsError
from orchestrator.drift_acceptance import edit_search, manifest_texts, value_guess
from orchestrator.drift_acceptance.draft import Draft, ResourceKey, Trial
from orchestrator.drift_acceptance.manifest_texts import Texts
from orchestrator.manifest import schema
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declaration, format_path
from orchestrator.manifest.load import API_VERSION
from orchestrator.planning.adoption import find_lost_values
from orchestrator.planning.plan import PreparedPlan, resource_type_of
from orchestrator.problems import Problems
from orchestrator.redaction.redact import redact
from orchestrator.resources import AwsReader
from orchestrator.values import to_plain
from orchestrator.vocabulary import Action, Change, FieldChange, LiveResource

_NO_EDIT_FOUND = (
    "found no edit of {} that resolves the drift; edit the manifest manually, or ignore the drift with `--ignore`"
)
_SECRET_REASON = "a secret value cannot be written into a manifest; restore it with `orchestrator apply`"  # noqa: S105 - a sentence
_MISSING_FROM_AWS = (
    "it is not in AWS, and {}; remove it from the manifests manually, or recreate it with `orchestrator apply`"
)
_NOT_DECLARED = "no manifest declares it, and {}; declare it manually, or delete it with `orchestrator apply`"


class ManifestEdits(Struct):
    """Edited texts by file, empty if the file is deleted; one sentence per applied and per unresolved difference."""

    texts: Texts = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)


class AcceptanceSession:
    """Accepts the differences of a plan and collects the edits."""

    def __init__(
        self, manifest: Manifest, artefacts: Artefacts, planned: PreparedPlan, aws: AwsReader, texts: Texts
    ) -> None:
        self.edits = ManifestEdits(texts)
        self._draft = Draft(manifest, artefacts, planned, aws, texts)

    def accept(self, change: Change, difference: FieldChange | None) -> bool:
        """Accept a field's difference, or (None) a missing or undeclared resource, or record why it is unresolved.

        Returns False if no edit was found yet: accepting another difference may make one possible.
        """
        if (change.address, difference.path if difference else ()) not in self._draft.remaining:
            return True  # an earlier edit has resolved it
        if difference is not None:
            return self._accept_field(change, difference)
        if change.action is Action.CREATE:
            self._accept_missing(change)
        else:
            self._accept_orphan(change)
        return True

    def accept_single(self, change: Change, difference: FieldChange) -> bool:
        """Accept a field's difference with the edit of one field; return whether it is resolved.

        Unlike ``accept``, it does not search for combined edits: that would take minutes for what cannot be declared.
        """
        if (change.address, difference.path) not in self._draft.remaining:
            return True
        if not self._can_declare(change, difference):
            return False
        edit = self._find_single_edit(change, difference)
        if edit is not None:
            self._keep_trial(edit[0], f"{change.address}: {'.'.join(difference.path)}: accepted in {edit[1]}")
        return edit is not None

    def _can_declare(self, change: Change, difference: FieldChange) -> bool:
        declared = self._draft.manifest.declarations.get(change.component)
        is_secret = redact(difference.before) != difference.before
        return declared is not None and declared.kind != "Secret" and not is_secret

    def keep_parts(self, change: Change, difference: FieldChange) -> bool:
        """Accept edits, one after the other, with which the field loses less of what it has in AWS; return if any."""
        if not self._can_declare(change, difference):
            return False
        edit_count = len(self.edits.applied)
        lost_count = len(list(find_lost_values(difference)))
        while lost_count and (trial := self._find_part(change, difference, lost_count)):
            lost_count = _count_lost(trial, change, difference)
            field_label = f"{change.address}: {'.'.join(difference.path)}"
            self._keep_trial(trial, f"{field_label}: partly accepted in {change.component}")
        return len(self.edits.applied) > edit_count

    def _find_part(self, change: Change, difference: FieldChange, lost_count: int) -> Trial | None:
        declared = self._draft.manifest.declarations[change.component]
        resource_key = _resource_key(change)
        for path, value in edit_search.find_single_edits(self._draft, resource_key, difference, declared):
            trial = self._try_texts(partial(self._apply_edits, declared, [(path, value)]))
            if (
                isinstance(trial, Trial)
                and not trial.introduced
                and _count_lost(trial, change, difference) < lost_count
            ):
                return trial
        return None

    def mark_unresolved(self, change: Change, difference: FieldChange | None) -> None:
        """Record that no edit was found."""
        field_name = ".".join(difference.path) if difference else ""
        self.edits.unresolved.append(f"{change.address}: {field_name}: {_NO_EDIT_FOUND.format(change.component)}")

    def _accept_field(self, change: Change, difference: FieldChange) -> bool:
        field_label = f"{change.address}: {'.'.join(difference.path)}"
        declared = self._draft.manifest.declarations.get(change.component)
        if declared is None:
            self.edits.unresolved.append(f"{field_label}: no manifest declares it")
        elif redact(difference.before) != difference.before or declared.kind == "Secret":
            self.edits.unresolved.append(f"{field_label}: {_SECRET_REASON}")
        elif accepted_edit := self._find_single_edit(change, difference) or self._find_combined_edit(
            change, difference, declared
        ):
            trial, field_list = accepted_edit
            dependent_fields = sorted(".".join(path) for address, path in trial.introduced if address == change.address)
            note = f"; the next apply also updates {', '.join(dependent_fields)}" if dependent_fields else ""
            self._keep_trial(trial, f"{field_label}: accepted in {change.component} {field_list}{note}")
        else:
            return False
        return True

    def _find_single_edit(self, change: Change, difference: FieldChange) -> tuple[Trial, str] | None:
        """Return an edit of one field of the component, else of the project; None if none resolves the difference."""
        manifest = self._draft.manifest
        for handle in dict.fromkeys((change.component, manifest.project.handle)):
            declared = manifest.declarations[handle]
            candidate_edits = list(
                edit_search.find_single_edits(self._draft, _resource_key(change), difference, declared)
            )
            inexact: tuple[Trial, str] | None = None
            for path, value in candidate_edits:
                trial = self._try_texts(partial(self._apply_edits, declared, [(path, value)]))
                if isinstance(trial, Trial) and _resolves(trial, change, difference.path, is_exact=True):
                    return trial, format_path(path)
                if isinstance(trial, Trial) and _resolves(trial, change, difference.path, is_exact=False):
                    inexact = inexact or (trial, format_path(path))
            if inexact is not None:
                return inexact
        return None

    def _find_combined_edit(
        self, change: Change, difference: FieldChange, declared: Declaration
    ) -> tuple[Trial, str] | None:
        """Return an edit of several fields of the component; None if none was found."""
        goal = edit_search.SearchGoal(field_key=(_resource_key(change), difference.path[0]))
        value = edit_search.climb_towards(self._draft, declared.value, goal)
        edits = edit_search.shortest_edits(declared.value, value)
        trial = self._try_texts(lambda: self._apply_edits(declared, edits))
        if edits and isinstance(trial, Trial):
            field_list = ", ".join(dict.fromkeys(format_path(path) for path, _ in edits))
            for is_exact in (True, False):
                if _resolves(trial, change, difference.path, is_exact=is_exact):
                    return trial, field_list
        return None

    def _accept_missing(self, change: Change) -> None:
        """Remove the field that declares the resource, else the whole component."""
        declared = self._draft.manifest.declarations[change.component]
        for path, value in edit_search.find_removals(self._draft, _resource_key(change), change.address, declared):
            trial = self._try_texts(partial(self._apply_edits, declared, [(path, value)]))
            if isinstance(trial, Trial) and _resolves(trial, change, (), is_exact=True):
                return self._keep_trial(
                    trial, f"{change.address}: removed from {change.component} by editing {format_path(path)}"
                )
        trial = self._try_texts(
            lambda: manifest_texts.remove_documents(self._draft.texts, self._draft.manifest, declared)
        )
        if isinstance(trial, Trial) and _resolves(trial, change, (), is_exact=True):
            return self._keep_trial(trial, f"{change.address}: {change.component} is no longer declared")
        reason = f"removing {change.component} does not resolve the drift: {_describe_trial(trial)}"
        return self.edits.unresolved.append(f"{change.address}: {_MISSING_FROM_AWS.format(reason)}")

    def _accept_orphan(self, change: Change) -> None:
        """Edit or declare the component that the resource's ownership mark names."""
        orphans = self._orphans_of(change.component)
        kind_prefix, _, component_name = change.component.partition(".")
        manifest_kind = schema.manifest_kind(kind_prefix)
        if not component_name or manifest_kind is None:
            return self._mark_orphan_unresolved(change, "its ownership mark does not name a component")
        if manifest_kind == "Secret":
            return self._mark_orphan_unresolved(change, "a secret value cannot be written into a manifest")
        declared = self._draft.manifest.declarations.get(change.component)
        initial_document = declared.value if declared else _initial_document(manifest_kind, component_name, orphans)
        try:
            nearest_document = edit_search.climb_towards(
                self._draft,
                initial_document,
                edit_search.SearchGoal(target_resources=orphans, is_document=declared is None),
            )
        except AwsError as error:
            return self._mark_orphan_unresolved(
                change, f"the rest of {change.component} could not be read ({error.code})"
            )
        trial = self._try_texts(lambda: self._declare_or_edit(declared, nearest_document), should_read=True)
        if isinstance(trial, Trial) and _resolves(trial, change, (), is_exact=True):
            description = "declares it" if declared else "is declared"
            return self._keep_trial(trial, f"{change.address}: {change.component} {description}")
        return self._mark_orphan_unresolved(
            change, f"the closest declaration found does not resolve the drift: {_describe_trial(trial)}"
        )

    def _mark_orphan_unresolved(self, change: Change, reason: str) -> None:
        self.edits.unresolved.append(f"{change.address}: {_NOT_DECLARED.format(reason)}")

    def _declare_or_edit(self, declared: Declaration | None, value: Mapping[str, Any]) -> Texts:
        draft = self._draft
        if declared is None:
            return manifest_texts.add_document(draft.texts, draft.manifest, value)
        return self._apply_edits(declared, edit_search.shortest_edits(declared.value, value))

    def _apply_edits(self, declared: Declaration, edits: Iterable[tuple[Any, Any]]) -> Texts:
        edited_texts = self._draft.texts
        for path, value in edits:
            edited_texts = manifest_texts.edit_field(edited_texts, self._draft.manifest, declared, path, value)
        return edited_texts

    def _orphans_of(self, component: str) -> dict[ResourceKey, LiveResource]:
        orphans = self._draft.orphans.items()
        return {resource_key: live for resource_key, (_, live) in orphans if live.component == component}

    def _try_texts(self, build_texts: Callable[[], Texts], *, should_read: bool = False) -> Trial | str:
        """Return the result of an edit, or a sentence saying why it is invalid."""
        try:
            return self._draft.try_texts(build_texts(), should_read=should_read)
        except Problems as error:
            return error.problems[0].message
        except (AwsError, OSError) as error:
            return str(error)

    def _keep_trial(self, trial: Trial, sentence: str) -> None:
        self._draft.adopt(trial)
        self.edits.texts = trial.texts
        self.edits.applied.append(sentence)


def _count_lost(trial: Trial, change: Change, difference: FieldChange) -> int:
    """Return how much a field still loses in the plan of a trial."""
    fields = (field for other in trial.plan.changes if other.address == change.address for field in other.fields)
    return sum(len(list(find_lost_values(field))) for field in fields if field.path[:1] == difference.path[:1])


def _resolves(trial: Trial, change: Change, path: tuple[str, ...], *, is_exact: bool) -> bool:
    """Return whether the difference is gone without new ones; unless ``is_exact``, the resource may need an update."""
    if (change.address, path) in trial.remaining:
        return False
    return not trial.introduced or (not is_exact and trial.introduced_changes == {(change.address, Action.UPDATE)})


def _initial_document(manifest_kind: str, name: str, orphans: Mapping[ResourceKey, LiveResource]) -> dict[str, Any]:
    """Return a document to start the search from: the kind's required fields, guessed from the live resources."""
    schema_name = manifest_kind.lower()
    suggested_values: dict[str, Any] = {}
    for (_, physical), live in orphans.items():
        suggested_values |= {key: to_plain(value) for key, value in live.spec.items()} | {"name": physical}
    spec = schema.load(schema_name)["properties"]["spec"]
    spec_value = value_guess.guess_object(schema_name, spec, suggested_values, is_required_only=True)
    return {"apiVersion": API_VERSION, "kind": manifest_kind, "metadata": {"name": name}, "spec": spec_value}


def _describe_trial(trial: Trial | str) -> str:
    """Return the new differences that an edit causes, or why it is invalid."""
    if isinstance(trial, str):
        return trial
    introduced = sorted(
        f"{address}{':' if path else ''} {'.'.join(path)}".strip() for address, path in trial.introduced
    )
    if not introduced:
        return "the difference remains"
    overflow = f" and {len(introduced) - 3} more" if len(introduced) > 3 else ""
    return f"it introduces {', '.join(introduced[:3])}{overflow}"


def _resource_key(change: Change) -> ResourceKey:
    return resource_type_of(change), change.physical
