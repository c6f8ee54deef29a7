"""Check the manifest documents of one environment and report every problem with its position.  Offline and pure.

The steps, in order: merge the environment, validate against the schema, fill in defaults, resolve references, look up
handles, run each kind's own ``check``, scan for secrets.  Consequences of a reported problem are not reported again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import components
from orchestrator.manifest import overlay, references, schema, secret_scan, suggest, usage_levels, violation_messages
from orchestrator.manifest.document import Declaration, Path, format_path
from orchestrator.manifest.load import Layer, Sources
from orchestrator.manifest.reference_resolver import ReferenceResolver
from orchestrator.problems import Position, Problem, Problems
from orchestrator.vocabulary import Component, Scope

PROJECT_KIND = "Project"
_REGION_PATTERN = re.compile(r"^(?:arn:aws[a-z-]*:[a-z]+:)?([a-z]{2}(?:-[a-z]+)+-[0-9])(?:[a-z]$|:)")
"""The region in an ARN or in the name of an availability zone."""


class Manifest(Struct, frozen=True):
    """The checked manifests of one environment.

    ``components`` include the Project; their specs still contain ``${references}``.
    """

    project: Component
    environment: str
    components: tuple[Component, ...]
    sources: Sources
    scope: Scope
    declarations: Mapping[str, Declaration]

    def where(self, handle: str, path: Path = ()) -> Position:
        """Return the position of a component's value, e.g. of ``("bucket.files", ("spec", "name"))``."""
        return self.declarations[handle].where(path)


def check(sources: Sources, environment: str | None) -> Manifest:
    """Check everything that can be checked offline; ``environment`` None selects the only one, or ``prod``.

    Raises Problems if anything is wrong; it holds every problem.
    """
    return _Checker(sources).run(environment)


class _Checker:
    """One pass over one environment that collects problems."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.problems = list(sources.problems)
        self.declarations: dict[str, Declaration] = {}
        self.valid_components: dict[str, Component] = {}
        self.resolved_components: dict[str, Component] = {}
        self._has_invalid_values = False
        self._has_unresolved_references = False

    def run(self, name: str | None) -> Manifest:
        selection = overlay.select_environment(self.sources, name)
        if isinstance(selection, Problem):
            self.problems.append(selection)
            selection = (name or overlay.DEFAULT_NAME, Layer())
        name, layer = selection
        self.problems += layer.problems
        complete = not self.problems
        merged_declarations = overlay.merge(self.sources.documents, layer, self.problems)
        self.declarations = {declaration.handle: declaration for declaration in merged_declarations}
        self._check_schemas()
        self._check_renames()
        self._check_for_secrets(layer)
        project = self._find_project(complete)
        if project is not None:
            scope = project_scope(project, name)
            resolution = ReferenceResolver(scope, self.declarations, self.valid_components, complete=complete)
            self._check_references(resolution)
            self._check_marked_values(scope.region, complete)
            self._check_kinds()
        if self.problems or project is None:
            raise Problems(self._without_duplicates())
        return Manifest(project, name, tuple(self.valid_components.values()), self.sources, scope, self.declarations)

    def _check_schemas(self) -> None:
        for handle, declaration in self.declarations.items():
            name = declaration.kind.lower()
            errors = schema.get_validator(name).iter_errors(declaration.value)
            schema_problems = list(violation_messages.to_problems(errors, declaration))
            self.problems += schema_problems
            if not schema_problems:
                self.valid_components[handle] = _build_component(declaration)

    def _check_for_secrets(self, layer: Layer) -> None:
        for document in (*self.sources.documents, *layer.documents):
            self.problems += secret_scan.find_secrets(document)

    def _find_project(self, complete: bool) -> Component | None:
        """Return the Project, or None if there is no valid one."""
        projects = [declaration for declaration in self.declarations.values() if declaration.kind == PROJECT_KIND]
        if not projects and complete:
            hint = "add a document `kind: Project`; see `orchestrator explain project`"
            self.problems.append(Problem("the manifests declare no Project", None, hint))
        for duplicate in projects[1:]:
            message = f"the manifests declare a second Project; the first is at {projects[0].where()}"
            hint = "keep one of them: a manifest folder describes one project"
            self.problems.append(Problem(message, duplicate.where(), hint))
        return self.valid_components.get(projects[0].handle) if projects else None

    def _check_renames(self) -> None:
        """Report former names that the manifests still use: two components would have the same names in AWS."""
        for handle, component in self.valid_components.items():
            if component.renamed_from and component.aws_handle in self.declarations:
                former = component.aws_handle
                is_own = former == handle
                message = f"metadata.renamedFrom: {component.renamed_from} is " + (
                    "the component's current name" if is_own else f"the name of {former}, which is also declared"
                )
                hint = "remove `renamedFrom`" if is_own else f"remove `renamedFrom`, or rename {former}"
                where = self.declarations[handle].where(("metadata", "renamedFrom"))
                self.problems.append(Problem(message, where, hint))

    def _check_references(self, resolution: ReferenceResolver) -> None:
        """Resolve every reference, then validate the values that could not be validated as references."""
        for handle, component in self.valid_components.items():
            resolved_spec = _substitute_resolved(component.spec, resolution.resolve_component(handle).spec)
            self.resolved_components[handle] = replace(component, spec=resolved_spec)
            if resolved_spec == component.spec or resolution.problems:
                continue
            declaration = self.declarations[handle]
            errors = schema.get_validator(declaration.kind.lower()).iter_errors(
                {**declaration.value, "spec": resolved_spec}
            )
            schema_problems = list(violation_messages.to_problems(errors, declaration))
            self.problems += schema_problems
            self._has_invalid_values = self._has_invalid_values or bool(schema_problems)
        for handle in self.declarations.keys() - self.valid_components.keys():
            declaration = self.declarations[handle]
            invalid_component = Component(declaration.kind, declaration.name, {}, declaration.where())
            resolution.resolve_value(invalid_component, ("spec",), declaration.value.get("spec"))
        self.problems += resolution.problems
        self._has_unresolved_references = bool(resolution.problems)

    def _check_marked_values(self, region: str, complete: bool) -> None:
        """Check the texts that name a component or a region, which the schemas mark."""
        reported_positions = {problem.where for problem in self.problems}
        for declaration in self.declarations.values():
            for path, value, value_schema in schema.iter_values(declaration.kind.lower(), declaration.value):
                if not isinstance(value, str) or references.REFERENCE_START in value:
                    continue
                if "x-handle" in value_schema:
                    handle_problems = self._check_handle(declaration, path, value, value_schema["x-handle"], complete)
                    self.problems += (problem for problem in handle_problems if problem.where not in reported_positions)
                if "x-region" in value_schema:
                    self.problems += _check_region(declaration, path, value, region)

    def _check_handle(
        self, declaration: Declaration, path: Path, value: str, kinds: Any, complete: bool
    ) -> Iterator[Problem]:
        if value in self.declarations and (kinds is True or value.split(".", maxsplit=1)[0] in kinds):
            return
        matching_handles = [name for name in self.declarations if kinds is True or name.split(".")[0] in kinds]
        if value in self.declarations:
            message = f"{format_path(path)}: {value} is a {self.declarations[value].kind}, which is not allowed here"
            hint = (
                f"allowed here: {', '.join(sorted(matching_handles))}"
                if matching_handles
                else _missing_component_hint(kinds)
            )
            yield Problem(message, declaration.where(path), hint)
        elif complete:
            hint = suggest.hint(value, matching_handles, list_prefix="allowed here") or _missing_component_hint(kinds)
            yield Problem(f"{format_path(path)}: unknown component {value[:60]}", declaration.where(path), hint)

    def _check_kinds(self) -> None:
        """Run the ``check`` of each kind's module; it relies on valid specs, including those of the siblings."""
        if len(self.valid_components) < len(self.declarations) or self._has_invalid_values:
            return
        for component in self.resolved_components.values():
            declaration = self.declarations[component.handle]
            for path, message, hint in self._run_kind_check(component):
                spec_path = path if path[:1] in {("spec",), ("metadata",)} else ("spec", *path)
                self.problems.append(Problem(message, declaration.where(spec_path), hint))

    def _run_kind_check(self, component: Component) -> list[tuple[Path, str, str | None]]:
        checker = getattr(_load_kind_module(component.kind), "check", None)
        try:
            findings = list(checker(component, self.resolved_components)) if checker else []
            return [*findings, *usage_levels.check(component.spec)]
        except (TypeError, ValueError):
            # An unresolved reference leaves text where a module may expect a number.
            if self._has_unresolved_references:
                return []
            raise

    def _without_duplicates(self) -> list[Problem]:
        """Return one problem per value: a load problem makes the schema's problem at the same place redundant."""
        load_problems = set(self.sources.problems)
        load_positions = {problem.where for problem in load_problems if problem.where}
        return [problem for problem in self.problems if problem in load_problems or problem.where not in load_positions]


