"""One difference after the other, each accepted on top of the edits before, or left with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

from orchestrator.artefacts import Artefacts
from orchestrator.aws.errors import AwsError
from orchestrator.drift_acceptance import edit_search, manifest_texts, object_guess
from orchestrator.drift_acceptance.draft import Draft, Thing, Trial
from orchestrator.drift_acceptance.manifest_texts import Texts
from orchestrator.manifest import schema
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declared, written
from orchestrator.manifest.load import API_VERSION
from orchestrator.planning.plan import Planned, kind
from orchestrator.problems import Problems
from orchestrator.redaction.redact import redact
from orchestrator.resources import Aws
from orchestrator.values import plain
from orchestrator.vocabulary import Action, Change, FieldChange, Live

_NO_WAY = (
    "no edit of {} that was tried makes it so; edit the manifest by hand, or let it be for a while with `--ignore`"
)
_HIDDEN = "what is secret stands in no manifest; put it back with `orchestrator apply`"
_MISSING = "it is not in AWS, and {}; take it out of the manifests by hand, or put it back with `orchestrator apply`"
_STRAY = "no manifest declares it, and {}; declare it by hand, or remove it with `orchestrator apply`"


class Edited(Struct):
    """Texts by file as they would be, empty where the file goes; in sentences what was ``done``, and what ``left``."""

    texts: Texts = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Acceptance:
    """The edits so far."""

    def __init__(self, manifest: Manifest, artefacts: Artefacts, planned: Planned, aws: Aws) -> None:
        self.edited = Edited()
        self._draft = Draft(manifest, artefacts, planned, aws)

    def take(self, change: Change, one: FieldChange | None) -> bool:
        """Accept a difference of a field, or (None) a resource that is missing or too many; or write down why not.

        False where no edit was found that does it: another that is accepted may open the way.
        """
        if (change.address, one.path if one else ()) not in self._draft.left:
            return True  # an edit before has settled it
        if one is not None:
            return self._field(change, one)
        if change.action is Action.CREATE:
            self._missing(change)
        else:
            self._stray(change)
        return True

    def leave(self, change: Change, one: FieldChange | None) -> None:
        """Write down that no edit does it."""
        name = ".".join(one.path) if one else ""
        self.edited.left.append(f"{change.address}: {name}: {_NO_WAY.format(change.component)}")

    def _field(self, change: Change, one: FieldChange) -> bool:
        name = f"{change.address}: {'.'.join(one.path)}"
        declared = self._draft.manifest.declared.get(change.component)
        if declared is None:
            self.edited.left.append(f"{name}: no manifest declares it")
        elif redact(one.before) != one.before or declared.kind == "Secret":
            self.edited.left.append(f"{name}: {_HIDDEN}")
        elif found := self._single(change, one) or self._several(change, one, declared):
            trial, where = found
            follows = sorted(".".join(path) for address, path in trial.gained if address == change.address)
            aside = f"; applying it changes {', '.join(follows)} to fit" if follows else ""
            self._keep(trial, f"{name}: {change.component} says so in {where}{aside}")
        else:
            return False
        return True

    def _single(self, change: Change, one: FieldChange) -> tuple[Trial, str] | None:
        """An edit of one field of the component, else of the project; None where none will do."""
        manifest = self._draft.manifest
        for handle in dict.fromkeys((change.component, manifest.project.handle)):
            declared = manifest.declared[handle]
            likely = list(edit_search.singles(self._draft, _thing(change), one, declared))
            for alone in (True, False):
                for path, value in likely:
                    trial = self._tried(partial(self._edit, declared, [(path, value)]))
                    if isinstance(trial, Trial) and _settles(trial, change, one.path, alone=alone):
                        return trial, written(path)
        return None

    def _several(self, change: Change, one: FieldChange, declared: Declared) -> tuple[Trial, str] | None:
        """An edit of several fields of the component; None where none was found."""
        focus = edit_search.Focus(spot=(_thing(change), one.path[0]))
        value = edit_search.nearer(self._draft, declared.value, focus)
        edits = edit_search.fewest(declared.value, value)
        trial = self._tried(lambda: self._edit(declared, edits))
        if edits and isinstance(trial, Trial):
            where = ", ".join(dict.fromkeys(written(path) for path, _ in edits))
            for alone in (True, False):
                if _settles(trial, change, one.path, alone=alone):
                    return trial, where
        return None

    def _missing(self, change: Change) -> None:
        """What makes the component ask for it goes; else the whole component."""
        declared = self._draft.manifest.declared[change.component]
        for path, value in edit_search.lighter(self._draft, _thing(change), change.address, declared):
            trial = self._tried(partial(self._edit, declared, [(path, value)]))
            if isinstance(trial, Trial) and _settles(trial, change, (), alone=True):
                return self._keep(trial, f"{change.address}: {change.component} leaves it out by {written(path)}")
        trial = self._tried(lambda: manifest_texts.undeclare(self._draft.texts, self._draft.manifest, declared))
        if isinstance(trial, Trial) and _settles(trial, change, (), alone=True):
            return self._keep(trial, f"{change.address}: {change.component} is declared no more")
        why = f"taking {change.component} out will not do: {_named(trial)}"
        return self.edited.left.append(f"{change.address}: {_MISSING.format(why)}")

    def _stray(self, change: Change) -> None:
        """Its component, which the mark on it names, asks for it; or is declared."""
        strays = self._of(change.component)
        name, _, rest = change.component.partition(".")
        written_kind = schema.kind_of(name)
        if not rest or written_kind is None:
            return self._leave_stray(change, "the mark on it names no component")
        if written_kind == "Secret":
            return self._leave_stray(change, "what is secret stands in no manifest")
        declared = self._draft.manifest.declared.get(change.component)
        start = declared.value if declared else _begun(written_kind, rest, strays)
        try:
            value = edit_search.nearer(self._draft, start, edit_search.Focus(wanted=strays, whole=declared is None))
        except AwsError as error:
            return self._leave_stray(change, f"the rest of {change.component} could not be read ({error.code})")
        trial = self._tried(lambda: self._declared(declared, value), looking=True)
        if isinstance(trial, Trial) and _settles(trial, change, (), alone=True):
            how = "asks for it" if declared else "is declared"
            return self._keep(trial, f"{change.address}: {change.component} {how}")
        return self._leave_stray(change, f"the nearest declaration that was found will not do: {_named(trial)}")

    def _leave_stray(self, change: Change, why: str) -> None:
        self.edited.left.append(f"{change.address}: {_STRAY.format(why)}")

    def _declared(self, declared: Declared | None, value: Mapping[str, Any]) -> Texts:
        draft = self._draft
        if declared is None:
            return manifest_texts.declare(draft.texts, draft.manifest, value)
        return self._edit(declared, edit_search.fewest(declared.value, value))

    def _edit(self, declared: Declared, edits: Iterable[tuple[Any, Any]]) -> Texts:
        made = self._draft.texts
        for path, value in edits:
            made = manifest_texts.edit(made, self._draft.manifest, declared, path, value)
        return made

    def _of(self, component: str) -> dict[Thing, Live]:
        strays = self._draft.strays.items()
        return {thing: live for thing, (_, live) in strays if live.component == component}

    def _tried(self, make: Callable[[], Texts], *, looking: bool = False) -> Trial | str:
        """What comes of an edit; in a sentence why it is none."""
        try:
            return self._draft.tried(make(), looking=looking)
        except Problems as error:
            return error.problems[0].message
        except (AwsError, OSError) as error:
            return str(error)

    def _keep(self, trial: Trial, sentence: str) -> None:
        self._draft.keep(trial)
        self.edited.texts = trial.texts
        self.edited.done.append(sentence)


def _settles(trial: Trial, change: Change, path: tuple[str, ...], *, alone: bool) -> bool:
    """Whether the difference is gone and none came; unless ``alone``, of the same resource some may, for an update."""
    if (change.address, path) in trial.left:
        return False
    return not trial.gained or (not alone and trial.owners == {(change.address, Action.UPDATE)})


def _begun(written_kind: str, name: str, strays: Mapping[Thing, Live]) -> dict[str, Any]:
    """A document to begin the search with: what the kind has to say, by the likeness of names."""
    lower = written_kind.lower()
    found: dict[str, Any] = {}
    for (_, physical), live in strays.items():
        found |= {key: plain(value) for key, value in live.spec.items()} | {"name": physical}
    spec = schema.load(lower)["properties"]["spec"]
    made = object_guess.guess(lower, spec, found, needed=True)
    return {"apiVersion": API_VERSION, "kind": written_kind, "metadata": {"name": name}, "spec": made}


def _named(trial: Trial | str) -> str:
    """What an edit would bring, or why it is none."""
    if isinstance(trial, str):
        return trial
    gained = sorted(f"{address}{':' if path else ''} {'.'.join(path)}".strip() for address, path in trial.gained)
    return ", ".join(gained[:3]) + (f" and {len(gained) - 3} more" if len(gained) > 3 else "") or "the same"


def _thing(change: Change) -> Thing:
    return kind(change), change.physical
