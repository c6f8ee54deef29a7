"""Define Hypothesis strategies for random manifest sets, combined from the examples in the schemas."""

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
"""Properties that refer to other components or to unique names in AWS; set separately."""
DELETABLE: Mapping[str, Any] = {
    "Bucket": {"deletionPolicy": "delete"},
    "Database": {"deletionPolicy": "delete", "deletionProtection": False},
    "Secret": {"deletionPolicy": "delete"},
    "ContainerService": {"image": {"deletionPolicy": "delete"}},
}
ALERTS = {"email": ["ops@shop.example"], "maxAlarms": 50}
IMAGES = ("public.ecr.aws/nginx/nginx:1.27", "${project.registry}/shop@sha256:" + "5f" * 32)
IRREVERSIBLE = ("storage", "version")
"""Properties that RDS cannot reduce: storage size and engine version."""


@cache
def examples_by_property(kind: str) -> Mapping[str, tuple[Example, ...]]:
    """Return the examples in the schema of ``kind``, by property of its spec."""
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
    """Draw a component with a few of its optional properties."""
    by_name = examples_by_property(kind)
    number = draw(st.integers(0, min(MAX_PROPERTIES, len(by_name))))
    chosen = draw(st.lists(st.sampled_from(sorted(by_name)), min_size=number, max_size=number, unique=True))
    component = make_minimal(kind, name)
    for property_name in chosen:
        component = merge(make_document(draw(st.sampled_from(by_name[property_name])), name), component)
    return {**component, "spec": merge(DELETABLE.get(kind, {}), component["spec"])}


@st.composite
def sets(draw: st.DrawFn) -> list[Document]:
    """Draw a Project and some components of each kind, with references between them."""
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
    """Components by handle, while references are added."""

    def __init__(self, documents: Iterable[Document]) -> None:
        super().__init__({get_handle(item): item for item in documents})

    def list_handles(self, *kinds: str) -> list[str]:
        """Return the handles of the given kinds."""
        return [name for name, component in self.items() if component["kind"] in kinds]

    def spec(self, name: str) -> dict[str, Any]:
        """Return the mutable spec of a component."""
        component_spec: dict[str, Any] = self[name]["spec"]
        return component_spec


@st.composite
def link_buckets(draw: st.DrawFn, linked: LinkedComponents) -> None:
    """Let some buckets log to the last one, set their names, or allow the CDN's pages by CORS."""
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
    """Draw secret values; each database password is in at most one secret."""
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
    """Draw an image, access to some other components, and some keys of the secrets."""
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
    """Draw the default origin of the CDN, and paths to other origins."""
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
    """Return a strategy for plain values of a secret."""
    return TEXT | st.integers(0, 10**9) | st.booleans() | st.just("in ${project.region}")


def subsets(items: list[str]) -> st.SearchStrategy[list[str]]:
    """Return a strategy for subsets, in order."""
    return st.tuples(*(st.booleans() for _ in items)).map(lambda mask: list(compress(items, mask)))


def keep_irreversible(first: list[Document], second: list[Document]) -> list[Document]:
    """Return ``second`` with irreversible database properties as in ``first``."""
    previous_specs = {get_handle(item): item["spec"] for item in first if item["kind"] == "Database"}
    changed = deepcopy(second)
    for item in changed:
        if get_handle(item) in previous_specs:
            previous_spec = previous_specs[get_handle(item)]
            rest = {key: value for key, value in item["spec"].items() if key not in IRREVERSIBLE}
            item["spec"] = rest | {key: previous_spec[key] for key in IRREVERSIBLE if key in previous_spec}
    return changed
