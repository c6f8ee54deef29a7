"""Hypothesis strategies for manifest sets nobody has thought of: parts of the schemas, put together at random."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from itertools import compress
from typing import Any

from hypothesis import strategies as st

from tests.proofs.manifest_sets import (
    HANDLE_PATTERN,
    Document,
    Example,
    get_handle,
    iter_examples,
    make_document,
    make_minimal,
    merge,
)

MAX_PROPERTIES = 4
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20).filter(
    lambda t: "${" not in t
)
NAMES = {
    "Bucket": ("files", "web", "logs"),
    "Database": ("main", "other"),
    "Secret": ("app", "keys"),
    "ContainerService": ("api", "worker"),
    "Cdn": ("site",),
    "Budget": ("monthly",),
}
LINKED_PROPERTIES = {
    "Bucket": {"name", "accessLog", "policy"},
    "Database": {"subnetGroup"},
    "Secret": {"name", "data"},
    "ContainerService": {"image", "access", "secrets"},
    "Cdn": {"origin", "paths"},
}
"""Properties that are about other components, or about what AWS has once: they are not drawn on their own."""
DELETABLE: Mapping[str, Any] = {
    "Bucket": {"deletionPolicy": "delete"},
    "Database": {"deletionPolicy": "delete", "deletionProtection": False},
    "Secret": {"deletionPolicy": "delete"},
    "ContainerService": {"image": {"deletionPolicy": "delete"}},
}
ALERTS = {"email": ["ops@shop.example"], "maxAlarms": 50}
IMAGES = ("public.ecr.aws/nginx/nginx:1.27", "${project.registry}/shop@sha256:" + "5f" * 32)
IRREVERSIBLE = ("storage", "version")
"""What RDS does not take back: a disk never shrinks, a version never sinks."""


@cache
def examples_by_property(kind: str) -> Mapping[str, tuple[Example, ...]]:
    """The values that the schema of ``kind`` names, by the property of its spec in which they stand."""
    by_property: dict[str, list[Example]] = defaultdict(list)
    for example in iter_examples(kind):
        names = [name for step, name in example.path if step == "member"]
        if names[:1] == ["spec"] and len(names) > 1 and names[1] not in LINKED_PROPERTIES.get(kind, ()):
            by_property[names[1]].append(example)
    return {
        name: tuple(group)
        for name, group in by_property.items()
        if not HANDLE_PATTERN.search(json.dumps([str(e) for e in group]))
    }


@st.composite
def components(draw: st.DrawFn, kind: str, name: str) -> Document:
    """A component with a few of its optional properties."""
    by_name = examples_by_property(kind)
    number = draw(st.integers(0, min(MAX_PROPERTIES, len(by_name))))
    chosen = draw(st.lists(st.sampled_from(sorted(by_name)), min_size=number, max_size=number, unique=True))
    component = make_minimal(kind, name)
    for property_name in chosen:
        component = merge(make_document(draw(st.sampled_from(by_name[property_name])), name), component)
    return {**component, "spec": merge(DELETABLE.get(kind, {}), component["spec"])}


@st.composite
def sets(draw: st.DrawFn) -> list[Document]:
    """A Project and some components of each kind, woven together."""
    linked = LinkedComponents(
        draw(components(kind, name)) for kind, names in NAMES.items() for name in names if draw(st.booleans())
    )
    buckets, services = linked.list_handles("Bucket"), linked.list_handles("ContainerService")
    if "cdn.site" in linked and not buckets + services:
        del linked["cdn.site"]
    draw(link_buckets(linked))
    draw(link_secrets(linked))
    for name in services:
        draw(link_service(linked, name))
    if "cdn.site" in linked:
        draw(link_cdn(linked, buckets + services))
    project: Document = merge(make_minimal("Project", "shop"), {"spec": {"alerts": ALERTS}})
    return [project, *linked.values()]


class LinkedComponents(dict[str, Document]):
    """Components by handle, while they come to speak of each other."""

    def __init__(self, documents: Iterable[Document]) -> None:
        super().__init__({get_handle(item): item for item in documents})

    def list_handles(self, *kinds: str) -> list[str]:
        """Handles of those kinds."""
        return [name for name, component in self.items() if component["kind"] in kinds]

    def spec(self, name: str) -> dict[str, Any]:
        """A spec, to be added to."""
        component_spec: dict[str, Any] = self[name]["spec"]
        return component_spec


@st.composite
def link_buckets(draw: st.DrawFn, linked: LinkedComponents) -> None:
    """Some buckets log into the last one, have a name of their own, or let the CDN's pages in."""
    buckets = linked.list_handles("Bucket")
    for name in buckets:
        spec = linked.spec(name)
        if name != buckets[-1] and draw(st.booleans()):
            spec["accessLog"] = {"bucket": f"${{{buckets[-1]}.name}}", "prefix": draw(st.sampled_from(["", "log/"]))}
        if draw(st.booleans()):
            spec["name"] = f"${{project.name}}-{name.partition('.')[2]}-${{project.environment}}"
        if "cdn.site" in linked and draw(st.booleans()):
            spec["cors"] = [{"origins": ["https://${cdn.site.domain}"], "methods": ["GET"]}]


