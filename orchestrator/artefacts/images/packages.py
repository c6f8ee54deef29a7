"""The packages that an image holds, as its own package databases say.  Pure.

Read are Debian's dpkg, Alpine's apk, Python's distributions, npm's modules and .NET's ``*.deps.json``.  What was
compiled into a program or copied in by hand stands in no database, so a list of these is never complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

RELEASE = ("etc/os-release", "usr/lib/os-release")
DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+(?<!\.md5sums))\Z")
APK = re.compile(r"(?:usr/)?lib/apk/db/installed\Z")
RPM = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm|usr/share/rpm)/(?:rpmdb\.sqlite|Packages(?:\.db)?)\Z")
PYTHON = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)\Z")
NPM = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+/package\.json\Z")
DOTNET = re.compile(r".*\.deps\.json\Z")


class Package(Struct, frozen=True, order=True):
    """One package; ``purl`` is its package URL, by which scanners know it."""

    purl: str
    name: str
    version: str


class Found(Struct, frozen=True):
    """The packages, each once and in order, and the paths of databases that were seen and cannot be read here."""

    packages: tuple[Package, ...] = ()
    unread: tuple[str, ...] = field(default=())


def tells(path: str) -> bool:
    """Whether a file of an image says something about packages."""
    return path in RELEASE or any(kind.match(path) for kind in (DPKG, APK, RPM, PYTHON, NPM, DOTNET))


def of(files: Mapping[str, bytes]) -> Found:
    """What ``files`` (by path) say; a file that is not what its name promises says nothing."""
    system = _settings(next((files[name] for name in RELEASE if name in files), b""))
    packages: set[Package] = set()
    for path, content in files.items():
        text = content.decode("utf-8", "replace")
        if DPKG.match(path):
            packages.update(_dpkg(text, system))
        elif APK.match(path):
            packages.update(_apk(text, system))
        elif PYTHON.match(path):
            packages.update(_python(text))
        elif NPM.match(path):
            packages.update(_npm(text))
        elif DOTNET.match(path):
            packages.update(_dotnet(text))
    return Found(tuple(sorted(packages)), tuple(sorted(path for path in files if RPM.match(path))))


def _settings(content: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in content.decode("utf-8", "replace").splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in lines}


def _dpkg(text: str, system: Mapping[str, str]) -> Iterator[Package]:
    for block in re.split(r"\n\s*\n", text):
        said = dict(re.findall(r"^(Package|Version|Architecture|Status): (.+)$", block, re.MULTILINE))
        if "Package" in said and "Version" in said and "installed" in said.get("Status", "installed").split():
            yield _of_system("deb", "debian", said["Package"], said["Version"], said.get("Architecture"), system)


def _apk(text: str, system: Mapping[str, str]) -> Iterator[Package]:
    for block in text.split("\n\n"):
        said = dict(re.findall(r"^([PVA]):(.+)$", block, re.MULTILINE))
        if "P" in said and "V" in said:
            yield _of_system("apk", "alpine", said["P"], said["V"], said.get("A"), system)


def _of_system(
    kind: str, usual: str, name: str, version: str, architecture: str | None, system: Mapping[str, str]
) -> Package:
    distribution = system.get("ID", usual)
    numbered = f"{distribution}-{system['VERSION_ID']}" if "VERSION_ID" in system else ""
    more = {"arch": architecture or "", "distro": numbered}
    asked = "&".join(f"{key}={_quoted(value)}" for key, value in more.items() if value)
    return _package(f"{kind}/{_quoted(distribution)}", name, version, f"?{asked}" if asked else "")


def _python(text: str) -> Iterator[Package]:
    said = HeaderParser().parsestr(text)
    if said["Name"] and said["Version"]:
        known = re.sub(r"[-_.]+", "-", said["Name"]).lower()
        yield _package("pypi", known, said["Version"])


def _npm(text: str) -> Iterator[Package]:
    said = _json(text)
    name, version = said.get("name"), said.get("version")
    if isinstance(name, str) and isinstance(version, str):
        yield _package("npm", name, version)


def _dotnet(text: str) -> Iterator[Package]:
    libraries = _json(text).get("libraries")
    for name, about in libraries.items() if isinstance(libraries, dict) else ():
        package, _, version = str(name).partition("/")
        if version and isinstance(about, dict) and about.get("type") == "package":
            yield _package("nuget", package, version)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _package(kind: str, name: str, version: str, more: str = "") -> Package:
    parts: Iterable[str] = map(_quoted, name.split("/"))
    return Package(f"pkg:{kind}/{'/'.join(parts)}@{_quoted(version)}{more}", name, version)


def _quoted(text: str) -> str:
    return quote(text, safe=":")
