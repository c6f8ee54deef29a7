"""The static site of a bucket: what it takes to ship it, and what comes before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.artefacts import Site
from orchestrator.components import Stack, answers
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Component

Finding = tuple[tuple[str | int, ...], str, str | None]


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """A site needs a place for what going back takes."""
    if "spa" not in component.spec:
        return
    projects = (project for project in siblings.values() if project.kind == "Project")
    release_bucket = next(
        (project.spec["releases"].get("bucket") for project in projects if project.spec.get("releases")), None
    )
    if release_bucket is None:
        hint = "declare a Bucket `releases`, and in the Project: releases: {bucket: bucket.releases}"
        yield ("spa",), "a site is shipped by releases, and the Project names no bucket for them", hint
    elif release_bucket == component.handle:
        hint = "declare a Bucket of its own for the releases: what it keeps is private, a site is not"
        yield ("spa",), "this bucket keeps the releases, so it cannot hold a site", hint


def build_spec(component: Component, stack: Stack, site: Site) -> dict[str, Value]:
    """The desired site; only its digest is compared."""
    shipping = {
        "site": site,
        "store": stack.release_bucket,
        "by_etag": component.spec["encryption"] == "AES256",  # under KMS an ETag says nothing of the bytes
        "distributions": list(_list_distributions(component, stack)),
    }
    return {"site": site.digest, "shipping": WriteOnly(shipping)}


def list_dependencies(component: Component, stack: Stack) -> Iterator[str]:
    """The service first, then the page that uses it; and nothing before the release bucket can take the way back."""
    yield from (f"{resource_type}.{component.name}" for resource_type in ("s3_bucket", "s3_bucket_policy"))
    release_bucket = (stack.project.spec.get("releases") or {}).get("bucket", "")
    yield f"s3_bucket.{release_bucket.partition('.')[2]}"
    for other in stack.components.values():
        if other.kind == "ContainerService":
            yield str(answers(other))


def _list_distributions(component: Component, stack: Stack) -> Iterator[dict[str, Value]]:
    """Each CDN that serves from the bucket, and which keys: they are told what has changed."""
    patterns: dict[Value, list[str]] = {}
    for grant in stack.grants_for(component, "cdn-read"):
        patterns.setdefault(grant.data["distribution_id"], []).append(grant.data["pattern"])
    for distribution, served_patterns in patterns.items():
        yield {"id": distribution, "patterns": served_patterns}
