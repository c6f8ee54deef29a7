"""List the packages of an image from its own package databases. Pure.

Reads Debian's dpkg, Alpine's apk, Python distributions, npm modules and .NET's ``*.deps.json``. Statically compiled or
manually copied software is in no database, so the list is never complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

OS_RELEASE_PATHS = ("etc/os-release", "usr/lib/os-release")
DPKG_PATH = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+(?<!\.md5sums))\Z")
APK_PATH = re.compile(r"(?:usr/)?lib/apk/db/installed\Z")
RPM_PATH = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm|usr/share/rpm)/(?:rpmdb\.sqlite|Packages(?:\.db)?)\Z")
PYTHON_PATH = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)\Z")
NPM_PATH = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+/package\.json\Z")
DOTNET_PATH = re.compile(r".*\.deps\.json\Z")


class Package(Struct, frozen=True, order=True):
    """One package. ``purl`` is its package URL, which scanners use to identify it."""

    purl: str
    name: str
    version: str


class PackageInventory(Struct, frozen=True):
    """The packages, unique and sorted, and the paths of databases that cannot be read here."""

    packages: tuple[Package, ...] = ()
    unread_databases: tuple[str, ...] = field(default=())


def is_package_file(path: str) -> bool:
    """Return whether a file of an image describes packages."""
    return path in OS_RELEASE_PATHS or any(
        pattern.match(path) for pattern in (DPKG_PATH, APK_PATH, RPM_PATH, PYTHON_PATH, NPM_PATH, DOTNET_PATH)
    )


def parse_packages(files: Mapping[str, bytes]) -> PackageInventory:
    """Return the packages described in ``files`` (by path); files with unexpected content are skipped."""
    os_release = _parse_os_release(next((files[name] for name in OS_RELEASE_PATHS if name in files), b""))
    packages: set[Package] = set()
    for path, content in files.items():
        text = content.decode("utf-8", "replace")
        if DPKG_PATH.match(path):
            packages.update(_parse_dpkg(text, os_release))
        elif APK_PATH.match(path):
            packages.update(_parse_apk(text, os_release))
        elif PYTHON_PATH.match(path):
            packages.update(_parse_python(text))
        elif NPM_PATH.match(path):
            packages.update(_parse_npm(text))
        elif DOTNET_PATH.match(path):
            packages.update(_parse_dotnet(text))
    return PackageInventory(tuple(sorted(packages)), tuple(sorted(path for path in files if RPM_PATH.match(path))))


def _parse_os_release(content: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in content.decode("utf-8", "replace").splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in lines}


def _parse_dpkg(text: str, os_release: Mapping[str, str]) -> Iterator[Package]:
    for block in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.+)$", block, re.MULTILINE))
        if "Package" in fields and "Version" in fields and "installed" in fields.get("Status", "installed").split():
            yield _build_system_package(
                "deb", "debian", fields["Package"], fields["Version"], fields.get("Architecture"), os_release
            )


def _parse_apk(text: str, os_release: Mapping[str, str]) -> Iterator[Package]:
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([PVA]):(.+)$", block, re.MULTILINE))
        if "P" in fields and "V" in fields:
            yield _build_system_package("apk", "alpine", fields["P"], fields["V"], fields.get("A"), os_release)


def _build_system_package(
    kind: str,
    default_distribution: str,
    name: str,
    version: str,
    architecture: str | None,
    os_release: Mapping[str, str],
) -> Package:
    distribution = os_release.get("ID", default_distribution)
    versioned_distribution = f"{distribution}-{os_release['VERSION_ID']}" if "VERSION_ID" in os_release else ""
    qualifiers = {"arch": architecture or "", "distro": versioned_distribution}
    query = "&".join(f"{key}={_quote(value)}" for key, value in qualifiers.items() if value)
    return _build_package(f"{kind}/{_quote(distribution)}", name, version, f"?{query}" if query else "")


def _parse_python(text: str) -> Iterator[Package]:
    headers = HeaderParser().parsestr(text)
    if headers["Name"] and headers["Version"]:
        normalised_name = re.sub(r"[-_.]+", "-", headers["Name"]).lower()
        yield _build_package("pypi", normalised_name, headers["Version"])


def _parse_npm(text: str) -> Iterator[Package]:
    document = _parse_object(text)
    name, version = document.get("name"), document.get("version")
    if isinstance(name, str) and isinstance(version, str):
        yield _build_package("npm", name, version)


def _parse_dotnet(text: str) -> Iterator[Package]:
    libraries = _parse_object(text).get("libraries")
    for name, library in libraries.items() if isinstance(libraries, dict) else ():
        package, _, version = str(name).partition("/")
        if version and isinstance(library, dict) and library.get("type") == "package":
            yield _build_package("nuget", package, version)


def _parse_object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _build_package(kind: str, name: str, version: str, query: str = "") -> Package:
    parts: Iterable[str] = map(_quote, name.split("/"))
    return Package(f"pkg:{kind}/{'/'.join(parts)}@{_quote(version)}{query}", name, version)


def _quote(text: str) -> str:
    return quote(text, safe=":")
