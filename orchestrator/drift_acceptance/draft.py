"""Try edits of the manifests and plan with the result.  Reads AWS, changes nothing.

Resources that only the edited manifests declare (such as the rest of a component that was not declared) are read from
AWS; everything else comes from the plan that found the drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import components, resources
from orchestrator.artefacts import Artefacts
from orchestrator.drift_acceptance.manifest_texts import Texts, reload_sources
from orchestrator.manifest import check, expand, schema
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declaration
from orchestrator.planning import plan as planning
from orchestrator.planning.plan import PreparedPlan
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.values import Ref, Unknown, Value, resolve
from orchestrator.vocabulary import (
    Action,
    Change,
    Component,
    DesiredState,
    DiscoveredResource,
    FieldChange,
    LiveResource,
    Plan,
    Resource,
)

DifferenceKey = tuple[str, tuple[str, ...]]
"""A difference: an address and a field's path, which is empty if the whole resource differs."""
ResourceKey = tuple[str, str]
"""A resource's type and physical name."""


class Trial(Struct, frozen=True):
    """The result of an edit: the manifests, the plan made with them, and its remaining and new differences."""

    texts: Texts
    manifest: Manifest
    plan: Plan
    remaining: frozenset[DifferenceKey]
    introduced: frozenset[DifferenceKey]

    @property
    def introduced_changes(self) -> set[tuple[str, Action]]:
        """The addresses and actions of the new differences."""
        addresses = {address for address, _ in self.introduced}
        return {(change.address, change.action) for change in self.plan.pending_changes if change.address in addresses}


