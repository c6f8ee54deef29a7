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
BRANCHES = ("anyOf", "oneOf")
KINDS = {kind.lower(): kind for kind in schema.kinds()}
HANDLE = re.compile(rf"\b({'|'.join(KINDS)})\.([a-z][a-z0-9-]*)")
LONGEST = 31
MOST = {"ContainerService": 10, "Cdn": 18}
"""Components a set: App Runner has 10 scaling configurations a region; making a distribution lists all there are."""

SHIPPED = (
    "Bucket.spec.spa",
    "ContainerService.spec.image.build",
    "ContainerService.spec.health.releaseHeader",
    "ContainerService.spec.migrate",
)
"""What takes a checkout with something to build in it: ``tests/release`` and ``tests/artefacts`` have some."""

Document: TypeAlias = dict[str, Any]
Step: TypeAlias = tuple[str, Any]
"""One step down into a schema: member NAME, value KEY (of a map), item, form (KEYWORD, INDEX)."""
Part: TypeAlias = tuple[tuple[Step, ...], schema.Schema]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of one property; ``path`` leads there from the root of the schema."""

    kind: str
    path: tuple[Step, ...]
    value: Any

    @property
    def place(self) -> str:
        """``Bucket.spec.cors[].headers``; the values of a map are ``{}``."""
        signs = {"item": "[]", "value": "{}", "form": ""}
        return self.kind + "".join(signs.get(step, f".{name}") for step, name in self.path)

    def __str__(self) -> str:
        return f"{self.place}: {json.dumps(self.value)}"


@dataclass(slots=True)
class ManifestSet:
    """Documents that can stand together, and the examples that each of them shows, by handle."""

    documents: list[Document] = field(default_factory=list)
    shows: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def claims(self) -> set[str]:
        """What two documents of one set cannot both have."""
        return {claim for found in self.documents for claim in claims(found)}

    def has_room_for(self, found: Document) -> bool:
        """Whether the document can stand among the others."""
        most = MOST.get(found["kind"])
        return not self.claims & set(claims(found)) and (most is None or len(self.documents) < most)

    def write(self, folder: Path, stand_ins: Mapping[str, str] = MappingProxyType({})) -> Path:
        """The set as YAML, with a Project and whatever its documents refer to; ids of AWS's as ``stand_ins`` say."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump_all(complete(self.documents), sort_keys=False, allow_unicode=True)
        for shown, real in stand_ins.items():
            text = text.replace(shown, real)
        (folder / "manifests.yaml").write_text(text, encoding="utf-8")
        return folder


@cache
def companions() -> Mapping[str, Mapping[str, Any]]:
    """``companions.yaml``: a kind or place -> ``because`` and ``with``, which is merged in."""
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(COMPANIONS.read_text(encoding="utf-8"))
    return found


def examples(kind: str) -> Iterator[Example]:
    """Every value that the schema of ``kind`` names, of the manifest, of each property, item, map value and form.

    Besides the examples these are the members of an enum, true and false, and both ends of a range.  Left out is what
    would be SHIPPED.
    """
    root = schema.load(kind.lower())
    for path, part in _parts(root, root, ()):
        if Example(kind, path, None).place.startswith(SHIPPED):
            continue
        named = [*part.get("examples", ()), *part.get("enum", ())]
        if part.get("type") == "boolean" and "const" not in part:
            named += [True, False]
        if part.get("type") in ("integer", "number") and "enum" not in part:
            named += [part[end] for end in ("minimum", "maximum") if end in part]
        for text, value in {json.dumps(each): each for each in named}.items():
            if not takes_checkout(text):
                yield Example(kind, path, value)


def takes_checkout(text: str) -> bool:
    """Whether an example, as JSON, has something built: `SHIPPED` parts written out inside of a larger one."""
    return '"build":' in text or '"spa":' in text


def sets(kind: str, without: str = "") -> list[ManifestSet]:
    """The examples of ``kind`` in as few sets as they fit; ``without`` one entry of the companions.

    Examples that come to the same manifest once defaults are filled in share a document.
    """
    shown: dict[str, list[Example]] = {}
    for example in examples(kind):
        same = json.dumps(schema.fill(kind.lower(), document(example, "x", without)), sort_keys=True)
        shown.setdefault(same, []).append(example)
    packed: list[ManifestSet] = []
    for number, group in enumerate(shown.values(), start=1):
        found = document(group[0], _name(group[0], number), without)
        into = next((one for one in packed if one.has_room_for(found)), None)
        if into is None:
            packed.append(into := ManifestSet())
        into.documents += [found, *company(kind)]
        into.shows[handle(found)] = group
    return packed


def company(kind: str) -> list[Document]:
    """Who stands beside a Project, which makes little on its own: a service and a database, in its network."""
    if kind != "Project":
        return []
    return [
        minimal("Database", "main"),
        merged(minimal("ContainerService", "api"), {"spec": {"access": ["database.main"]}}),
    ]


def document(example: Example, name: str, without: str = "") -> Document:
    """The smallest manifest with the example in its place; it is called ``name`` unless the example names it."""
    root = schema.load(example.kind.lower())
    found: Document = _placed(root, root, example.path, example.value)
    if example.path[:1] not in {(), (("member", "metadata"),)}:
        found["metadata"]["name"] = name
    found = merged(_beside(example, without), found)
    return found if example.kind == without else merged(found, companions().get(example.kind, {}).get("with", {}))


