"""Generate manifest sets from the schemas: every example in a minimal valid manifest.

``companions.yaml`` lists what else an example needs to be valid, and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import yaml

from orchestrator.manifest import schema

COMPANIONS = Path(__file__).with_name("companions.yaml")
BRANCH_KEYWORDS = ("anyOf", "oneOf")
KIND_NAMES = {kind.lower(): kind for kind in schema.manifest_kinds()}
HANDLE_PATTERN = re.compile(rf"\b({'|'.join(KIND_NAMES)})\.([a-z][a-z0-9-]*)")
MAX_NAME_LENGTH = 31
MAX_COMPONENTS = {"ContainerService": 10, "Cdn": 18}
"""Maximum components per set: App Runner's quota per region, and the cost of listing all distributions."""

NEEDS_BUILD = (
    "Bucket.spec.spa",
    "ContainerService.spec.image.build",
    "ContainerService.spec.health.releaseHeader",
    "ContainerService.spec.migrate",
)
"""Properties that need a checkout to build; ``tests/release`` and ``tests/artefacts`` cover them."""

NEEDS_VALUE = tuple(f"Secret.spec.data{{}}.{name}" for name in ("external", "description", "pattern"))
"""Properties of values that somebody has to set before a plan goes ahead; ``tests/cli/test_secret.py`` covers them."""

NEEDS_EXISTING = ("Cdn.spec.distributionId",)
"""Properties that name something that exists already; ``tests/planning/test_own_names.py`` covers them."""

NEEDS_ENVIRONMENT = ("Project.spec.promotion",)
"""Properties that name another environment; ``tests/release/test_promotion.py`` covers them."""

Document: TypeAlias = dict[str, Any]
PathStep: TypeAlias = tuple[str, Any]
"""A step into a schema: member NAME, value KEY (of a map), item, or form (KEYWORD, INDEX)."""
SchemaPart: TypeAlias = tuple[tuple[PathStep, ...], schema.Schema]


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a property; ``path`` leads to it from the root of the schema."""

    kind: str
    path: tuple[PathStep, ...]
    value: Any

    @property
    def location(self) -> str:
        """Return the location, such as ``Bucket.spec.cors[].headers``; ``{}`` stands for a map value."""
        suffixes = {"item": "[]", "value": "{}", "form": ""}
        return self.kind + "".join(suffixes.get(step, f".{name}") for step, name in self.path)

    def __str__(self) -> str:
        return f"{self.location}: {json.dumps(self.value)}"


@dataclass(slots=True)
class ManifestSet:
    """Documents that are valid together, and the examples in each of them, by handle."""

    documents: list[Document] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def claims(self) -> set[str]:
        """Return what must be unique in the set."""
        return {claim for item in self.documents for claim in iter_claims(item)}

    def has_room_for_document(self, candidate: Document) -> bool:
        """Return whether the document fits into the set."""
        limit = MAX_COMPONENTS.get(candidate["kind"])
        return not self.claims & set(iter_claims(candidate)) and (limit is None or len(self.documents) < limit)

    def write(self, folder: Path, substitutions: Mapping[str, str] = MappingProxyType({})) -> Path:
        """Write the set as YAML with a Project and all referenced components; replace placeholder ids of AWS."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.dump_all(
            complete_documents(self.documents), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True
        )
        for placeholder, real in substitutions.items():
            text = text.replace(placeholder, real)
        (folder / "manifests.yaml").write_text(text, encoding="utf-8")
        return folder


