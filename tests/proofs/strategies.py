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

from tests.proofs.manifests import HANDLE, Document, Example, document, examples, handle, merged, minimal

MOST_PROPERTIES = 4
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
WOVEN = {
    "Bucket": {"name", "accessLog", "policy"},
    "Database": {"subnetGroup"},
    "Secret": {"name", "data"},
    "ContainerService": {"image", "access", "secrets"},
    "Cdn": {"origin", "paths"},
}
"""Properties that are about other components, or about what AWS has once: they are not drawn on their own."""
MORTAL: Mapping[str, Any] = {
    "Bucket": {"deletionPolicy": "delete"},
    "Database": {"deletionPolicy": "delete", "deletionProtection": False},
    "Secret": {"deletionPolicy": "delete"},
    "ContainerService": {"image": {"deletionPolicy": "delete"}},
}
ALERTS = {"email": ["ops@shop.example"], "maxAlarms": 50}
IMAGES = ("public.ecr.aws/nginx/nginx:1.27", "${project.registry}/shop@sha256:" + "5f" * 32)
ONE_WAY = ("storage", "version")
"""What RDS does not take back: a disk never shrinks, a version never sinks."""


@cache
def properties(kind: str) -> Mapping[str, tuple[Example, ...]]:
    """The values that the schema of ``kind`` names, by the property of its spec in which they stand."""
    found: dict[str, list[Example]] = defaultdict(list)
    for example in examples(kind):
        names = [name for step, name in example.path if step == "member"]
        if names[:1] == ["spec"] and len(names) > 1 and names[1] not in WOVEN.get(kind, ()):
            found[names[1]].append(example)
    return {
        name: tuple(those) for name, those in found.items() if not HANDLE.search(json.dumps([str(e) for e in those]))
    }


@st.composite
def components(draw: st.DrawFn, kind: str, name: str) -> Document:
    """A component with a few of its optional properties."""
    by_name = properties(kind)
    number = draw(st.integers(0, min(MOST_PROPERTIES, len(by_name))))
    chosen = draw(st.lists(st.sampled_from(sorted(by_name)), min_size=number, max_size=number, unique=True))
    found = minimal(kind, name)
    for each in chosen:
        found = merged(document(draw(st.sampled_from(by_name[each])), name), found)
    return {**found, "spec": merged(MORTAL.get(kind, {}), found["spec"])}


@st.composite
def sets(draw: st.DrawFn) -> list[Document]:
    """A Project and some components of each kind, woven together."""
    found = Woven(
        draw(components(kind, name)) for kind, names in NAMES.items() for name in names if draw(st.booleans())
    )
    buckets, services = found.of("Bucket"), found.of("ContainerService")
    if "cdn.site" in found and not buckets + services:
        del found["cdn.site"]
    draw(logging(found))
    draw(secrets(found))
    for name in services:
        draw(service(found, name))
    if "cdn.site" in found:
        draw(delivery(found, buckets + services))
    told: Document = merged(minimal("Project", "shop"), {"spec": {"alerts": ALERTS}})
    return [told, *found.values()]


class Woven(dict[str, Document]):
    """Components by handle, while they come to speak of each other."""

    def __init__(self, documents: Iterable[Document]) -> None:
        super().__init__({handle(each): each for each in documents})

    def of(self, *kinds: str) -> list[str]:
        """Handles of those kinds."""
        return [name for name, found in self.items() if found["kind"] in kinds]

    def spec(self, name: str) -> dict[str, Any]:
        """A spec, to be added to."""
        found: dict[str, Any] = self[name]["spec"]
        return found


@st.composite
def logging(draw: st.DrawFn, found: Woven) -> None:
    """Some buckets log into the last one, have a name of their own, or let the CDN's pages in."""
    buckets = found.of("Bucket")
    for name in buckets:
        spec = found.spec(name)
        if name != buckets[-1] and draw(st.booleans()):
            spec["accessLog"] = {"bucket": f"${{{buckets[-1]}.name}}", "prefix": draw(st.sampled_from(["", "log/"]))}
        if draw(st.booleans()):
            spec["name"] = f"${{project.name}}-{name.partition('.')[2]}-${{project.environment}}"
        if "cdn.site" in found and draw(st.booleans()):
            spec["cors"] = [{"origins": ["https://${cdn.site.domain}"], "methods": ["GET"]}]


@st.composite
def secrets(draw: st.DrawFn, found: Woven) -> None:
    """Values of every sort; the password of each database in one secret at most."""
    names = found.of("Secret")
    for name in names:
        part = name.partition(".")[2].title()
        plain = st.dictionaries(st.sampled_from([f"{part}:Issuer", f"{part}:Port", f"{part}_Flag"]), scalars())
        length = draw(st.integers(16, 64))
        found.spec(name)["data"] = {**draw(plain), f"{part}:SigningKey": {"generate": {"length": length}}}
    for database in found.of("Database"):
        keeper = draw(st.sampled_from([None, *names]))
        if keeper is not None:
            export = draw(st.sampled_from(["connectionString", "url", "password"]))
            found.spec(keeper)["data"][f"{database.replace('.', ':').title()}:Access"] = f"${{{database}.{export}}}"


@st.composite
def service(draw: st.DrawFn, found: Woven, name: str) -> None:
    """An image, rights to some of the others, and some of the secrets' keys."""
    spec = found.spec(name)
    repository = {"repository": f"shop/{name.partition('.')[2]}"} if draw(st.booleans()) else {}
    spec["image"] = {**spec["image"], "prebuilt": draw(st.sampled_from(IMAGES)), **repository}
    spec["access"] = draw(subsets(found.of("Bucket", "Database", "Secret")))
    given = draw(subsets(found.of("Secret")))
    spec["secrets"] = given
    if draw(st.booleans()):
        keys = [f"{secret}[{key}]" for secret in given for key in found.spec(secret)["data"]]
        spec["secrets"] = {f"KEY_{number}": key for number, key in enumerate(draw(subsets(keys)))}
    spec.setdefault("environment", {})["NOTE"] = draw(TEXT)


@st.composite
def delivery(draw: st.DrawFn, found: Woven, origins: list[str]) -> None:
    """A site of some origin, and paths to others."""
    spec = found.spec("cdn.site")
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


def subsets(of: list[str]) -> st.SearchStrategy[list[str]]:
    """Some of them, in their order."""
    return st.tuples(*(st.booleans() for _ in of)).map(lambda kept: list(compress(of, kept)))


def following(first: list[Document], second: list[Document]) -> list[Document]:
    """``second`` with what RDS never takes back left as in ``first``."""
    before = {handle(found): found["spec"] for found in first if found["kind"] == "Database"}
    changed = deepcopy(second)
    for found in changed:
        if handle(found) in before:
            kept = before[handle(found)]
            rest = {key: value for key, value in found["spec"].items() if key not in ONE_WAY}
            found["spec"] = rest | {key: kept[key] for key in ONE_WAY if key in kept}
    return changed