def project_scope(project: Component, environment: str) -> Scope:
    """Return the scope of an environment; ``expand`` resolves tags that refer to the project itself."""
    spec = project.spec
    return Scope(project.name, environment, str(spec["account"]), str(spec["region"]), dict(spec.get("tags") or {}))


def _build_component(declaration: Declaration) -> Component:
    filled_value = cast(dict[str, Any], schema.fill_defaults(declaration.kind.lower(), declaration.value))
    metadata = filled_value["metadata"]
    adopt, renamed_from = bool(metadata.get("adopt", False)), str(metadata.get("renamedFrom", ""))
    spec = filled_value.get("spec", {})
    return Component(declaration.kind, declaration.name, spec, declaration.where(), adopt, renamed_from)


def _load_kind_module(kind: str) -> object:
    try:
        return components.load_module(kind)
    except KeyError:
        return None


def _substitute_resolved(raw: Any, resolved: Any) -> Any:
    """Return ``resolved`` where it is final JSON, and the manifest's text where only AWS knows the value."""
    if isinstance(raw, Mapping):
        return {key: _substitute_resolved(item, resolved[key]) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_substitute_resolved(item, resolved[index]) for index, item in enumerate(raw)]
    return resolved if isinstance(resolved, str | int | float | bool | dict | list) else raw


def _check_region(declaration: Declaration, path: Path, value: str, region: str) -> Iterator[Problem]:
    """Yield a problem for a key or a zone of another region: AWS uses none here."""
    named = _REGION_PATTERN.search(value)
    if named and named[1] != region:
        message = f"{format_path(path)}: {value[:100]} is in {named[1]}, but the Project is in {region}"
        yield Problem(message, declaration.where(path), f"use one in {region}")


def _missing_component_hint(kinds: Any) -> str:
    expected_kind = " or ".join(kinds) if isinstance(kinds, list) else "component"
    return f"declare a {expected_kind} and refer to it as kind.name"
