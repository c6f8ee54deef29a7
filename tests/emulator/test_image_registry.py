"""The registry of the moto backend, spoken to as a container engine does: by the OCI distribution specification."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.emulator import Emulator
from tests.emulator.account import Client, make_client

pytestmark = pytest.mark.xdist_group("emulator-moto")
KIND = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def ecr(moto: Emulator) -> Iterator[Client]:
    client = make_client(moto, "ecr")
    client.create_repository(repositoryName="shop/api", imageTagMutability="IMMUTABLE")
    yield client
    client.close()


@pytest.fixture
def engine(moto: Emulator, ecr: Client) -> Iterator[httpx.Client]:
    [data] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    with httpx.Client(base_url=data["proxyEndpoint"], auth=(user, password)) as client:
        yield client


def upload(engine: httpx.Client, *parts: bytes) -> str:
    """A blob in several parts; its digest."""
    place = engine.post("/v2/shop/api/blobs/uploads/").headers["Location"]
    for part in parts:
        assert engine.patch(place, content=part).status_code == 202
    name = digest(b"".join(parts))
    assert engine.put(place, params={"digest": name}).status_code == 201
    return name


def manifest(engine: httpx.Client, text: bytes = b"layer") -> bytes:
    config, layer = upload(engine, b"{}"), upload(engine, text)
    parts = {"config": {"digest": config, "size": 2}, "layers": [{"digest": layer, "size": len(text)}]}
    return json.dumps({"schemaVersion": 2, "mediaType": KIND, **parts}).encode()


def push(engine: httpx.Client, reference: str, content: bytes) -> httpx.Response:
    return engine.put(f"/v2/shop/api/manifests/{reference}", content=content, headers={"Content-Type": KIND})


def test_an_image_is_the_one_that_was_pushed(engine: httpx.Client, ecr: Client) -> None:
    """By tag and by digest, in the registry and in ECR's own API: the same bytes and the same digest."""
    content = manifest(engine)
    pushed = push(engine, "v1", content)
    pulled = [engine.get(f"/v2/shop/api/manifests/{name}") for name in ("v1", digest(content))]
    [described] = ecr.describe_images(repositoryName="shop/api")["imageDetails"]
    [got] = ecr.batch_get_image(repositoryName="shop/api", imageIds=[{"imageTag": "v1"}])["images"]

    assert (pushed.status_code, pushed.headers["Docker-Content-Digest"]) == (201, digest(content))
    assert {answer.content for answer in pulled} == {content}
    assert {answer.headers["Content-Type"] for answer in pulled} == {KIND}
    assert (described["imageDigest"], got["imageManifest"]) == (digest(content), content.decode())
    assert engine.get("/v2/shop/api/tags/list").json() == {"name": "shop/api", "tags": ["v1"]}


def test_what_refers_to_an_image_is_found_from_there(engine: httpx.Client, ecr: Client) -> None:
    """Such as an SBOM: pushed by its digest alone, listed by the registry and by ECR, until it is gone."""
    image, kind = manifest(engine), "application/vnd.cyclonedx+json"
    push(engine, "v1", image)
    subject = {"subject": {"mediaType": KIND, "digest": digest(image), "size": len(image)}}
    told = json.dumps({**json.loads(manifest(engine, b"sbom")), "artifactType": kind, **subject}).encode()
    pushed = push(engine, digest(told), told)
    [listed] = engine.get(f"/v2/shop/api/referrers/{digest(image)}").json()["manifests"]
    asked = {"repositoryName": "shop/api", "subjectId": {"imageDigest": digest(image)}}
    details = ecr.describe_images(repositoryName="shop/api", imageIds=[{"imageDigest": digest(told)}])["imageDetails"]

    assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, digest(image))
    assert (listed["digest"], listed["artifactType"], listed["size"]) == (digest(told), kind, len(told))
    assert [one["digest"] for one in ecr.list_image_referrers(**asked)["referrers"]] == [digest(told)]
    assert (details[0]["subjectManifestDigest"], details[0]["artifactMediaType"]) == (digest(image), kind)
    assert engine.get(f"/v2/shop/api/referrers/{digest(told)}").json()["manifests"] == []
    ecr.batch_delete_image(repositoryName="shop/api", imageIds=[{"imageDigest": digest(told)}])
    assert ecr.list_image_referrers(**asked)["referrers"] == []