@cache
def load_companions() -> Mapping[str, Mapping[str, Any]]:
    """Load ``companions.yaml``: kind or location -> ``because`` and ``with``, which is merged in."""
    entries: Mapping[str, Mapping[str, Any]] = yaml.load(COMPANIONS.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return entries


def iter_examples(kind: str) -> Iterator[Example]:
    """Yield every example value in the schema of ``kind``, for each property, item, map value and form.

    Includes enum members, true and false, and both ends of a range.  Excludes properties in ``NEEDS_BUILD``.
    """
    root = schema.load(kind.lower())
    for path, part in _iter_parts(root, root, ()):
        if Example(kind, path, None).location.startswith(
            (*NEEDS_BUILD, *NEEDS_VALUE, *NEEDS_EXISTING, *NEEDS_ENVIRONMENT)
        ):
            continue
        values = [*part.get("examples", ()), *part.get("enum", ())]
        if part.get("type") == "boolean" and "const" not in part:
            values += [True, False]
        if part.get("type") in ("integer", "number") and "enum" not in part:
            values += [part[bound] for bound in ("minimum", "maximum") if bound in part]
        for text, value in {json.dumps(item): item for item in values}.items():
            if not needs_checkout(text) and '"external":' not in text:
                yield Example(kind, path, value)


def needs_checkout(text: str) -> bool:
    """Return whether an example, as JSON, contains a build or a site."""
    return '"build":' in text or '"spa":' in text


def make_sets(kind: str, without: str = "") -> list[ManifestSet]:
    """Return the examples of ``kind`` in as few sets as possible; ``without`` disables one companion.

    Examples that give the same manifest after defaults are filled in share a document.
    """
    groups: dict[str, list[Example]] = {}
    for example in iter_examples(kind):
        filled = json.dumps(schema.fill_defaults(kind.lower(), make_document(example, "x", without)), sort_keys=True)
        groups.setdefault(filled, []).append(example)
    manifest_sets: list[ManifestSet] = []
    for number, group in enumerate(groups.values(), start=1):
        manifest = make_document(group[0], _make_name(group[0], number), without)
        target = next((candidate for candidate in manifest_sets if candidate.has_room_for_document(manifest)), None)
        if target is None:
            manifest_sets.append(target := ManifestSet())
        target.documents += [manifest, *companion_documents(kind)]
        target.examples[get_handle(manifest)] = group
    return manifest_sets


def companion_documents(kind: str) -> list[Document]:
    """Return a service and a database in the project's network, because a Project alone creates little."""
    if kind != "Project":
        return []
    return [
        make_minimal("Database", "main"),
        merge(make_minimal("ContainerService", "api"), {"spec": {"access": ["database.main"]}}),
    ]


def make_document(example: Example, name: str, without: str = "") -> Document:
    """Return the smallest manifest with the example; its name is ``name`` unless the example sets it."""
    root = schema.load(example.kind.lower())
    manifest: Document = _build_value(root, root, example.path, example.value)
    if example.path[:1] not in {(), (("member", "metadata"),)}:
        manifest["metadata"]["name"] = name
    manifest = merge(_find_companion(example, without), manifest)
    return (
        manifest
        if example.kind == without
        else merge(manifest, load_companions().get(example.kind, {}).get("with", {}))
    )


def make_minimal(kind: str, name: str) -> Document:
    """Return the smallest manifest of a kind."""
    return make_document(Example(kind, (("member", "kind"),), kind), name)


def complete_documents(documents: Iterable[Document]) -> list[Document]:
    """Return the documents with a Project and minimal manifests of all missing references."""
    completed = list(documents)
    if all(item["kind"] != "Project" for item in completed):
        completed.insert(0, merge(make_minimal("Project", "shop"), {"spec": {"alerts": {"maxAlarms": len(completed)}}}))
    for item in completed:  # grows during the iteration
        for kind, name in HANDLE_PATTERN.findall(json.dumps(item["spec"])):
            if kind != "project" and f"{kind}.{name}" not in map(get_handle, completed):
                completed.append(make_minimal(KIND_NAMES[kind], name))
    return completed


def get_handle(manifest: Document) -> str:
    """Return the handle, such as ``bucket.files``."""
    return f"{manifest['kind'].lower()}.{manifest['metadata']['name']}"


def iter_claims(manifest: Document) -> Iterator[str]:
    """Yield what must be unique in a set: handle, name in AWS, a database's password."""
    yield "the project" if manifest["kind"] == "Project" else get_handle(manifest)
    spec = manifest["spec"]
    for name in (spec.get("name"), spec.get("identifier"), spec.get("image", {}).get("repository")):
        if name:
            yield f"{manifest['kind']} {name}"
    if manifest["kind"] == "Secret":
        yield from re.findall(r"\bdatabase\.[a-z-]+", json.dumps(spec))


def merge(first: Any, second: Any) -> Any:
    """Merge recursively, lists item by item; ``first`` wins conflicts."""
    if isinstance(first, list) and isinstance(second, list):
        common = [merge(*pair) for pair in zip(first, second, strict=False)]
        return common + deepcopy([*first[len(common) :], *second[len(common) :]])
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return deepcopy(first)
    both = {key: merge(first[key], second[key]) if key in second else first[key] for key in first}
    return {**both, **{key: deepcopy(second[key]) for key in second if key not in first}}


def _find_companion(example: Example, without: str) -> Any:
    """Return the companion of the example itself, or of its location."""
    keys = [key for key in (str(example), example.location) if key in load_companions() and key != without]
    return load_companions()[keys[0]]["with"] if keys else {}


def _make_name(example: Example, number: int) -> str:
    """Return a component name that identifies the example in a failure message."""
    words = re.sub(r"[^a-z0-9]+", "-", example.location.lower()).strip("-")
    name = f"x{number}-{words.split('-', 1)[-1].removeprefix('spec-')}"
    return name[:MAX_NAME_LENGTH].strip("-")


def _iter_parts(root: schema.Schema, part: Any, path: tuple[PathStep, ...]) -> Iterator[SchemaPart]:
    flat = schema.resolve_ref(root, part)
    yield path, flat
    for name, member in flat.get("properties", {}).items():
        yield from _iter_parts(root, member, (*path, ("member", name)))
    if isinstance(flat.get("items"), Mapping):
        yield from _iter_parts(root, flat["items"], (*path, ("item", None)))
    if isinstance(flat.get("additionalProperties"), Mapping):
        yield from _iter_map_values(root, flat, path)
    for keyword in BRANCH_KEYWORDS:
        for index, branch in enumerate(flat.get(keyword, ())):
            yield from _iter_parts(root, branch, (*path, ("form", (keyword, index))))


def _iter_map_values(root: schema.Schema, flat: schema.Schema, path: tuple[PathStep, ...]) -> Iterator[SchemaPart]:
    """Yield the values of a map, each under its key in an example of the map."""
    inner = schema.resolve_ref(root, flat["additionalProperties"])
    pairs = [pair for example in flat.get("examples", ()) for pair in example.items()]
    for value in inner.get("examples", ()):
        key = next((key for key, example_value in pairs if example_value == value), "any")
        yield (*path, ("value", key)), {**inner, "examples": [value]}
    first = next((key for key, _ in pairs), "any")
    yield from islice(_iter_parts(root, inner, (*path, ("value", first))), 1, None)


def _build_value(root: schema.Schema, part: Any, path: tuple[PathStep, ...], value: Any) -> Any:
    """Build a value for ``part`` with ``value`` at ``path`` and otherwise only required members."""
    if not path:
        return deepcopy(value)
    flat = schema.resolve_ref(root, part)
    (step, name), *remaining = path
    rest = tuple(remaining)
    if step == "item":
        first = _build_value(root, flat["items"], rest, value)
        others = [other for example in flat.get("examples", ()) for other in example if other != first]
        return [first, *others[: max(0, flat.get("minItems", 1) - 1)]]
    if step == "form":
        return _build_value(root, flat[name[0]][name[1]], rest, value)
    if step == "value":
        return {name: _build_value(root, flat["additionalProperties"], rest, value)}
    members = flat["properties"]
    required_values = {key: _build_required(root, members[key]) for key in flat.get("required", ())}
    return {**required_values, name: _build_value(root, members[name], rest, value)}


def _build_required(root: schema.Schema, part: Any) -> Any:
    """Build the smallest valid value: an example, or an object with its required members."""
    flat = schema.resolve_ref(root, part)
    if "properties" not in flat:
        return deepcopy(flat["examples"][0])
    members = flat["properties"]
    return {key: _build_required(root, members[key]) for key in flat.get("required", ())}
