"""Makes manifest sets out of the schemas: every example in its place, and otherwise as little as can be.

Knows the schemas and ``companions.yaml``, which says what must stand beside an example and why.
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
"""Components a set: App Runner has 10 scaling configurations a region; making a distribution lists all there are."""

NEEDS_BUILD = (
    "Bucket.spec.spa",
    "ContainerService.spec.image.build",
    "ContainerService.spec.health.releaseHeader",
    "ContainerService.spec.migrate",
)
"""What takes a checkout with something to build in it: ``tests/release`` and ``tests/artefacts`` have some."""

Document: TypeAlias = dict[str, Any]
PathStep: TypeAlias = tuple[str, Any]
"""One step down into a schema: member NAME, value KEY (of a map), item, form (KEYWORD, INDEX)."""
SchemaPart: TypeAlias = tuple[tuple[PathStep, ...], schema.Schema]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of one property; ``path`` leads there from the root of the schema."""

    kind: str
    path: tuple[PathStep, ...]
    value: Any

    @property
    def location(self) -> str:
        """``Bucket.spec.cors[].headers``; the values of a map are ``{}``."""
        suffixes = {"item": "[]", "value": "{}", "form": ""}
        return self.kind + "".join(suffixes.get(step, f".{name}") for step, name in self.path)

    def __str__(self) -> str:
        return f"{self.location}: {json.dumps(self.value)}"


@dataclass(slots=True)
class ManifestSet:
    """Documents that can stand together, and the examples that each of them shows, by handle."""

    documents: list[Document] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def claims(self) -> set[str]:
        """What two documents of one set cannot both have."""
        return {claim for item in self.documents for claim in iter_claims(item)}

    def has_room_for_document(self, candidate: Document) -> bool:
        """Whether the document can stand among the others."""
        limit = MAX_COMPONENTS.get(candidate["kind"])
        return not self.claims & set(iter_claims(candidate)) and (limit is None or len(self.documents) < limit)

    def write(self, folder: Path, substitutions: Mapping[str, str] = MappingProxyType({})) -> Path:
        """The set as YAML, with a Project and whatever its documents refer to; ids of AWS's as ``stand_ins`` say."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump_all(complete_documents(self.documents), sort_keys=False, allow_unicode=True)
        for placeholder, real in substitutions.items():
            text = text.replace(placeholder, real)
        (folder / "manifests.yaml").write_text(text, encoding="utf-8")
        return folder


@cache
def load_companions() -> Mapping[str, Mapping[str, Any]]:
    """``companions.yaml``: a kind or place -> ``because`` and ``with``, which is merged in."""
    entries: Mapping[str, Mapping[str, Any]] = yaml.safe_load(COMPANIONS.read_text(encoding="utf-8"))
    return entries


def iter_examples(kind: str) -> Iterator[Example]:
    """Every value that the schema of ``kind`` names, of the manifest, of each property, item, map value and form.

    Besides the examples these are the members of an enum, true and false, and both ends of a range.  Left out is what
    would be SHIPPED.
    """
    root = schema.load(kind.lower())
    for path, part in _iter_parts(root, root, ()):
        if Example(kind, path, None).location.startswith(NEEDS_BUILD):
            continue
        values = [*part.get("examples", ()), *part.get("enum", ())]
        if part.get("type") == "boolean" and "const" not in part:
            values += [True, False]
        if part.get("type") in ("integer", "number") and "enum" not in part:
            values += [part[bound] for bound in ("minimum", "maximum") if bound in part]
        for text, value in {json.dumps(item): item for item in values}.items():
            if not needs_checkout(text):
                yield Example(kind, path, value)


def needs_checkout(text: str) -> bool:
    """Whether an example, as JSON, has something built: `SHIPPED` parts written out inside of a larger one."""
    return '"build":' in text or '"spa":' in text


def make_sets(kind: str, without: str = "") -> list[ManifestSet]:
    """The examples of ``kind`` in as few sets as they fit; ``without`` one entry of the companions.

    Examples that come to the same manifest once defaults are filled in share a document.
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
    """Who stands beside a Project, which makes little on its own: a service and a database, in its network."""
    if kind != "Project":
        return []
    return [
        make_minimal("Database", "main"),
        merge(make_minimal("ContainerService", "api"), {"spec": {"access": ["database.main"]}}),
    ]