def test_a_blob_comes_in_parts_and_goes_whole(engine: httpx.Client) -> None:
    name = upload(engine, b"one ", b"two")

    assert engine.get(f"/v2/shop/api/blobs/{name}").content == b"one two"
    told = engine.head(f"/v2/shop/api/blobs/{name}")
    assert (told.status_code, told.headers["Content-Length"], told.content) == (200, "7", b"")


def test_a_blob_of_another_repository_is_not_uploaded_again(engine: httpx.Client, ecr: Client) -> None:
    ecr.create_repository(repositoryName="web")
    name = upload(engine, b"shared")
    there = {"mount": name, "from": "shop/api"}

    assert engine.get(f"/v2/web/blobs/{name}").status_code == 404
    assert engine.post("/v2/web/blobs/uploads/", params=there).status_code == 201
    assert engine.get(f"/v2/web/blobs/{name}").content == b"shared"
    assert engine.post("/v2/web/blobs/uploads/", params={**there, "mount": digest(b"none")}).status_code == 202


def test_a_tag_does_not_move(engine: httpx.Client, ecr: Client) -> None:
    """The same image once more is well, another one under the tag is refused and changes nothing."""
    content = manifest(engine)
    push(engine, "v1", content)
    again, other = push(engine, "v1", content), push(engine, "v1", manifest(engine, b"other"))

    assert (again.status_code, other.status_code) == (201, 400)
    assert other.json()["errors"][0]["code"] == "TAG_INVALID"
    assert [each["imageDigest"] for each in ecr.describe_images(repositoryName="shop/api")["imageDetails"]] == [
        digest(content)
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/none/manifests/v1", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/none/blobs/uploads/", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/shop/api/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/shop/api/blobs/{digest(b'')}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/shop/api/blobs/..%2f..%2fetc", 404, "BLOB_UNKNOWN"),
        ("PATCH", "/v2/shop/api/blobs/uploads/none", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", f"/v2/shop/api/blobs/uploads/?digest={digest(b'other')}", 400, "DIGEST_INVALID"),
        ("PUT", "/v2/shop/api/manifests/v1", 400, "MANIFEST_INVALID"),
        ("DELETE", "/v2/shop/api/manifests/v1", 405, "UNSUPPORTED"),
    ],
)
def test_a_refusal_is_one_of_the_specification(
    engine: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = engine.request(method, path, content=b"nonsense" if method in ("PUT", "POST") else None)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


def test_an_image_without_its_layers_is_refused(engine: httpx.Client) -> None:
    layer = {"digest": digest(b"never uploaded"), "size": 1}
    content = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": layer, "layers": [layer]}).encode()

    assert push(engine, "v1", content).json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


@pytest.mark.parametrize("login", [None, ("AWS", "guessed"), ("AWS", "guessed@eu-west-1"), ("me", "x@eu-west-1")])
def test_who_has_no_token_is_asked_for_one(moto: Emulator, login: tuple[str, str] | None) -> None:
    answer = httpx.get(f"{moto.url}/v2/", auth=login)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_nothing_is_left_on_disk(moto: Emulator, engine: httpx.Client) -> None:
    """Images lie in a folder of the emulator's, and go with them."""
    upload(engine, b"x")
    before = set(Path(tempfile.gettempdir()).glob("orchestrator-registry-*"))
    moto.reset()

    assert len(before - set(Path(tempfile.gettempdir()).glob("orchestrator-registry-*"))) == 1
