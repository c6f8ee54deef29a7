"""Accepting drift: the edit of a manifest by which it says what AWS has.  Reads the manifests' files, writes none.

There is no table that leads from a field of a resource back to a field of a manifest.  Fields of the component are
tried, likely ones first, with values that AWS's answer holds; an edit counts only when the plan made with it has lost
that difference and gained none, or none but of what else the same resource says (a description with the value in it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator import candidates, components
from orchestrator import plan as planning
from orchestrator.artefacts import Artefacts
from orchestrator.manifest import check, editing, expand, load, schema
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declared, Document, written
from orchestrator.manifest.document import Path as FieldPath
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.manifest.waiving import IGNORE
from orchestrator.model import Action, Change, FieldChange, Plan, Resource
from orchestrator.plan import Planned
from orchestrator.problems import Problems
from orchestrator.redaction import redact
from orchestrator.snapshot import Snapshot
from orchestrator.values import Value

ALL = "all"
_WHOLE = {
    Action.CREATE: "it is not in AWS; take it out of the manifests by hand, or put it back with `orchestrator apply`",
    Action.DELETE: "no manifest declares it; declare it by hand, or remove it with `orchestrator apply`",
}
_NO_WAY = "no one field of {} makes it so; edit the manifest by hand, or let it be for a while with `--ignore`"


@dataclass
class Edited:
    """Texts by file as they would be; in sentences what was ``done``, and what was ``left`` and why."""

    texts: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def chosen(plan: Plan, targets: Iterable[str]) -> list[tuple[Change, FieldChange | None]]:
    """The differences that ``targets`` name: ``all``, an address, a component, or ``ADDRESS:FIELD``.

    A whole resource that is missing or too many comes without a field.  Raises Problems for a target that names none.
    """
    pairs = [(change, one) for change in plan.pending for one in _differences(change)]
    found: dict[tuple[str, tuple[str, ...]], tuple[Change, FieldChange | None]] = {}
    for target in targets:
        fitting = [pair for pair in pairs if _meant(target, *pair)]
        if not fitting:
            known = ", ".join(dict.fromkeys(change.address for change in plan.pending)) or "nothing"
            raise Problems.one(f"no drift is called {target}", hint=f"what has drifted: {known}")
        for change, one in fitting:
            found[change.address, one.path if one else ()] = (change, one)
    return list(found.values())


def accept(manifest: Manifest, artefacts: Artefacts, planned: Planned, targets: Iterable[str]) -> Edited:
    """The texts that say what AWS has, for what ``targets`` name.

    Raises Problems.
    """
    run = _Acceptance(manifest, artefacts, planned)
    for change, one in chosen(planned.plan, targets):
        run.take(change, one)
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
        _write(edited, manifest, declared, path, {"field": name, "resource": change.address, **words})
        edited.done.append(f"{change.address}: {name} is let be until {words['until']}")
    return edited


class _Acceptance:
    """One difference after the other, each on top of the edits before."""

    def __init__(self, manifest: Manifest, artefacts: Artefacts, planned: Planned) -> None:
        self.edited = Edited()
        self._manifest = manifest
        self._artefacts = artefacts
        self._plan = planned.plan
        strays = {
            address: (task.found, task.live) for address, task in planned.tasks.items() if task.found and task.live
        }
        unread = {one.address: one for one in planned.plan.unread}
        self._snapshot = Snapshot(planned.plan.account, planned.live, unread, strays)
        self._left = _pairs(planned.plan)
        self._gained: set[tuple[str, tuple[str, ...]]] = set()

    def take(self, change: Change, one: FieldChange | None) -> None:
        name = f"{change.address}: {'.'.join(one.path)}" if one else change.address
        declared = self._manifest.declared.get(change.component)
        if one is None or declared is None:
            self.edited.left.append(f"{name}: {_WHOLE.get(change.action, 'no manifest declares it')}")
        elif (change.address, one.path) not in self._left:
            return  # an edit before has settled it
        elif redact(one.before) != one.before or declared.kind == "Secret":
            self.edited.left.append(
                f"{name}: what is secret stands in no manifest; put it back with `orchestrator apply`"
            )
        elif (path := self._settled(change, one)) is None:
            self.edited.left.append(f"{name}: {_NO_WAY.format(change.component)}")
        else:
            follows = [".".join(each) for address, each in self._gained if address == change.address]
            aside = f"; applying it changes {', '.join(follows)} to fit" if follows else ""
            self.edited.done.append(f"{name}: {change.component} says so in {written(path)}{aside}")

    def _settled(self, change: Change, one: FieldChange) -> FieldPath | None:
        """The path of the field that was edited, or None where no edit helps."""
        for handle in dict.fromkeys((change.component, self._manifest.project.handle)):
            declared = self._manifest.declared[handle]
            likely = list(self._likely(change, one, declared))
            for alone in (True, False):
                for path, value in likely:
                    if self._holds(change, one, declared, path, value, alone=alone):
                        return path
        return None

    def _likely(self, change: Change, one: FieldChange, declared: Declared) -> Iterator[tuple[FieldPath, Value]]:
        before = self._made(change, declared.handle, declared.value)
        for path, value in candidates.candidates(declared, one):
            made = self._made(change, declared.handle, editing.changed(declared.value, path, value))
            if made is not None and made != before:
                yield path, value

    def _made(self, change: Change, handle: str, value: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """What the resource would be if ``handle`` were declared as ``value``; quick, and only a hint."""
        name = handle.partition(".")[0]
        if not schema.validator(name).is_valid(value):
            return None
        try:
            found = _spec(self._with(handle, value), self._artefacts, change)
        except (Problems, LookupError, TypeError, ValueError):  # a component may count on what `check` would refuse
            return None
        return found.spec if found else None

    def _with(self, handle: str, value: Mapping[str, Value]) -> Manifest:
        spec = schema.fill(handle.partition(".")[0], value)["spec"]
        each = tuple(replace(one, spec=spec) if one.handle == handle else one for one in self._manifest.components)
        project = next(one for one in each if one.kind == check.PROJECT)
        declared = {**self._manifest.declared, handle: Declared(value, self._manifest.declared[handle].layers)}
        return replace(self._manifest, components=each, project=project, declared=declared)

    def _holds(
        self, change: Change, one: FieldChange, declared: Declared, path: FieldPath, value: Value, *, alone: bool
    ) -> bool:
        """Make the edit if the plan made with it has lost the difference and gained none.

        Unless it has to stand ``alone``, it may gain differences of the same resource that an update settles.
        """
        draft = Edited(dict(self.edited.texts))
        try:
            _write(draft, self._manifest, declared, path, value)
            manifest = check.check(_reread(self._manifest.sources, draft.texts), self._manifest.environment)
            desired = expand.expand(manifest, self._artefacts)
        except (Problems, OSError):
            return False
        plan = planning.build(desired, self._snapshot).plan
        left = _pairs(plan)
        gained = left - self._left
        if (change.address, one.path) in left or (gained and alone):
            return False
        if gained and {(each.address, each.action) for each in _owners(plan, gained)} != {
            (change.address, Action.UPDATE)
        }:
            return False
        self.edited.texts, self._manifest, self._left, self._gained = draft.texts, manifest, left, gained
        return True


def _differences(change: Change) -> Iterator[FieldChange | None]:
    if change.action in _WHOLE:
        yield None
    else:
        yield from change.fields


def _meant(target: str, change: Change, one: FieldChange | None) -> bool:
    name, _, wanted = target.partition(":")
    if name not in {ALL, change.address, change.component}:
        return False
    path = ".".join(one.path) if one else ""
    return not wanted or path == wanted or path.startswith(f"{wanted}.")


def _pairs(plan: Plan) -> set[tuple[str, tuple[str, ...]]]:
    return {(change.address, one.path if one else ()) for change in plan.pending for one in _differences(change)}


def _owners(plan: Plan, pairs: set[tuple[str, tuple[str, ...]]]) -> list[Change]:
    addresses = {address for address, _ in pairs}
    return [change for change in plan.pending if change.address in addresses]


def _spec(manifest: Manifest, artefacts: Artefacts, change: Change) -> Resource | None:
    stack = replace(expand.stack_of(manifest), artefacts=artefacts)
    owner = stack.components[change.component]
    made = components.load(owner.kind).expand(owner, stack)
    return next((resource for resource in made if resource.address == change.address), None)


def _write(edited: Edited, manifest: Manifest, declared: Declared, path: FieldPath, value: Value) -> None:
    """Put one edit into the texts, where the value stands or else where it is for this environment only."""
    document = _place(manifest, declared, path, value)
    if document is None:
        layer = manifest.sources.environments[manifest.environment]
        file = layer.file or f"{manifest.sources.folder / ENVIRONMENTS / manifest.environment}.yaml"
        text = _text(edited, file)
        held = any(one.handle == declared.handle for one in load.documents(text, file))
        new = editing.edit(text, file, declared.handle, path, value) if held else ""
        edited.texts[file] = new or editing.append(text, declared.kind, declared.name, path, value)
    else:
        text = _text(edited, document.file)
        edited.texts[document.file] = editing.edit(text, document.file, declared.handle, path, value)


def _place(manifest: Manifest, declared: Declared, path: FieldPath, value: Value) -> Document | None:
    """The document to edit; None for one of this environment that is not there yet.

    What the base says holds for every environment: where there are several, the difference goes into this one's file.
    A list cannot be said in part, so a part of one is edited where it stands.
    """
    layer = declared.layer(path)
    if layer > 0 or len(manifest.sources.environments) < 2 or value is editing.REMOVED:
        return declared.layers[max(layer, 0)]
    if any(isinstance(part, int) for part in path):
        deepest = max(range(len(declared.layers)), key=lambda index: len(declared.layers[index].nodes(path)))
        return declared.layers[deepest]
    return declared.layers[1] if len(declared.layers) > 1 else None


def _text(edited: Edited, file: str) -> str:
    return edited.texts[file] if file in edited.texts else Path(file).read_text(encoding="utf-8-sig")


def _reread(sources: Sources, texts: Mapping[str, str]) -> Sources:
    """``sources`` with the documents of these texts in place of those that they were made from."""
    found = {file: load.documents(text, file) for file, text in texts.items()}
    base = _documents(sources.documents, found, set(found) - {layer.file for layer in sources.environments.values()})
    layers = {
        name: Layer(_documents(layer.documents, found, {layer.file} & set(found)), layer.problems, layer.file)
        for name, layer in sources.environments.items()
    }
    return replace(sources, documents=base, environments=layers)


def _documents(
    old: Iterable[Document], found: Mapping[str, list[Document]], files: Iterable[str]
) -> tuple[Document, ...]:
    fresh = {one.handle: one for file in files for one in found[file]}
    kept = tuple(fresh.pop(one.handle, one) for one in old)
    return (*kept, *fresh.values())
