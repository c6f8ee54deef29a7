"""Asks what was deployed whether it answers, and whether it is the right thing that answers.  HTTP reads only.

Success is judged by effect: the header of the health answer names the build, the CDN's bytes are the site's bytes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from orchestrator.artefacts import Artefacts
from orchestrator.components import answers
from orchestrator.vocabulary import Component, Desired, Live

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ENOUGH = 1_000_000
"""Bytes of an answer that are looked at for ``contains``."""
PAUSE = 0.2
SLOWEST = 5.0


class Probe(Struct, frozen=True):
    """One question over HTTP: GET ``https://host/path``, and what has to come back ``within`` seconds.

    ``header`` is a name and its value, ``sha256`` is of the whole body, in hex.
    """

    subject: str
    host: str
    path: str
    status: tuple[int, ...] = (200,)
    header: tuple[str, str] | None = None
    contains: str | None = None
    sha256: str | None = None
    within: float = 120.0

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"


class Proof(Struct, frozen=True):
    """A probe and what came of it; ``saw`` is a sentence about the last answer when it was not the right one."""

    probe: Probe
    passed: bool
    saw: str = ""
    seconds: float = 0.0


Get = Callable[[Probe], tuple[int, Mapping[str, str], bytes]]


def probes(desired: Desired, live: Mapping[str, Live], artefacts: Artefacts) -> tuple[Probe, ...]:
    """What to ask, of everything among ``desired`` that answers HTTP."""
    return tuple(probe for one in desired.components for probe in _of(one, live, artefacts))


def prove(asked: tuple[Probe, ...], get: Get | None = None, clock: Any = time) -> tuple[Proof, ...]:
    """Ask all at once, each again until it is right or its time is up."""
    if not asked:
        return ()
    with ThreadPoolExecutor(min(len(asked), 16), thread_name_prefix="probe") as pool:
        return tuple(pool.map(lambda probe: _ask(probe, get or over_http, clock), asked))


def over_http(probe: Probe) -> tuple[int, Mapping[str, str], bytes]:
    """One GET.  An AWS on loopback answers for the hosts that it gave out: there we knock instead.

    Raises httpx.HTTPError.
    """
    override = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    headers = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": "orchestrator-probe"}
    url = probe.url
    if override.hostname in LOOPBACK:
        url = f"{override.scheme}://{override.netloc}{probe.path}"
        headers |= {"Host": probe.host, "X-Forwarded-Proto": "https"}
    with httpx.stream("GET", url, headers=headers, timeout=10.0, follow_redirects=False) as answer:
        return answer.status_code, answer.headers, answer.read()


def _of(component: Component, live: Mapping[str, Live], artefacts: Artefacts) -> Iterator[Probe]:
    if component.kind == "ContainerService":
        yield from _service(component, live, artefacts)
    if component.kind == "Cdn":
        yield from _cdn(component, live, artefacts)


def _service(component: Component, live: Mapping[str, Live], artefacts: Artefacts) -> Iterator[Probe]:
    found = live.get(answers(component) or "")
    if found is None or not component.spec.get("public", True):
        return
    host, health = str(found.outputs["host"]), component.spec["health"]
    image = artefacts.images.get(component.handle)
    header = health.get("releaseHeader")
    expected = (str(header), image.tag) if header and image and image.tag else None
    if health["protocol"] == "HTTP":
        yield Probe(component.handle, host, str(health["path"]), header=expected)
    yield from _smoke(component, host)


def _cdn(component: Component, live: Mapping[str, Live], artefacts: Artefacts) -> Iterator[Probe]:
    found = live.get(f"cloudfront_distribution.{component.name}")
    if found is None:
        return
    host = str(found.outputs["host"])
    site = artefacts.sites.get(str(component.spec["origin"]))
    index = site.files.get(str(component.spec.get("index") or "index.html")) if site else None
    if index is not None:
        yield Probe(component.handle, host, "/", sha256=index.sha256)
    yield from _smoke(component, host)


def _smoke(component: Component, host: str) -> Iterator[Probe]:
    for test in component.spec.get("smoke") or ():
        within, contains = float(test["withinSeconds"]), test.get("contains")
        yield Probe(component.handle, host, test["path"], (test["status"],), contains=contains, within=within)


def _ask(probe: Probe, get: Get, clock: Any) -> Proof:
    began = clock.monotonic()
    pause = PAUSE
    while True:
        try:
            saw = _wrong(probe, *get(probe))
        except httpx.HTTPError as error:
            saw = f"no answer ({type(error).__name__}: {error})"
        seconds = clock.monotonic() - began
        if not saw or seconds + pause > probe.within:
            return Proof(probe, not saw, saw, round(seconds, 3))
        clock.sleep(pause)
        pause = min(pause * 1.5, SLOWEST)


def _wrong(probe: Probe, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What is not as it should be, or nothing."""
    if status not in probe.status:
        return f"status {status} instead of {' or '.join(map(str, probe.status))}"
    if probe.header:
        name, value = probe.header
        if headers.get(name) != value:
            return f"{name}: {headers.get(name, 'is missing')[:80]} instead of {value}"
    if probe.sha256 and (seen := hashlib.sha256(body).hexdigest()) != probe.sha256:
        return f"other bytes than were shipped (sha256 {seen[:12]} instead of {probe.sha256[:12]})"
    if probe.contains and probe.contains.encode() not in body[:ENOUGH]:
        return f"an answer without {probe.contains[:60]!r}"
    return ""
