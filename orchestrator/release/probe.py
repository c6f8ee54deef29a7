"""Probe over HTTP whether a deployed release responds, and whether it is the right build.  Reads only.

A service's health response must name the build in its header; a CDN must serve the bytes of the shipped site.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from msgspec import Struct

from orchestrator import interruption
from orchestrator.artefacts import Artefacts, Site
from orchestrator.artefacts.sites.site_options import SiteOptions
from orchestrator.components import answers
from orchestrator.components.cdn.sites import ServedSite, list_sites
from orchestrator.interruption import InterruptibleClock
from orchestrator.planning.apply import POLL_INTERVAL_SECONDS
from orchestrator.vocabulary import Component, DesiredState, LiveResource

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY_BYTES = 1_000_000
"""How much of a response is searched for ``contains``."""
UNKNOWN_PATH = "orchestrator-probe"
"""Path below a site that no site has."""
MIN_RETRY_DELAY_SECONDS = 0.2
MAX_RETRY_DELAY_SECONDS = 5.0


class Probe(Struct, frozen=True):
    """A GET of ``https://host/path``, and the response expected within ``timeout_seconds``.

    ``header`` is a name and its value, ``sha256`` the hex digest of the whole body.
    """

    component_handle: str
    host: str
    path: str
    expected_statuses: tuple[int, ...] = (200,)
    header: tuple[str, str] | None = None
    contains: str | None = None
    sha256: str | None = None
    timeout_seconds: float = 120.0

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"


class ProbeResult(Struct, frozen=True):
    """The result of a probe.  ``failure`` describes the last response of a failed probe."""

    probe: Probe
    has_passed: bool
    failure: str = ""
    duration_seconds: float = 0.0


HttpGet = Callable[[Probe], tuple[int, Mapping[str, str], bytes]]


def build_probes(desired: DesiredState, live: Mapping[str, LiveResource], artefacts: Artefacts) -> tuple[Probe, ...]:
    """Return the probes of every component that serves HTTP."""
    components = {component.handle: component for component in desired.components}
    return tuple(
        probe for component in desired.components for probe in _component_probes(component, components, live, artefacts)
    )


def run_probes(probes: tuple[Probe, ...], get: HttpGet | None = None, clock: Any = None) -> tuple[ProbeResult, ...]:
    """Run all probes in parallel, retrying each until it passes or times out; Ctrl-C ends all of them."""
    if not probes:
        return ()
    interruptible_clock = InterruptibleClock()
    workers = min(len(probes), 16)
    with interruption.reading_pool(workers, "probe", interruptible_clock.stop_requested) as pool:
        futures = [pool.submit(_run_probe, probe, get or http_get, clock or interruptible_clock) for probe in probes]
        while wait(futures, POLL_INTERVAL_SECONDS).not_done:
            pass
        return tuple(future.result() for future in futures)


def http_get(probe: Probe) -> tuple[int, Mapping[str, str], bytes]:
    """Send one GET; to an AWS emulator on loopback, which serves the host names it has assigned.

    Raises httpx.HTTPError if there is no response.
    """
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    headers = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": "orchestrator-probe"}
    url = probe.url
    if endpoint.hostname in LOOPBACK_HOSTS:
        url = f"{endpoint.scheme}://{endpoint.netloc}{probe.path}"
        headers |= {"Host": probe.host, "X-Forwarded-Proto": "https"}
    with httpx.stream("GET", url, headers=headers, timeout=10.0, follow_redirects=False) as response:
        return response.status_code, response.headers, response.read()


def _component_probes(
    component: Component,
    components: Mapping[str, Component],
    live: Mapping[str, LiveResource],
    artefacts: Artefacts,
) -> Iterator[Probe]:
    if component.kind == "ContainerService":
        yield from _service_probes(component, live, artefacts)
    if component.kind == "Cdn":
        yield from _cdn_probes(component, components, live, artefacts)


def _service_probes(component: Component, live: Mapping[str, LiveResource], artefacts: Artefacts) -> Iterator[Probe]:
    live_service = live.get(answers(component) or "")
    if live_service is None or not component.spec.get("public", True):
        return
    host, health = str(live_service.outputs.get("host", "")), component.spec["health"]
    image = artefacts.images.get(component.handle)
    header = health.get("releaseHeader")
    expected_header = (str(header), image.tag) if header and image and image.tag else None
    if health["protocol"] == "HTTP":
        yield Probe(component.handle, host, str(health["path"]), header=expected_header)
    yield from _smoke_test_probes(component, host)


def _cdn_probes(
    component: Component,
    components: Mapping[str, Component],
    live: Mapping[str, LiveResource],
    artefacts: Artefacts,
) -> Iterator[Probe]:
    distribution = live.get(f"cloudfront_distribution.{component.name}")
    if distribution is None:
        return
    host = str(distribution.outputs["host"])
    for served_site in list_sites(component, components, artefacts):
        yield from _site_probes(component, host, served_site)
    yield from _smoke_test_probes(component, host)


def _site_probes(component: Component, host: str, served_site: ServedSite) -> Iterator[Probe]:
    """Yield a probe of the front page, and of what only the Cdn's function finds: a deep link, a clean URL, a 404."""
    site, options = served_site.files, served_site.options
    index = site.files.get(f"{options.prefix}{component.spec.get('index') or 'index.html'}") if site else None
    if site is None or index is None:
        return
    yield Probe(component.handle, host, f"/{options.prefix}", sha256=index.sha256)
    unknown_path = f"/{options.prefix}{UNKNOWN_PATH}"
    if options.routing == "spa":
        if options.prefix and served_site.rewrites:
            yield Probe(component.handle, host, unknown_path, sha256=index.sha256)
        return
    if page := next((key for key in sorted(site.files) if _has_clean_url(key, site, options)), None):
        path = page.removesuffix("index.html") if page.endswith("/index.html") else page.removesuffix(".html")
        yield Probe(component.handle, host, f"/{quote(path)}", sha256=site.files[page].sha256)
    not_found = site.files.get(f"{options.prefix}{options.not_found}")
    yield Probe(component.handle, host, unknown_path, (404,), sha256=not_found.sha256 if not_found else None)