class Draft:
    """The manifests with the edits adopted so far; ``remaining`` are the differences in the plan made with them."""

    def __init__(
        self, manifest: Manifest, artefacts: Artefacts, planned: PreparedPlan, aws: AwsReader, texts: Texts
    ) -> None:
        self.manifest = manifest
        self.texts = texts
        self.remaining = frozenset(list_difference_keys(planned.plan))
        self._artefacts = artefacts
        self._aws = aws
        self._scope = planned.scope
        self.orphans = {
            (task.discovered.type, task.discovered.physical): (task.discovered, task.live)
            for task in planned.tasks.values()
            if task.discovered and task.live
        }
        unread_by_address = {resource.address: resource for resource in planned.plan.unread}
        orphans_by_address = {
            f"{orphan.type}.{orphan.physical}": (orphan, live) for orphan, live in self.orphans.values()
        }
        self._snapshot = Snapshot(planned.plan.account, planned.live, unread_by_address, orphans_by_address)
        desired_resources = [task.resource for task in planned.tasks.values() if task.resource]
        self._live_by_key: dict[ResourceKey, LiveResource | None] = {
            (resource.type, resource.physical): planned.live.get(resource.address) for resource in desired_resources
        }

    def adopt(self, trial: Trial) -> None:
        """Continue from the result of an edit."""
        self.texts, self.manifest, self.remaining = trial.texts, trial.manifest, trial.remaining

    def try_texts(self, texts: Texts, *, should_read: bool = False) -> Trial:
        """Plan with these texts; ``should_read`` reads resources from AWS that have not been read yet.

        Raises Problems if the texts are not valid manifests, AwsError if AWS cannot be read.
        """
        manifest = check.check(reload_sources(self.manifest.sources, texts), self.manifest.environment)
        desired = expand.expand(manifest, self._artefacts)
        plan = planning.build(desired, self._build_snapshot(desired, should_read=should_read)).plan
        remaining = frozenset(list_difference_keys(plan))
        return Trial(texts, manifest, plan, remaining, remaining - self.remaining)

    def expand_document(self, value: Mapping[str, Any]) -> Mapping[ResourceKey, Resource] | None:
        """Return the resources of one document, None if it is invalid.  Fast, but only approximate."""
        kind, name = str(value["kind"]).lower(), value["metadata"]["name"]
        if not schema.get_validator(kind).is_valid(value):
            return None
        try:
            stack = replace(expand.build_stack(self._manifest_with(f"{kind}.{name}", value)), artefacts=self._artefacts)
            component = stack.components[f"{kind}.{name}"]
            expanded = components.load_module(component.kind).expand(component, stack)
        except (Problems, LookupError, TypeError, ValueError):  # a component may rely on what `check` rejects
            return None
        return {(resource.type, resource.physical): resource for resource in expanded}

    def resolve_spec(self, resource: Resource) -> Mapping[str, Value]:
        """Return the desired spec with the references resolved that AWS knows; only approximate."""
        try:
            return resources.load(resource.type).normalise(resolve(dict(resource.spec), self._resolve_output))
        except (LookupError, TypeError, ValueError):
            return resource.spec

    def read_live(self, resource: Resource, *, should_read: bool) -> LiveResource | None:
        """Return the live resource; unless ``should_read``, only if it has been read already.  Raises AwsError."""
        resource_key = (resource.type, resource.physical)
        if resource_key not in self._live_by_key and should_read:
            module = resources.load(resource.type)
            self._live_by_key[resource_key] = module.read(self._aws, self._scope, resource.physical, resource.spec)
        return self._live_by_key.get(resource_key)

    def _resolve_output(self, ref: Ref) -> Value:
        live = self._snapshot.live.get(ref.address)
        return live.outputs.get(ref.output, Unknown(ref.output)) if live else Unknown(ref.output)

    def _build_snapshot(self, desired: DesiredState, *, should_read: bool) -> Snapshot:
        readable = [item for item in desired.resources if item.address not in self._snapshot.unread]
        live = {item.address: self.read_live(item, should_read=should_read) for item in readable}
        desired_names = {f"{item.type}.{item.physical}" for item in desired.resources}
        orphans = {
            address: orphan for address, orphan in self._snapshot.orphans.items() if address not in desired_names
        }
        orphans |= self._find_undeclared(desired)
        return replace(self._snapshot, live={name: item for name, item in live.items() if item}, orphans=orphans)

    def _find_undeclared(self, desired: DesiredState) -> Mapping[str, tuple[DiscoveredResource, LiveResource]]:
        """Return live resources that the edit no longer declares: discovery would find and delete them."""
        desired_keys = {(resource.type, resource.physical) for resource in desired.resources}
        return {
            f"{kind}.{name}": (DiscoveredResource(kind, name), live)
            for (kind, name), live in self._live_by_key.items()
            if live is not None and (kind, name) not in desired_keys and live.owner == self._scope.owner
        }

    def _manifest_with(self, handle: str, value: Mapping[str, Value]) -> Manifest:
        spec = schema.fill_defaults(handle.partition(".")[0], value)["spec"]
        previous = self.manifest.declarations.get(handle)
        updated_components = tuple(
            replace(component, spec=spec) if component.handle == handle else component
            for component in self.manifest.components
        )
        if previous is None:
            name = value["metadata"]["name"]
            updated_components = (
                *updated_components,
                Component(value["kind"], name, spec, self.manifest.project.where),
            )
        project = next(component for component in updated_components if component.kind == check.PROJECT_KIND)
        declared = {**self.manifest.declarations, handle: Declaration(value, previous.layers if previous else ())}
        return replace(self.manifest, components=updated_components, project=project, declarations=declared)


def list_differences(change: Change) -> Iterator[FieldChange | None]:
    """Yield the fields that differ, or None if the whole resource is missing or undeclared."""
    if change.action in {Action.CREATE, Action.DELETE}:
        yield None
    else:
        yield from change.fields


def list_difference_keys(plan: Plan) -> Iterator[DifferenceKey]:
    """Yield every difference of a plan."""
    for change in plan.pending_changes:
        yield from ((change.address, difference.path if difference else ()) for difference in list_differences(change))
