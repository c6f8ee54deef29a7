"""Resolve the references of manifests to their values, lazily: key by key, as the components' exports need them.

This module uses the component modules through ``orchestrator.components``; it knows neither AWS nor the meaning of a
kind.  An unresolvable reference is reported once, at its position, and its text is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator import components
from orchestrator.manifest import references, suggest
from orchestrator.manifest.document import Declaration, Path, format_path
from orchestrator.manifest.references import MalformedReference, Reference, TextPart
from orchestrator.problems import Problem
from orchestrator.values import Ref, TemplateString, Value
from orchestrator.values import iter_references as refs
from orchestrator.vocabulary import Component, Scope

SECRET_KIND = "Secret"  # noqa: S105 - the name of a kind


def project_exports(scope: Scope) -> Mapping[str, Value]:
    """Return the values of ``${project.NAME}``."""
    return {
        "name": scope.project,
        "environment": scope.environment,
        "region": scope.region,
        "account": scope.account,
        "registry": f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com",
    }


class _LazySpec(Mapping[str, Value]):
    """A spec whose top-level members are resolved on first access."""

    def __init__(self, resolver: ReferenceResolver, component: Component) -> None:
        self._resolver = resolver
        self._component = component
        self._resolved: dict[str, Value] = {}

    def __getitem__(self, key: str) -> Value:
        if key not in self._resolved:
            raw = self._component.spec[key]
            self._resolved[key] = self._resolver.resolve_value(self._component, ("spec", key), raw)
        return self._resolved[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._component.spec)

    def __len__(self) -> int:
        return len(self._component.spec)


class ReferenceResolver:
    """Resolves the references of one environment's components and collects ``problems``."""

    def __init__(
        self,
        scope: Scope,
        declarations: Mapping[str, Declaration],
        valid_components: Mapping[str, Component],
        *,
        complete: bool = True,
    ) -> None:
        """Take all ``declarations``, and the ``valid_components`` whose spec is valid.

        ``complete`` is false if a file could not be read, so that some components may be missing.
        """
        self.problems: list[Problem] = []
        self._complete = complete
        self._scope = scope
        self._declarations = declarations
        self._lazy_components = {
            handle: self._with_lazy_spec(component) for handle, component in valid_components.items()
        }
        self._exports: dict[str, Mapping[str, Value]] = {references.PROJECT_HANDLE: project_exports(scope)}
        self._open_handles: list[str] = []

    def _with_lazy_spec(self, component: Component) -> Component:
        return replace(component, spec=_LazySpec(self, component))

    def resolve_component(self, handle: str) -> Component:
        """Return the component with every reference of its spec resolved."""
        lazy_component = self._lazy_components[handle]
        return replace(lazy_component, spec=dict(lazy_component.spec))

    def exports_of(self, handle: str) -> Mapping[str, Value]:
        """Return the exports of a valid component; ``_can_resolve`` rules out reference cycles first."""
        if handle not in self._exports:
            self._open_handles.append(handle)
            try:
                self._exports[handle] = components.exports(self._lazy_components[handle], self._scope)
            except KeyError as error:
                # A kind without a module exports nothing; any other KeyError is a bug of the module.
                if error.args != (self._lazy_components[handle].kind,):
                    raise
                self._exports[handle] = {}
            finally:
                self._open_handles.pop()
        return self._exports[handle]

    def resolve_value(self, component: Component, path: Path, raw: Value) -> Value:
        """Return ``raw`` with its references resolved: to final values, or to Ref and TemplateString."""
        if isinstance(raw, str):
            return self._resolve_text(component, path, raw) if references.REFERENCE_START in raw else raw
        if isinstance(raw, Mapping):
            for key in raw:
                if references.REFERENCE_START in key:
                    self._report(component, (*path, key), f"`{key[:60]}`: a key cannot contain a reference", key=True)
            return {key: self.resolve_value(component, (*path, key), item) for key, item in raw.items()}
        if isinstance(raw, list):
            return [self.resolve_value(component, (*path, index), item) for index, item in enumerate(raw)]
        return raw

    def _resolve_text(self, component: Component, path: Path, raw: str) -> Value:
        parts = references.parse_text(raw)
        values = [self._resolve_part(component, path, part) for part in parts]
        if any(value is None for value in values):
            return raw
        if component.kind != SECRET_KIND and any(ref.address in self._declarations for ref in refs(values)):
            hint = "move it to a Secret, and list that Secret under the service's `secrets`"
            self._report(
                component, path, f"{format_path(path)} contains a password; only a Secret can contain one", hint
            )
            return raw
        if len(values) == 1:
            return values[0]
        return self._join_parts(component, path, values, raw)

    def _join_parts(self, component: Component, path: Path, values: list[Value], raw: str) -> Value:
        parts: list[Any] = []
        for value in values:
            if isinstance(value, Mapping | list):
                self._report(component, path, f"{format_path(path)}: a list or mapping cannot be part of a string")
                return raw
            parts += (
                value.parts
                if isinstance(value, TemplateString)
                else [value if isinstance(value, Ref) else _to_text(value)]
            )
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)
        return TemplateString(tuple(parts))

    def _resolve_part(self, component: Component, path: Path, part: TextPart) -> Value | None:
        """Return the value of one part, or None if it cannot be resolved; report that once."""
        match part:
            case str():
                return part
            case MalformedReference(text):
                self._report(component, path, f"invalid reference `{text[:60]}`", references.suggest_correction(text))
                return None
            case Reference(handle):
                return (
                    self._find_export(component, path, part)
                    if self._can_resolve(component, path, handle, part)
                    else None
                )

    def _can_resolve(self, component: Component, path: Path, handle: str, reference: Reference) -> bool:
        if handle in self._open_handles:
            cycle = [*self._open_handles[self._open_handles.index(handle) :], handle]
            self._report(component, path, f"reference cycle: {' -> '.join(cycle)}", "remove one of them")
            return False
        if handle in self._declarations or handle == references.PROJECT_HANDLE:
            return handle in self._lazy_components or handle == references.PROJECT_HANDLE
        if self._complete:
            self._report_unknown(component, path, reference)
        return False

    def _find_export(self, component: Component, path: Path, reference: Reference) -> Value | None:
        component_exports = self.exports_of(reference.handle)
        if reference.export in component_exports:
            return component_exports[reference.export]
        hint = suggest.hint(reference.export, component_exports, list_prefix="available exports")
        self._report(component, path, f"{reference.handle} has no export `{reference.export}`", hint)
        return None

    def _report_unknown(self, component: Component, path: Path, reference: Reference) -> None:
        known_handles = [*self._declarations, references.PROJECT_HANDLE]
        hint = suggest.hint(reference.handle, known_handles, list_prefix="available components")
        self._report(component, path, f"`{reference}`: unknown component {reference.handle}", hint)

    def _report(
        self, component: Component, path: Path, message: str, hint: str | None = None, *, key: bool = False
    ) -> None:
        where = self._declarations[component.handle].where(path, key=key)
        self.problems.append(Problem(message, where, hint))


def _to_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