def _has_clean_url(key: str, site: Site, options: SiteOptions) -> bool:
    return key.endswith(".html") and key not in {site.index_path, f"{options.prefix}{options.not_found}"}


def _smoke_test_probes(component: Component, host: str) -> Iterator[Probe]:
    for test in component.spec.get("smoke") or ():
        timeout_seconds, contains = float(test["withinSeconds"]), test.get("contains")
        yield Probe(
            component.handle, host, test["path"], (test["status"],), contains=contains, timeout_seconds=timeout_seconds
        )


def _run_probe(probe: Probe, get: HttpGet, clock: Any) -> ProbeResult:
    started_at = clock.monotonic()
    retry_delay = MIN_RETRY_DELAY_SECONDS
    while True:
        try:
            failure = _check_response(probe, *get(probe))
        except httpx.HTTPError as error:
            failure = f"no response ({type(error).__name__}: {error})"
        elapsed_seconds = clock.monotonic() - started_at
        if not failure or elapsed_seconds + retry_delay > probe.timeout_seconds:
            return ProbeResult(probe, not failure, failure, round(elapsed_seconds, 3))
        clock.sleep(retry_delay)
        retry_delay = min(retry_delay * 1.5, MAX_RETRY_DELAY_SECONDS)


def _check_response(probe: Probe, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return what is wrong with a response, or an empty string."""
    if status not in probe.expected_statuses:
        return f"status {status}, expected {' or '.join(map(str, probe.expected_statuses))}"
    if probe.header:
        name, value = probe.header
        if headers.get(name) != value:
            return f"header {name}: {headers.get(name, '(missing)')[:80]}, expected {value}"
    if probe.sha256 and (body_digest := hashlib.sha256(body).hexdigest()) != probe.sha256:
        return f"content differs from the deployed site (sha256 {body_digest[:12]}, expected {probe.sha256[:12]})"
    if probe.contains and probe.contains.encode() not in body[:MAX_BODY_BYTES]:
        return f"response does not contain {probe.contains[:60]!r}"
    return ""
