"""Find the sites that a Cdn serves: where each is, and what is known of its files.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.sites import site_options
from orchestrator.artefacts.sites.site_options import NATIVE_HEADERS, SiteOptions
from orchestrator.vocabulary import Component

Finding = tuple[tuple[str | int, ...], str, str | None]


class ServedSite(Struct, frozen=True):
    """A bucket's site behind a Cdn.  ``files`` is None if it is not built yet, or if no deploy ships it.

    ``rewrites`` is false if the Cdn serves only files and no deep links.
    """

    handle: str
    options: SiteOptions = field(default_factory=SiteOptions)
    files: Site | None = None
    is_shipped: bool = False
    rewrites: bool = True
    redirects: tuple[Mapping[str, Any], ...] = ()

    @property
    def prefix(self) -> str:
        return self.options.prefix

    @property
    def needs_response_function(self) -> bool | None:
        """Whether the CDN has to change what S3 answers; None if only the files could tell and are not known.

        A function is not added for the files alone: whether there is one must not depend on a build.
        """
        if self.options.needs_response_function or not (self.rewrites or self.redirects or self.prefix):
            return self.options.needs_response_function
        if self.files is None:
            return None
        return any(
            file.status != 200 or any(name.lower() not in NATIVE_HEADERS for name in file.headers)
            for file in self.files.files.values()
        )


def list_sites(
    component: Component, components: Mapping[str, Component], artefacts: Artefacts
) -> tuple[ServedSite, ...]:
    """Return the sites behind a Cdn, that of the default origin first; a bucket without `spa` has deep links too."""
    origin = str(component.spec["origin"])
    handles = dict.fromkeys([origin, *(str(path.get("origin") or origin) for path in component.spec["paths"])])
    return tuple(
        _describe_site(component, components[handle], artefacts)
        for handle in handles
        if handle in components and _is_site(handle, component, components[handle])
    )


def covers(pattern: str, site: ServedSite) -> bool:
    """Return whether a path pattern is for everything below the prefix of a site."""
    folder = pattern.removeprefix("/").removesuffix("*")
    return bool(site.prefix) and pattern.endswith("*") and site.prefix.startswith(folder)


def check_paths(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Yield the sites of which no page could be opened: CloudFront does not remove the path from the key.

    A bucket that is the default origin of a Cdn may lend its files to another one.
    """
    default_origins = {sibling.spec["origin"] for sibling in siblings.values() if sibling.kind == "Cdn"}
    spec, origin = component.spec, str(component.spec["origin"])
    if prefix := _prefix_of(siblings.get(origin)):
        message = f"the site of {origin} is served under /{prefix}, so / has no page"
        yield ("origin",), message, f"serve it under `paths`, with `pattern: /{prefix}*`"
    for index, path in enumerate(spec["paths"]):
        bucket, pattern = siblings.get(str(path.get("origin") or origin)), str(path["pattern"])
        folder = pattern.removesuffix("*").removeprefix("/")
        is_folder = pattern.endswith("/*") and folder and "*" not in folder and "?" not in folder
        if bucket is None or bucket.handle in default_origins or "spa" not in bucket.spec or not is_folder:
            continue
        prefix = _prefix_of(bucket)
        if not prefix.startswith(folder) and not (prefix and folder.startswith(prefix)):
            where = f"under /{prefix}" if prefix else "at the root of its bucket"
            message = f"the site of {bucket.handle} is {where}, so `{pattern}` matches none of its pages"
            yield ("paths", index, "pattern"), message, f"set `spa: {{prefix: {folder}}}` in {bucket.handle}"


def _prefix_of(bucket: Component | None) -> str:
    return site_options.from_spec((bucket.spec.get("spa") or {}) if bucket else {}).prefix


def _is_site(handle: str, component: Component, bucket: Component) -> bool:
    if bucket.kind != "Bucket":
        return False
    spa = bucket.spec.get("spa")
    if handle == component.spec["origin"]:
        return bool(spa or component.spec["deepLinks"])
    return bool(spa) and bool(_prefix_of(bucket))


def _describe_site(component: Component, bucket: Component, artefacts: Artefacts) -> ServedSite:
    spa = bucket.spec.get("spa") or {}
    options = site_options.from_spec(spa)
    return ServedSite(
        bucket.handle,
        options,
        artefacts.sites.get(bucket.handle),
        is_shipped=bool(spa),
        rewrites=bool(component.spec["deepLinks"]) or options.routing == "static",
        redirects=tuple(spa.get("redirects") or ()),
    )
