"""What an image is made of: from the layers of its archive to the document that lies beside it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.artefacts.images import image_archive, package_inventory, sbom
from orchestrator.artefacts.images.package_inventory import Package, PackageInventory
from orchestrator.artefacts.images.registry_client import Descriptor, ImageReference
from orchestrator.problems import Problems

IMAGE = ImageReference("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "shop/api", "3f2a91")
DIGEST = f"sha256:{'ab' * 32}"
LABELS = {
    "org.opencontainers.image.revision": "c0ffee",
    "org.opencontainers.image.base.name": "docker.io/library/debian:12",
    "org.opencontainers.image.base.digest": f"sha256:{'cd' * 32}",
}
DEBIAN = {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n'}
DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u7
Description: a library
 Version: of nothing

Package: gone
Status: deinstall ok config-files
Version: 1
"""
APK = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:busybox\nV:1.36.1-r29\n\n"
DEPS = {
    "libraries": {
        "Shop/1.0.0": {"type": "project"},
        "Npgsql/9.0.2": {"type": "package", "serviceable": True},
    }
}


def tar(files: Mapping[str, str | bytes], links: Mapping[str, str] = {}) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def seen(folder: Path, *packed: bytes) -> dict[str, str]:
    """Every file of an image that has these layers, the lowest first."""
    names = [f"{number}/layer.tar" for number in range(len(packed))]
    listed = json.dumps([{"Config": "x.json", "RepoTags": None, "Layers": names}])
    archive = folder / "image.tar"
    archive.write_bytes(tar({"manifest.json": listed, **dict(zip(names, packed, strict=True))}))
    return {path: content.decode() for path, content in image_archive.read_files(archive, lambda _: True).items()}


def test_the_layers_are_seen_as_a_container_sees_them(tmp_path: Path) -> None:
    """What lies above counts; what it takes away is gone, by itself, with its folder, or all that a folder held."""
    below = tar({"./a": "1", "b": "1", "app/x": "1", "app/sub/y": "1", "lib/one": "1", "library": "1"})
    above = tar(
        {"./a": "2", ".wh.b": "", "app/.wh.sub": "", "lib/.wh..wh..opq": "", "lib/two": "2"},
        {"lib/three": "lib/two", "lib/four": "b"},
    )

    assert seen(tmp_path, below, above) == {
        "a": "2",
        "app/x": "1",
        "lib/two": "2",
        "lib/three": "2",
        "library": "1",
    }


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no tar")
    with pytest.raises(Problems, match="its archive cannot be read"):
        image_archive.read_files(tmp_path / "image.tar", package_inventory.is_package_file)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {**DEBIAN, "var/lib/dpkg/status": DPKG},
            ["pkg:deb/debian/libc6@2.36-9%2Bdeb12u7?arch=amd64&distro=debian-12"],
        ),
        (
            {**DEBIAN, "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2024a\n"},
            ["pkg:deb/debian/tzdata@2024a?distro=debian-12"],
        ),
        (
            {"lib/apk/db/installed": APK},
            ["pkg:apk/alpine/busybox@1.36.1-r29", "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64"],
        ),
        ({"usr/lib/python3/Py_Yaml-6.dist-info/METADATA": "Name: Py_Yaml\nVersion: 6\n"}, ["pkg:pypi/py-yaml@6"]),
        (
            {
                "app/node_modules/@aws/sdk/package.json": '{"name": "@aws/sdk", "version": "3.1.0"}',
                "app/node_modules/left/package.json": "no JSON",
                "app/package.json": '{"name": "shop", "version": "1.0.0"}',
            },
            ["pkg:npm/%40aws/sdk@3.1.0"],
        ),
        ({"app/Shop.deps.json": json.dumps(DEPS)}, ["pkg:nuget/Npgsql@9.0.2"]),
    ],
    ids=["dpkg", "distroless", "apk", "python", "npm", "dotnet"],
)
def test_packages_are_those_of_the_databases(files: dict[str, str], found: list[str]) -> None:
    """By the URL under which scanners know them; the application itself is none."""
    told = {path: text.encode() for path, text in files.items() if package_inventory.is_package_file(path)}

    assert [one.purl for one in package_inventory.parse_packages(told).packages] == found


def test_a_database_that_cannot_be_read_is_named() -> None:
    found = package_inventory.parse_packages({"var/lib/rpm/rpmdb.sqlite": b"SQLite format 3"})
    bom = json.loads(sbom.build_document(found, IMAGE, DIGEST, {}))

    named = {"name": "orchestrator:database-not-read", "value": "var/lib/rpm/rpmdb.sqlite"}
    assert bom["metadata"]["component"]["properties"] == [named]


def test_the_document_tells_of_one_image_and_is_the_same_each_time() -> None:
    """Its digest, commit and base; and that a list from databases alone is not complete."""
    found = PackageInventory((Package("pkg:pypi/shop@1", "shop", "1"),))
    bom = sbom.build_document(found, IMAGE, DIGEST, LABELS)
    told = json.loads(bom)
    image = told["metadata"]["component"]

    assert sbom.build_document(found, IMAGE, DIGEST, dict(reversed(LABELS.items()))) == bom
    assert (told["bomFormat"], told["specVersion"], "timestamp" in told["metadata"]) == ("CycloneDX", "1.6", False)
    assert (image["name"], image["version"]) == ("shop/api", DIGEST)
    assert {"name": "org.opencontainers.image.revision", "value": "c0ffee"} in image["properties"]
    assert image["pedigree"]["ancestors"] == [
        {"type": "container", "name": "docker.io/library/debian:12", "version": f"sha256:{'cd' * 32}"}
    ]
    assert [one["purl"] for one in told["components"]] == ["pkg:pypi/shop@1"]
    assert told["compositions"] == [{"aggregate": "incomplete", "assemblies": ["image"]}]


def test_a_registry_is_told_which_image_it_is_about() -> None:
    manifest = json.loads(sbom.build_referrer(b"bom", Descriptor(DIGEST, "application/x", 7)))

    assert manifest["subject"] == {"mediaType": "application/x", "digest": DIGEST, "size": 7}
    assert (manifest["artifactType"], manifest["layers"][0]["size"]) == ("application/vnd.cyclonedx+json", 3)