@st.composite
def link_secrets(draw: st.DrawFn, linked: LinkedComponents) -> None:
    """Values of every sort; the password of each database in one secret at most."""
    names = linked.list_handles("Secret")
    for name in names:
        part = name.partition(".")[2].title()
        plain = st.dictionaries(st.sampled_from([f"{part}:Issuer", f"{part}:Port", f"{part}_Flag"]), scalars())
        length = draw(st.integers(16, 64))
        linked.spec(name)["data"] = {**draw(plain), f"{part}:SigningKey": {"generate": {"length": length}}}
    for database in linked.list_handles("Database"):
        owner = draw(st.sampled_from([None, *names]))
        if owner is not None:
            export = draw(st.sampled_from(["connectionString", "url", "password"]))
            linked.spec(owner)["data"][f"{database.replace('.', ':').title()}:Access"] = f"${{{database}.{export}}}"


@st.composite
def link_service(draw: st.DrawFn, linked: LinkedComponents, name: str) -> None:
    """An image, rights to some of the others, and some of the secrets' keys."""
    spec = linked.spec(name)
    repository = {"repository": f"shop/{name.partition('.')[2]}"} if draw(st.booleans()) else {}
    spec["image"] = {**spec["image"], "prebuilt": draw(st.sampled_from(IMAGES)), **repository}
    spec["access"] = draw(subsets(linked.list_handles("Bucket", "Database", "Secret")))
    granted = draw(subsets(linked.list_handles("Secret")))
    spec["secrets"] = granted
    if draw(st.booleans()):
        keys = [f"{secret}[{key}]" for secret in granted for key in linked.spec(secret)["data"]]
        spec["secrets"] = {f"KEY_{number}": key for number, key in enumerate(draw(subsets(keys)))}
    spec.setdefault("environment", {})["NOTE"] = draw(TEXT)


@st.composite
def link_cdn(draw: st.DrawFn, linked: LinkedComponents, origins: list[str]) -> None:
    """A site of some origin, and paths to others."""
    spec = linked.spec("cdn.site")
    spec["origin"] = draw(st.sampled_from(origins))
    if not spec["origin"].startswith("bucket."):
        spec["deepLinks"] = False
    patterns = draw(subsets(["/api/*", "/ml-models/*", "/img/*.jpg"]))
    spec["paths"] = [
        {
            "pattern": pattern,
            "origin": draw(st.sampled_from(origins)),
            "cors": draw(st.booleans()),
            "cache": draw(st.sampled_from(["optimized", "disabled"])),
        }
        for pattern in patterns
    ]


def scalars() -> st.SearchStrategy[Any]:
    """What a secret's key may hold, besides a generated value."""
    return TEXT | st.integers(0, 10**9) | st.booleans() | st.just("in ${project.region}")


def subsets(items: list[str]) -> st.SearchStrategy[list[str]]:
    """Some of them, in their order."""
    return st.tuples(*(st.booleans() for _ in items)).map(lambda mask: list(compress(items, mask)))


def keep_irreversible(first: list[Document], second: list[Document]) -> list[Document]:
    """``second`` with what RDS never takes back left as in ``first``."""
    previous_specs = {get_handle(item): item["spec"] for item in first if item["kind"] == "Database"}
    changed = deepcopy(second)
    for item in changed:
        if get_handle(item) in previous_specs:
            previous_spec = previous_specs[get_handle(item)]
            rest = {key: value for key, value in item["spec"].items() if key not in IRREVERSIBLE}
            item["spec"] = rest | {key: previous_spec[key] for key in IRREVERSIBLE if key in previous_spec}
    return changed
