"""Build the spec and the dependencies of a bucket's static site.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.artefacts import Site
from orchestrator.components import Stack, answers
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Component

Finding = tuple[tuple[str | int, ...], str, str | None]


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Yield a problem if the project has no separate release bucket, which a rollback of the site needs."""
    if "spa" not in component.spec:
        return
    projects = (project for project in siblings.values() if project.kind == "Project")
    release_bucket = next(
        (project.spec["releases"].get("bucket") for project in projects if project.spec.get("releases")), None
    )
    if release_bucket is None:
        hint = "declare a Bucket `releases`, and set `releases: {bucket: bucket.releases}` in the Project"
        yield ("spa",), "deploying a site requires a release bucket, but the Project does not set one", hint
    elif release_bucket == component.handle:
        hint = "declare a separate Bucket for the releases: releases are private, a site is public"
        yield ("spa",), "this bucket stores the releases, so it cannot contain a site", hint


def build_spec(component: Component, stack: Stack, site: Site) -> dict[str, Value]:
    """Return the desired site; only its digest is compared."""
    shipping = {
        "site": site,
        "store": stack.release_bucket,
        "by_etag": component.spec["encryption"] == "AES256",  # With KMS, an ETag is no hash of the content.
        "distributions": list(_list_distributions(component, stack)),
        "origin": stack.artefacts.site_origins.get(component.handle),
    }
    return {"site": site.digest, "shipping": WriteOnly(shipping)}


def list_dependencies(component: Component, stack: Stack) -> Iterator[str]:
    """Yield what must exist before the site is deployed.

    These are its bucket, the services that its pages use, and the release bucket, which a rollback needs.
    """
    yield from (f"{resource_type}.{component.name}" for resource_type in ("s3_bucket", "s3_bucket_policy"))
    release_bucket = (stack.project.spec.get("releases") or {}).get("bucket", "")
    yield f"s3_bucket.{release_bucket.partition('.')[2]}"
    for other in stack.components.values():
        if other.kind == "ContainerService":
            yield str(answers(other))


def _list_distributions(component: Component, stack: Stack) -> Iterator[dict[str, Value]]:
    """Yield each CDN that serves from the bucket, with its key patterns, to invalidate what changes."""
    patterns: dict[Value, list[str]] = {}
    for grant in stack.grants_for(component, "cdn-read"):
        patterns.setdefault(grant.data["distribution_id"], []).append(grant.data["pattern"])
    for distribution, served_patterns in patterns.items():
        yield {"id": distribution, "patterns": served_patterns}