def minimal(kind: str, name: str) -> Document:
    """The smallest manifest of a kind."""
    return document(Example(kind, (("member", "kind"),), kind), name)


def complete(documents: Iterable[Document]) -> list[Document]:
    """The documents, a Project, and the smallest manifest of whatever they refer to and is not there."""
    found = list(documents)
    if all(one["kind"] != "Project" for one in found):
        found.insert(0, merged(minimal("Project", "shop"), {"spec": {"alerts": {"maxAlarms": len(found)}}}))
    for one in found:  # grows while it is walked
        for kind, name in HANDLE.findall(json.dumps(one["spec"])):
            if kind != "project" and f"{kind}.{name}" not in map(handle, found):
                found.append(minimal(KINDS[kind], name))
    return found


def handle(found: Document) -> str:
    """``bucket.files``."""
    return f"{found['kind'].lower()}.{found['metadata']['name']}"


def claims(found: Document) -> Iterator[str]:
    """What no other document of a set may have: a handle, a name in AWS, a database's password."""
    yield "the project" if found["kind"] == "Project" else handle(found)
    spec = found["spec"]
    for name in (spec.get("name"), spec.get("image", {}).get("repository")):
        if name:
            yield f"{found['kind']} {name}"
    if found["kind"] == "Secret":
        yield from re.findall(r"\bdatabase\.[a-z-]+", json.dumps(spec))


def merged(first: Any, second: Any) -> Any:
    """Both merged at every depth, lists item by item; where they differ the first counts."""
    if isinstance(first, list) and isinstance(second, list):
        common = [merged(*pair) for pair in zip(first, second, strict=False)]
        return common + deepcopy([*first[len(common) :], *second[len(common) :]])
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return deepcopy(first)
    both = {key: merged(first[key], second[key]) if key in second else first[key] for key in first}
    return {**both, **{key: deepcopy(second[key]) for key in second if key not in first}}


def _beside(example: Example, without: str) -> Any:
    """What the companions say of the example itself, or of its place."""
    keys = [key for key in (str(example), example.place) if key in companions() and key != without]
    return companions()[keys[0]]["with"] if keys else {}


def _name(example: Example, number: int) -> str:
    """A name that tells in a failure what the component is for."""
    words = re.sub(r"[^a-z0-9]+", "-", example.place.lower()).strip("-")
    tail = f"x{number}-{words.split('-', 1)[-1].removeprefix('spec-')}"
    return tail[:LONGEST].strip("-")


def _parts(root: schema.Schema, part: Any, path: tuple[Step, ...]) -> Iterator[Part]:
    flat = schema.deref(root, part)
    yield path, flat
    for name, member in flat.get("properties", {}).items():
        yield from _parts(root, member, (*path, ("member", name)))
    if isinstance(flat.get("items"), Mapping):
        yield from _parts(root, flat["items"], (*path, ("item", None)))
    if isinstance(flat.get("additionalProperties"), Mapping):
        yield from _values(root, flat, path)
    for keyword in BRANCHES:
        for index, branch in enumerate(flat.get(keyword, ())):
            yield from _parts(root, branch, (*path, ("form", (keyword, index))))


def _values(root: schema.Schema, flat: schema.Schema, path: tuple[Step, ...]) -> Iterator[Part]:
    """The values of a map, each under the key that goes with it in an example of the map."""
    inner = schema.deref(root, flat["additionalProperties"])
    pairs = [pair for shown in flat.get("examples", ()) for pair in shown.items()]
    for value in inner.get("examples", ()):
        key = next((key for key, found in pairs if found == value), "any")
        yield (*path, ("value", key)), {**inner, "examples": [value]}
    first = next((key for key, _ in pairs), "any")
    yield from islice(_parts(root, inner, (*path, ("value", first))), 1, None)


def _placed(root: schema.Schema, part: Any, path: tuple[Step, ...], value: Any) -> Any:
    """A value for ``part`` that holds ``value`` at ``path``, and of the rest only what is required."""
    if not path:
        return deepcopy(value)
    flat = schema.deref(root, part)
    (step, name), *below = path
    rest = tuple(below)
    if step == "item":
        first = _placed(root, flat["items"], rest, value)
        others = [other for shown in flat.get("examples", ()) for other in shown if other != first]
        return [first, *others[: max(0, flat.get("minItems", 1) - 1)]]
    if step == "form":
        return _placed(root, flat[name[0]][name[1]], rest, value)
    if step == "value":
        return {name: _placed(root, flat["additionalProperties"], rest, value)}
    members = flat["properties"]
    needed = {key: _needed(root, members[key]) for key in flat.get("required", ())}
    return {**needed, name: _placed(root, members[name], rest, value)}


def _needed(root: schema.Schema, part: Any) -> Any:
    """The smallest value for what is required: an example, or an object with what it requires in turn."""
    flat = schema.deref(root, part)
    if "properties" not in flat:
        return deepcopy(flat["examples"][0])
    members = flat["properties"]
    return {key: _needed(root, members[key]) for key in flat.get("required", ())}
