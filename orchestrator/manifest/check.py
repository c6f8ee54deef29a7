"""Documents -> a Manifest, or every problem there is, each at its place.  Offline and pure.

The steps, in order: merge the environment, validate by schema, fill defaults, resolve references, look up handles,
ask each kind's own ``check``, look for secrets.  What follows from a problem already found is not reported again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import components
from orchestrator.manifest import overlay, references, schema, secret_scan, suggest, violation_messages
from orchestrator.manifest.document import Declared, Path, written
from orchestrator.manifest.load import Layer, Sources
from orchestrator.manifest.reference_resolver import Resolution
from orchestrator.problems import Position, Problem, Problems
from orchestrator.vocabulary import Component, Scope

PROJECT = "Project"


class Manifest(Struct, frozen=True):
    """One environment, checked.  ``components`` hold the Project too; their specs still have ``${references}``."""

    project: Component
    environment: str
    components: tuple[Component, ...]
    sources: Sources
    scope: Scope
    declared: Mapping[str, Declared]

    def where(self, handle: str, path: Path = ()) -> Position:
        """Where a value of a component was written, e.g. ``("bucket.files", ("spec", "name"))``."""
        return self.declared[handle].where(path)


def check(sources: Sources, environment: str | None) -> Manifest:
    """Check everything that can be known offline; ``environment`` None means the only one, or ``prod``.

    Raises Problems that hold all that is wrong.
    """
    return _Check(sources).run(environment)


class _Check:
    """One pass over one environment, collecting problems."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.problems = list(sources.problems)
        self.declared: dict[str, Declared] = {}
        self.valid: dict[str, Component] = {}
        self.final: dict[str, Component] = {}
        self._unsettled = False
        self._unresolved = False

    def run(self, name: str | None) -> Manifest:
        chosen = overlay.choose(self.sources, name)
        if isinstance(chosen, Problem):
            self.problems.append(chosen)
            chosen = (name or overlay.DEFAULT, Layer())
        name, layer = chosen
        self.problems += layer.problems
        complete = not self.problems
        merged = overlay.merge(self.sources.documents, layer, self.problems)
        self.declared = {declared.handle: declared for declared in merged}
        self._schemas()
        self._secrets(layer)
        project = self._project(complete)
        if project is not None:
            scope = scope_of(project, name)
            resolution = Resolution(scope, self.declared, self.valid, complete=complete)
            self._references(resolution)
            self._handles(complete)
            self._kinds()
        if self.problems or project is None:
            raise Problems(self._without_echoes())
        return Manifest(project, name, tuple(self.valid.values()), self.sources, scope, self.declared)

    def _schemas(self) -> None:
        for handle, declared in self.declared.items():
            name = declared.kind.lower()
            errors = schema.validator(name).iter_errors(declared.value)
            found = list(violation_messages.problems(errors, declared))
            self.problems += found
            if not found:
                self.valid[handle] = _component(declared)

    def _secrets(self, layer: Layer) -> None:
        for document in (*self.sources.documents, *layer.documents):
            self.problems += secret_scan.problems(document)

    def _project(self, complete: bool) -> Component | None:
        """The one Project, or None where there is no valid one."""
        projects = [declared for declared in self.declared.values() if declared.kind == PROJECT]
        if not projects and complete:
            hint = "add a document `kind: Project`; see `orchestrator explain project`"
            self.problems.append(Problem("there is no Project among the manifests", None, hint))
        for other in projects[1:]:
            message = f"there is a second Project; the first is at {projects[0].where()}"
            self.problems.append(Problem(message, other.where(), "a folder of manifests describes one project"))
        return self.valid.get(projects[0].handle) if projects else None

    def _references(self, resolution: Resolution) -> None:
        """Resolve all, then judge the values that could not be judged while they were references."""
        for handle, component in self.valid.items():
            changed = _written_back(component.spec, resolution.component(handle).spec)
            self.final[handle] = replace(component, spec=changed)
            if changed == component.spec or resolution.problems:
                continue
            declared = self.declared[handle]
            errors = schema.validator(declared.kind.lower()).iter_errors({**declared.value, "spec": changed})
            found = list(violation_messages.problems(errors, declared))
            self.problems += found
            self._unsettled = self._unsettled or bool(found)
        for handle in self.declared.keys() - self.valid.keys():
            declared = self.declared[handle]
            broken = Component(declared.kind, declared.name, {}, declared.where())
            resolution.value(broken, ("spec",), declared.value.get("spec"))
        self.problems += resolution.problems
        self._unresolved = bool(resolution.problems)

    def _handles(self, complete: bool) -> None:
        judged = {problem.where for problem in self.problems}
        for declared in self.declared.values():
            for path, value, part in schema.walk(declared.kind.lower(), declared.value):
                if "x-handle" in part and isinstance(value, str) and references.OPENING not in value:
                    found = self._handle(declared, path, value, part["x-handle"], complete)
                    self.problems += (problem for problem in found if problem.where not in judged)

    def _handle(self, declared: Declared, path: Path, value: str, kinds: Any, complete: bool) -> Iterator[Problem]:
        fitting = [name for name in self.declared if kinds is True or name.split(".")[0] in kinds]
        if value in fitting:
            return
        if value in self.declared:
            message = f"{written(path)}: {value} cannot stand here, it is a {self.declared[value].kind}"
            hint = f"what fits: {', '.join(sorted(fitting))}" if fitting else _declare(kinds)
            yield Problem(message, declared.where(path), hint)
        elif complete:
            hint = suggest.hint(value, fitting, there_are="what fits") or _declare(kinds)
            yield Problem(f"{written(path)}: there is no {value[:60]}", declared.where(path), hint)

    def _kinds(self) -> None:
        """What the modules of the kinds have to say; they rely on valid specs, their siblings' too."""
        if len(self.valid) < len(self.declared) or self._unsettled:
            return
        for component in self.final.values():
            declared = self.declared[component.handle]
            for path, message, hint in self._asked(component):
                place = path if path[:1] in {("spec",), ("metadata",)} else ("spec", *path)
                self.problems.append(Problem(message, declared.where(place), hint))

    def _asked(self, component: Component) -> list[tuple[Path, str, str | None]]:
        checker = getattr(_module(component.kind), "check", None)
        try:
            return list(checker(component, self.final)) if checker else []
        except (TypeError, ValueError):
            # A reference that could not be resolved left text where a module may count on a number.
            if self._unresolved:
                return []
            raise

    def _without_echoes(self) -> list[Problem]:
        """One problem a value: what the loader said of it makes the schema's complaint superfluous."""
        loaded = set(self.sources.problems)
        places = {problem.where for problem in loaded if problem.where}
        return [problem for problem in self.problems if problem in loaded or problem.where not in places]


def scope_of(project: Component, environment: str) -> Scope:
    """Whose resources an environment's are; tags that refer to the project itself are resolved in ``expand``."""
    spec = project.spec
    return Scope(project.name, environment, str(spec["account"]), str(spec["region"]), dict(spec.get("tags") or {}))


def _component(declared: Declared) -> Component:
    filled = cast(dict[str, Any], schema.fill(declared.kind.lower(), declared.value))
    adopt = bool(filled["metadata"].get("adopt", False))
    return Component(declared.kind, declared.name, filled.get("spec", {}), declared.where(), adopt)


def _module(kind: str) -> object:
    try:
        return components.load(kind)
    except KeyError:
        return None


def _written_back(raw: Any, resolved: Any) -> Any:
    """The resolved value where it is final JSON, the text of the manifest where AWS alone can tell."""
    if isinstance(raw, Mapping):
        return {key: _written_back(item, resolved[key]) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_written_back(item, resolved[index]) for index, item in enumerate(raw)]
    return resolved if isinstance(resolved, str | int | float | bool | dict | list) else raw


def _declare(kinds: Any) -> str:
    wanted = " or ".join(kinds) if isinstance(kinds, list) else "component"
    return f"no {wanted} is declared; it would be written kind.name"
