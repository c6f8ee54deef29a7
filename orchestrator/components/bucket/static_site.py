"""The static site of a bucket: what it takes to ship it, and what comes before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.artefacts import Site
from orchestrator.components import Stack, answers
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Component

Problem = tuple[tuple[str | int, ...], str, str | None]


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Problem]:
    """A site needs a place for what going back takes."""
    if "spa" not in component.spec:
        return
    projects = (one for one in siblings.values() if one.kind == "Project")
    named = next((one.spec["releases"].get("bucket") for one in projects if one.spec.get("releases")), None)
    if named is None:
        hint = "declare a Bucket `releases`, and in the Project: releases: {bucket: bucket.releases}"
        yield ("spa",), "a site is shipped by releases, and the Project names no bucket for them", hint
    elif named == component.handle:
        hint = "declare a Bucket of its own for the releases: what it keeps is private, a site is not"
        yield ("spa",), "this bucket keeps the releases, so it cannot hold a site", hint


def spec(component: Component, stack: Stack, site: Site) -> dict[str, Value]:
    """The desired site; only its digest is compared."""
    shipping = {
        "site": site,
        "store": stack.release_bucket,
        "by_etag": component.spec["encryption"] == "AES256",  # under KMS an ETag says nothing of the bytes
        "distributions": list(_distributions(component, stack)),
    }
    return {"site": site.digest, "shipping": WriteOnly(shipping)}


def after(component: Component, stack: Stack) -> Iterator[str]:
    """The service first, then the page that uses it; and nothing before the release bucket can take the way back."""
    yield from (f"{kind}.{component.name}" for kind in ("s3_bucket", "s3_bucket_policy"))
    releases = (stack.project.spec.get("releases") or {}).get("bucket", "")
    yield f"s3_bucket.{releases.partition('.')[2]}"
    for one in stack.components.values():
        if one.kind == "ContainerService":
            yield str(answers(one))


def _distributions(component: Component, stack: Stack) -> Iterator[dict[str, Value]]:
    """Each CDN that serves from the bucket, and which keys: they are told what has changed."""
    patterns: dict[Value, list[str]] = {}
    for grant in stack.grants(component, "cdn-read"):
        patterns.setdefault(grant.data["distribution_id"], []).append(grant.data["pattern"])
    for distribution, served in patterns.items():
        yield {"id": distribution, "patterns": served}
