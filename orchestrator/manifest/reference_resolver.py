"""References -> what they stand for.  Lazy: a spec is resolved key by key, as the components' exports ask for it.

May know: component modules, through ``orchestrator.components``.  May not: know AWS, or what a kind means.  What
cannot be resolved is reported once, where it stands, and left as the text it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import components
from orchestrator.manifest import references, suggest
from orchestrator.manifest.document import Declared, Path, written
from orchestrator.manifest.references import Malformed, Part, Reference
from orchestrator.problems import Problem
from orchestrator.values import Ref, Text, Value
from orchestrator.values import references as refs
from orchestrator.vocabulary import Component, Scope

KEEPS_SECRETS = "Secret"


def project_exports(scope: Scope) -> Mapping[str, Value]:
    """What ``${project.NAME}`` may name."""
    return {
        "name": scope.project,
        "environment": scope.environment,
        "region": scope.region,
        "account": scope.account,
        "registry": f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com",
    }


class _LazySpec(Mapping[str, Value]):
    """A spec whose top-level members are resolved when they are asked for."""

    def __init__(self, resolution: Resolution, component: Component) -> None:
        self._resolution = resolution
        self._component = component
        self._resolved: dict[str, Value] = {}

    def __getitem__(self, key: str) -> Value:
        if key not in self._resolved:
            raw = self._component.spec[key]
            self._resolved[key] = self._resolution.value(self._component, ("spec", key), raw)
        return self._resolved[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._component.spec)

    def __len__(self) -> int:
        return len(self._component.spec)


class Resolution:
    """Resolves the references of one environment's components; ``problems`` grows as they are met."""

    def __init__(
        self, scope: Scope, declared: Mapping[str, Declared], found: Mapping[str, Component], *, complete: bool = True
    ) -> None:
        """``declared`` are all components, ``found`` those among them whose spec is valid.

        Not ``complete``: some file could not be read, so nobody knows which components there are.
        """
        self.problems: list[Problem] = []
        self._complete = complete
        self._scope = scope
        self._declared = declared
        self._lazy = {handle: self._with_spec(component) for handle, component in found.items()}
        self._exported: dict[str, Mapping[str, Value]] = {references.PROJECT: project_exports(scope)}
        self._open: list[str] = []

    def _with_spec(self, component: Component) -> Component:
        return Component(component.kind, component.name, _LazySpec(self, component), component.where, component.adopt)

    def component(self, handle: str) -> Component:
        """The component with every reference of its spec resolved."""
        lazy = self._lazy[handle]
        return Component(lazy.kind, lazy.name, dict(lazy.spec), lazy.where, lazy.adopt)

    def exported(self, handle: str) -> Mapping[str, Value]:
        """What a valid component exports; its references must not lead in a circle, see ``value``."""
        if handle not in self._exported:
            self._open.append(handle)
            try:
                self._exported[handle] = components.exports(self._lazy[handle], self._scope)
            except KeyError as error:
                # A kind without a module exports nothing; anything else is the module's own mistake.
                if error.args != (self._lazy[handle].kind,):
                    raise
                self._exported[handle] = {}
            finally:
                self._open.pop()
        return self._exported[handle]

    def value(self, component: Component, path: Path, raw: Value) -> Value:
        """``raw`` with its references replaced by what they stand for: final values, or Ref and Text."""
        if isinstance(raw, str):
            return self._text(component, path, raw) if references.OPENING in raw else raw
        if isinstance(raw, Mapping):
            for key in raw:
                if references.OPENING in key:
                    self._report(component, (*path, key), f"`{key[:60]}`: a key cannot hold a reference", key=True)
            return {key: self.value(component, (*path, key), item) for key, item in raw.items()}
        if isinstance(raw, list):
            return [self.value(component, (*path, index), item) for index, item in enumerate(raw)]
        return raw

    def _text(self, component: Component, path: Path, raw: str) -> Value:
        parts = references.parse(raw)
        values = [self._part(component, path, part) for part in parts]
        if any(value is None for value in values):
            return raw
        if component.kind != KEEPS_SECRETS and any(ref.address in self._declared for ref in refs(values)):
            hint = "put it into a Secret, and list that secret under `secrets` of the service"
            self._report(component, path, f"{written(path)} would hold a password; only a Secret may", hint)
            return raw
        if len(values) == 1:
            return values[0]
        return self._joined(component, path, values, raw)

    def _joined(self, component: Component, path: Path, values: list[Value], raw: str) -> Value:
        parts: list[Any] = []
        for value in values:
            if isinstance(value, Mapping | list):
                self._report(component, path, f"{written(path)}: a list or a mapping cannot stand inside of text")
                return raw
            parts += value.parts if isinstance(value, Text) else [value if isinstance(value, Ref) else _plain(value)]
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)
        return Text(tuple(parts))

    def _part(self, component: Component, path: Path, part: Part) -> Value | None:
        """What one part stands for; None, once reported, where that cannot be told."""
        match part:
            case str():
                return part
            case Malformed(text):
                self._report(component, path, f"`{text[:60]}` is no reference", references.mended(text))
                return None
            case Reference(handle):
                return self._lookup(component, path, part) if self._is_open_to(component, path, handle, part) else None

    def _is_open_to(self, component: Component, path: Path, handle: str, part: Reference) -> bool:
        if handle in self._open:
            circle = [*self._open[self._open.index(handle) :], handle]
            self._report(component, path, f"references lead in a circle: {' -> '.join(circle)}", "break one of them")
            return False
        if handle in self._declared or handle == references.PROJECT:
            return handle in self._lazy or handle == references.PROJECT
        if self._complete:
            self._unknown(component, path, part)
        return False

    def _lookup(self, component: Component, path: Path, part: Reference) -> Value | None:
        exported = self.exported(part.handle)
        if part.export in exported:
            return exported[part.export]
        hint = suggest.hint(part.export, exported, there_are=f"{part.handle} exports")
        self._report(component, path, f"{part.handle} exports no `{part.export}`", hint)
        return None

    def _unknown(self, component: Component, path: Path, part: Reference) -> None:
        known = [*self._declared, references.PROJECT]
        hint = suggest.hint(part.handle, known, there_are="the components are")
        self._report(component, path, f"`{part}`: there is no component {part.handle}", hint)

    def _report(
        self, component: Component, path: Path, message: str, hint: str | None = None, *, key: bool = False
    ) -> None:
        where = self._declared[component.handle].where(path, key=key)
        self.problems.append(Problem(message, where, hint))


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
