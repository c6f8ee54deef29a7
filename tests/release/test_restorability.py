"""Whether a release can come back: asked now, for each part, with a sentence for each thing that is gone."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.aws import Reader
from orchestrator.aws.errors import AwsError
from orchestrator.planning import pipeline
from orchestrator.release import ImageReference, Ledger, Release, Vector, manifest_documents
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.restorability import find_missing
from tests.release.manifests import PROJECT, SECRET, WEB

MORE = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, prefixes: [ml-models]}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec: {image: {repository: shop-api, build: {context: .}}}
"""
MANIFESTS = PROJECT + WEB + SECRET + MORE
DIGEST = "sha256:" + "d" * 64


class Cloud:
    """An AWS in memory that holds one release; what is taken out is gone."""

    def __init__(self, site: Site) -> None:
        page, index = site.files["index.html"].sha256, canonical_json.dump(replace(site, folder=None))
        self.objects: dict[str, bytes] = {
            **{f"shop-web/{path}": Path(str(site.folder), path).read_bytes() for path in site.files},
            f"shop-releases/bodies/{page}": b"",
            f"shop-releases/sites/shop-web/{site.digest}.json": index,
            "shop-files/ml-models/m1/model.onnx": b"weights",
            "shop-releases/models/shop-files/m1.json": b"{}",
        }
        self.images = {DIGEST}
        self.versions = {"v1-of-secret"}
        self.asked: list[str] = []
        self.refuses = ""

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if operation == "list_objects_v2":
            return self.pages(service, operation, parameters, region)[0]
        self._ask(service, operation)
        if operation == "batch_get_image":
            return {"images": [one for one in parameters["imageIds"] if one["imageDigest"] in self.images]}
        key = f"{parameters['Bucket']}/{parameters['Key']}"
        if key not in self.objects:
            raise AwsError(service, operation, "404" if operation == "head_object" else "NoSuchKey", "gone")
        return {"Body": io.BytesIO(self.objects[key]), "ETag": "x"}

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        self._ask(service, operation)
        if operation == "list_secret_version_ids":
            return [{"Versions": [{"VersionId": version} for version in self.versions]}]
        prefix, size = f"{parameters['Bucket']}/", len(parameters["Bucket"]) + 1
        wanted = prefix + parameters.get("Prefix", "")
        contents = [
            {"Key": key[size:], "Size": len(body), "ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}
            for key, body in self.objects.items()
            if key.startswith(wanted)
        ]
        return [{"Contents": contents}]

    def _ask(self, service: str, operation: str) -> None:
        self.asked.append(operation)
        if operation == self.refuses:
            raise AwsError(service, operation, "AccessDenied", "not you")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for path, text in {
        "shop.yaml": MANIFESTS,
        "Dockerfile": "FROM scratch\n",
        "dist/index.html": "<p>",
        "dist/assets/app-1a2b3c4d.js": "1",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return scan(tmp_path / "dist")


@pytest.fixture
def ledger(tmp_path: Path, site: Site) -> Ledger:
    """One release of all parts."""
    written = manifest_documents.from_manifest(pipeline.validate(tmp_path, "prod"))
    vector = Vector(
        manifest_documents.manifests_digest(written.values()),
        {"containerservice.api": ImageReference("tag1", DIGEST)},
        {"bucket.web": site.digest},
        {"secret.app": "v1-of-secret"},
        {"bucket.files": "m1"},
    )
    return manifest_documents.add_documents(Ledger((Release(1, "", "ana", "", vector, "healthy"),)), written)


def said(ledger: Ledger, cloud: Cloud) -> tuple[str, ...]:
    return find_missing(ledger, ledger.releases[0], LedgerStore(cloud, "shop-releases", "prod"), Reader(cloud))


def test_what_is_whole_can_come_back(ledger: Ledger, site: Site) -> None:
    """And to know it takes one question a part, whatever their size."""
    cloud = Cloud(site)

    assert said(ledger, cloud) == ()
    assert sorted(cloud.asked) == [
        "batch_get_image", "get_object", "head_object", *["list_objects_v2"] * 3, "list_secret_version_ids",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [
        ("image", "image sha256:dddddddddddd is missing from repository shop-api"),
        (
            "shop-web/assets/app-1a2b3c4d.js",
            "s3://shop-web lacks 1 of the site's files, such as assets/app-1a2b3c4d.js",
        ),
        ("shop-releases/bodies/", "s3://shop-releases lacks 1 of the site's pages, such as index.html"),
        ("shop-releases/sites/", "cannot restore site SITE: its index is missing from s3://shop-releases"),
        ("version", "version v1-of-se of secret shop-app is missing"),
        ("shop-files/ml-models/m1/", "model m1 is missing from s3://shop-files/ml-models/m1/"),
        (
            "shop-releases/models/",
            "the pointer to model m1 is missing from s3://shop-releases/models/shop-files/m1.json",
        ),
    ],
)
def test_what_is_gone_is_told(ledger: Ledger, site: Site, gone: str, sentence: str) -> None:
    """Each by its own sentence, and nothing else."""
    cloud = Cloud(site)
    cloud.images -= {DIGEST} if gone == "image" else set()
    cloud.versions -= {"v1-of-secret"} if gone == "version" else set()
    cloud.objects = {key: body for key, body in cloud.objects.items() if not key.startswith(gone)}

    assert said(ledger, cloud) == (sentence.replace("SITE", site.digest[:12]),)


def test_an_asset_with_other_bytes_is_gone_unless_it_was_archived(ledger: Ledger, site: Site) -> None:
    """A file that only looks as if its name had a hash is edited in place: what counts is its bytes, not its key."""
    cloud = Cloud(site)
    cloud.objects["shop-web/assets/app-1a2b3c4d.js"] = b"2"

    assert said(ledger, cloud) == ("s3://shop-web lacks 1 of the site's files, such as assets/app-1a2b3c4d.js",)
    cloud.objects[f"shop-releases/bodies/{site.files['assets/app-1a2b3c4d.js'].sha256}"] = b"1"
    assert said(ledger, cloud) == ()


def test_everything_that_is_gone_is_told_at_once(ledger: Ledger, site: Site) -> None:
    cloud = Cloud(site)
    cloud.images, cloud.versions = set(), set()

    assert len(said(ledger, cloud)) == 2


@pytest.mark.parametrize("result", ["failed", "started"])
def test_what_never_worked_does_not_come_back(ledger: Ledger, site: Site, result: Any) -> None:
    """Nobody is asked."""
    cloud = Cloud(site)
    failed = replace(ledger, releases=(replace(ledger.releases[0], result=result),))

    assert (said(failed, cloud), cloud.asked) == (("it failed or did not finish",), [])


def test_what_may_not_be_looked_at_is_not_said_to_be_gone(ledger: Ledger, site: Site) -> None:
    cloud = Cloud(site)
    cloud.refuses = "list_secret_version_ids"

    (sentence,) = said(ledger, cloud)
    assert sentence.startswith("it cannot be checked: secretsmanager:ListSecretVersionIds: AccessDenied")
