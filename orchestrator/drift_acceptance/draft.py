"""The manifests as they would be after an edit, and the plan that would be made with them.  Reads AWS, changes nothing.

What the edited manifests want and nobody has looked at yet (the rest of a component that was declared no more) is
looked for in AWS; everything else is known from the plan that told of the drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import components, resources
from orchestrator.artefacts import Artefacts
from orchestrator.drift_acceptance.manifest_texts import Texts, reread
from orchestrator.manifest import check, expand, schema
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declared
from orchestrator.planning import plan as planning
from orchestrator.planning.plan import Planned
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.values import Ref, Unknown, Value, resolve
from orchestrator.vocabulary import Action, Change, Component, Desired, FieldChange, Found, Live, Plan, Resource

Pair = tuple[str, tuple[str, ...]]
"""A difference: an address and a field's path, which is empty where the whole resource differs."""
Thing = tuple[str, str]
"""A resource by its type and AWS's name for it."""


class Trial(Struct, frozen=True):
    """What came of an edit: the manifests, the plan made with them, and the differences it has gained."""

    texts: Texts
    manifest: Manifest
    plan: Plan
    left: frozenset[Pair]
    gained: frozenset[Pair]

    @property
    def owners(self) -> set[tuple[str, Action]]:
        """Of what was gained: whose it is, and what would be done about it."""
        addresses = {address for address, _ in self.gained}
        return {(change.address, change.action) for change in self.plan.pending if change.address in addresses}


class Draft:
    """The manifests so far; ``left`` are the differences that the plan made with them still has."""

    def __init__(self, manifest: Manifest, artefacts: Artefacts, planned: Planned, aws: Aws) -> None:
        self.manifest = manifest
        self.texts: Texts = {}
        self.left = frozenset(pairs(planned.plan))
        self._artefacts = artefacts
        self._aws = aws
        self._scope = planned.scope
        self.strays = {
            (task.found.type, task.found.physical): (task.found, task.live)
            for task in planned.tasks.values()
            if task.found and task.live
        }
        unread = {one.address: one for one in planned.plan.unread}
        strays = {f"{found.type}.{found.physical}": (found, live) for found, live in self.strays.values()}
        self._snapshot = Snapshot(planned.plan.account, planned.live, unread, strays)
        wanted = [task.resource for task in planned.tasks.values() if task.resource]
        self._seen: dict[Thing, Live | None] = {
            (one.type, one.physical): planned.live.get(one.address) for one in wanted
        }

    def keep(self, trial: Trial) -> None:
        """Go on from an edit."""
        self.texts, self.manifest, self.left = trial.texts, trial.manifest, trial.left

    def tried(self, texts: Texts, *, looking: bool = False) -> Trial:
        """What would come of these texts; ``looking`` in AWS for what they want and nobody has looked for yet.

        Raises Problems where they are no manifests, AwsError where AWS cannot be asked.
        """
        manifest = check.check(reread(self.manifest.sources, texts), self.manifest.environment)
        desired = expand.expand(manifest, self._artefacts)
        plan = planning.build(desired, self._looked(desired, looking=looking)).plan
        left = frozenset(pairs(plan))
        return Trial(texts, manifest, plan, left, left - self.left)

    def made(self, value: Mapping[str, Any]) -> Mapping[Thing, Resource] | None:
        """The resources of one document's ``value``; quick, and only a hint.  None where it is not valid."""
        kind, name = str(value["kind"]).lower(), value["metadata"]["name"]
        if not schema.validator(kind).is_valid(value):
            return None
        try:
            stack = replace(expand.stack_of(self._with(f"{kind}.{name}", value)), artefacts=self._artefacts)
            owner = stack.components[f"{kind}.{name}"]
            found = components.load(owner.kind).expand(owner, stack)
        except (Problems, LookupError, TypeError, ValueError):  # a component may count on what `check` would refuse
            return None
        return {(one.type, one.physical): one for one in found}

    def spec(self, resource: Resource) -> Mapping[str, Value]:
        """What is desired, with references resolved as far as AWS knows them; a hint as well."""
        try:
            return resources.load(resource.type).normalise(resolve(dict(resource.spec), self._output))
        except (LookupError, TypeError, ValueError):
            return resource.spec

    def live(self, resource: Resource, *, looking: bool) -> Live | None:
        """What AWS has of a resource, as far as it is known without ``looking``.  Raises AwsError."""
        thing = (resource.type, resource.physical)
        if thing not in self._seen and looking:
            module = resources.load(resource.type)
            self._seen[thing] = module.read(self._aws, self._scope, resource.physical, resource.spec)
        return self._seen.get(thing)

    def _output(self, ref: Ref) -> Value:
        live = self._snapshot.live.get(ref.address)
        return live.outputs.get(ref.output, Unknown(ref.output)) if live else Unknown(ref.output)

    def _looked(self, desired: Desired, *, looking: bool) -> Snapshot:
        readable = [one for one in desired.resources if one.address not in self._snapshot.unread]
        live = {one.address: self.live(one, looking=looking) for one in readable}
        wanted = {f"{one.type}.{one.physical}" for one in desired.resources}
        strays = {address: stray for address, stray in self._snapshot.strays.items() if address not in wanted}
        strays |= self._dropped(desired)
        return replace(self._snapshot, live={name: one for name, one in live.items() if one}, strays=strays)

    def _dropped(self, desired: Desired) -> Mapping[str, tuple[Found, Live]]:
        """What AWS has and the edit no longer wants: it would be found by its mark, and deleted."""
        wanted = {(one.type, one.physical) for one in desired.resources}
        return {
            f"{kind}.{name}": (Found(kind, name), live)
            for (kind, name), live in self._seen.items()
            if live is not None and (kind, name) not in wanted and live.owner == self._scope.owner
        }

    def _with(self, handle: str, value: Mapping[str, Value]) -> Manifest:
        spec = schema.fill(handle.partition(".")[0], value)["spec"]
        old = self.manifest.declared.get(handle)
        each = tuple(replace(one, spec=spec) if one.handle == handle else one for one in self.manifest.components)
        if old is None:
            name = value["metadata"]["name"]
            each = (*each, Component(value["kind"], name, spec, self.manifest.project.where))
        project = next(one for one in each if one.kind == check.PROJECT)
        declared = {**self.manifest.declared, handle: Declared(value, old.layers if old else ())}
        return replace(self.manifest, components=each, project=project, declared=declared)


def differences(change: Change) -> Iterator[FieldChange | None]:
    """The fields in which a resource differs; None where the whole of it is missing or too many."""
    if change.action in {Action.CREATE, Action.DELETE}:
        yield None
    else:
        yield from change.fields


def pairs(plan: Plan) -> Iterator[Pair]:
    """Every difference of a plan."""
    for change in plan.pending:
        yield from ((change.address, one.path if one else ()) for one in differences(change))