def make_document(example: Example, name: str, without: str = "") -> Document:
    """The smallest manifest with the example in its place; it is called ``name`` unless the example names it."""
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
    """The smallest manifest of a kind."""
    return make_document(Example(kind, (("member", "kind"),), kind), name)


def complete_documents(documents: Iterable[Document]) -> list[Document]:
    """The documents, a Project, and the smallest manifest of whatever they refer to and is not there."""
    completed = list(documents)
    if all(item["kind"] != "Project" for item in completed):
        completed.insert(0, merge(make_minimal("Project", "shop"), {"spec": {"alerts": {"maxAlarms": len(completed)}}}))
    for item in completed:  # grows while it is walked
        for kind, name in HANDLE_PATTERN.findall(json.dumps(item["spec"])):
            if kind != "project" and f"{kind}.{name}" not in map(get_handle, completed):
                completed.append(make_minimal(KIND_NAMES[kind], name))
    return completed


def get_handle(manifest: Document) -> str:
    """``bucket.files``."""
    return f"{manifest['kind'].lower()}.{manifest['metadata']['name']}"


def iter_claims(manifest: Document) -> Iterator[str]:
    """What no other document of a set may have: a handle, a name in AWS, a database's password."""
    yield "the project" if manifest["kind"] == "Project" else get_handle(manifest)
    spec = manifest["spec"]
    for name in (spec.get("name"), spec.get("image", {}).get("repository")):
        if name:
            yield f"{manifest['kind']} {name}"
    if manifest["kind"] == "Secret":
        yield from re.findall(r"\bdatabase\.[a-z-]+", json.dumps(spec))


def merge(first: Any, second: Any) -> Any:
    """Both merged at every depth, lists item by item; where they differ the first counts."""
    if isinstance(first, list) and isinstance(second, list):
        common = [merge(*pair) for pair in zip(first, second, strict=False)]
        return common + deepcopy([*first[len(common) :], *second[len(common) :]])
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return deepcopy(first)
    both = {key: merge(first[key], second[key]) if key in second else first[key] for key in first}
    return {**both, **{key: deepcopy(second[key]) for key in second if key not in first}}


def _find_companion(example: Example, without: str) -> Any:
    """What the companions say of the example itself, or of its place."""
    keys = [key for key in (str(example), example.location) if key in load_companions() and key != without]
    return load_companions()[keys[0]]["with"] if keys else {}


def _make_name(example: Example, number: int) -> str:
    """A name that tells in a failure what the component is for."""
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
    """The values of a map, each under the key that goes with it in an example of the map."""
    inner = schema.resolve_ref(root, flat["additionalProperties"])
    pairs = [pair for example in flat.get("examples", ()) for pair in example.items()]
    for value in inner.get("examples", ()):
        key = next((key for key, example_value in pairs if example_value == value), "any")
        yield (*path, ("value", key)), {**inner, "examples": [value]}
    first = next((key for key, _ in pairs), "any")
    yield from islice(_iter_parts(root, inner, (*path, ("value", first))), 1, None)


def _build_value(root: schema.Schema, part: Any, path: tuple[PathStep, ...], value: Any) -> Any:
    """A value for ``part`` that holds ``value`` at ``path``, and of the rest only what is required."""
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
    """The smallest value for what is required: an example, or an object with what it requires in turn."""
    flat = schema.resolve_ref(root, part)
    if "properties" not in flat:
        return deepcopy(flat["examples"][0])
    members = flat["properties"]
    return {key: _build_required(root, members[key]) for key in flat.get("required", ())}
