"""The registry API of the OCI distribution specification, as ECR speaks it, on top of the emulated ECR.

Layers lie here; a manifest is an image of ECR from the moment it is pushed, so what DescribeImages tells and what a
pull gets are the same by construction.  Refusals (immutable tags, unknown repositories) are ECR's own.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.client_protocol import outgoing
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.image_registry.blob_store import DIGEST, Blobs
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import Context, World

_NAME = r"(?P<name>[a-z0-9][a-z0-9._/-]*)"
_OCTETS = ("Content-Type", "application/octet-stream")
_INDEX = "application/vnd.oci.image.index.v1+json"
_SCHEMA = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request on a repository of a region; ``reference`` is a digest, a tag or an upload."""

    request: Request
    region: str
    name: str
    reference: str = ""

    @property
    def place(self) -> str:
        return f"{self.region}/{self.name}"


class Refusal(Exception):  # noqa: N818 - what a registry does, not what went wrong in it
    """An error answer of the specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = _json(status, {"errors": [{"code": code, "message": message}]})


class Registry:
    """One account's registry."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._blobs = Blobs()

    def forget(self) -> None:
        """Empty it."""
        self._blobs.forget()

    def handle(self, request: Request) -> Response:
        """Answer a container engine."""
        region = self._region(request)
        if region is None:
            realm = ("WWW-Authenticate", f'Basic realm="http://{request.header("host")}/",service="ecr.amazonaws.com"')
            return _json(401, {"errors": [{"code": "UNAUTHORIZED", "message": "Not Authorized"}]}, realm)
        if request.path.rstrip("/") == "/v2":
            return _json(200, {})
        try:
            for pattern, methods in _ROUTES:
                if found := re.fullmatch(pattern, request.path):
                    method = methods.get(request.method)
                    if method is None:
                        raise Refusal(405, "UNSUPPORTED", f"{request.method} is not supported here")
                    parts = found.groupdict()
                    self._demand(parts["name"], region)
                    return method(self, _Asked(request, region, parts["name"], parts.get("reference", "")))
        except Refusal as refusal:
            return refusal.response
        except AwsError as error:
            return Refusal(400, error.code, error.message).response
        return _json(404, {"errors": [{"code": "NAME_INVALID", "message": "no such page"}]})

    def start(self, asked: _Asked) -> Response:
        """A new upload; at once a blob where the request brings all of it, or names one of another repository."""
        query = asked.request.query
        if "mount" in query and self._blobs.mount(
            f"{asked.region}/{query.get('from', '')}", asked.place, query["mount"]
        ):
            return self._made(asked, "blobs", query["mount"])
        upload = self._blobs.begin()
        if "digest" in query:
            self._blobs.append(upload, asked.request.body)
            return self._finish(asked, upload, query["digest"])
        return self._accepted(asked, upload, 0)

    def append(self, asked: _Asked) -> Response:
        """The next bytes of an upload."""
        size = self._blobs.append(asked.reference, asked.request.body)
        if size is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "The specified upload does not exist")
        return self._accepted(asked, asked.reference, size)

    def finish(self, asked: _Asked) -> Response:
        """The last bytes, and the digest that all of them have."""
        self.append(asked)
        return self._finish(asked, asked.reference, asked.request.query.get("digest", ""))

    def cancel(self, asked: _Asked) -> Response:
        """Give an upload up."""
        if not self._blobs.cancel(asked.reference):
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "The specified upload does not exist")
        return Response(204)

    def blob(self, asked: _Asked) -> Response:
        """A layer or a configuration."""
        found = self._blobs.find(asked.place, asked.reference)
        if found is None:
            raise Refusal(404, "BLOB_UNKNOWN", f"The layer with digest {asked.reference} does not exist")
        told = (_OCTETS, ("Docker-Content-Digest", asked.reference))
        if asked.request.method == "HEAD":
            return Response(200, told, length=found.stat().st_size)
        return Response(200, told, found.read_bytes())

    def manifest(self, asked: _Asked) -> Response:
        """By tag or digest, byte by byte as it was pushed."""
        key = "imageDigest" if DIGEST.fullmatch(asked.reference) else "imageTag"
        wanted = {"repositoryName": asked.name, "imageIds": [{key: asked.reference}]}
        images = self._world.call("ecr", "BatchGetImage", asked.region, **wanted)["images"]
        if not images:
            raise Refusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
        [image] = images[:1]
        text = image["imageManifest"].encode()
        kind = image.get("imageManifestMediaType") or json.loads(text).get("mediaType", _SCHEMA)
        told = (("Content-Type", kind), ("Docker-Content-Digest", image["imageId"]["imageDigest"]))
        return Response(200, told, b"" if asked.request.method == "HEAD" else text, len(text))

    def put(self, asked: _Asked) -> Response:
        """PutImage: every layer has to be there, and a tag that may not move stays."""
        digest = self._put({"repositoryName": asked.name, **self._image(asked)}, asked)
        subject = json.loads(asked.request.body).get("subject")
        return self._made(asked, "manifests", digest, *([("OCI-Subject", subject["digest"])] if subject else []))

    def referrers(self, asked: _Asked) -> Response:
        """An index of what has one image as its subject."""
        wanted = {"repositoryName": asked.name, "subjectId": {"imageDigest": asked.reference}}
        found = self._ask("ListImageReferrers", wanted, asked)["referrers"]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        return Response(200, (("Content-Type", _INDEX),), json.dumps(index).encode())

    def tags(self, asked: _Asked) -> Response:
        """Every tag of a repository."""
        found = self._world.call("ecr", "ListImages", asked.region, repositoryName=asked.name)["imageIds"]
        return _json(
            200, {"name": asked.name, "tags": sorted(each["imageTag"] for each in found if "imageTag" in each)}
        )

    def _image(self, asked: _Asked) -> Params:
        """The parameters of PutImage that tell of the manifest."""
        try:
            text = asked.request.body.decode()
            manifest = json.loads(text)
            missing = [digest for digest in _named(manifest) if self._blobs.find(asked.place, digest) is None]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refusal(400, "MANIFEST_INVALID", f"this is no manifest of an image ({error})") from None
        if missing:
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"Images with layers {missing} do not exist in the registry")
        kind = asked.request.header("content-type") or manifest.get("mediaType") or _SCHEMA
        key = "imageDigest" if DIGEST.fullmatch(asked.reference) else "imageTag"
        return {"imageManifest": text, "imageManifestMediaType": kind, key: asked.reference}

    def _ask(self, operation: str, params: Params, asked: _Asked) -> Any:
        """The answer of the emulated ECR, not of the backend.  Raises AwsError."""
        target = Target("ecr", asked.region, operation)
        service = self._world.find("ecr")
        handler = service.handler(operation) if service else None
        assert handler is not None
        context = Context(self._world, target, outgoing(target, params, "AKIAIOSFODNN7EXAMPLE"), "registry")
        with self._world.lock:
            return handler(params, context)

    def _put(self, image: Params, asked: _Asked) -> str:
        self._world.writes += 1
        try:
            answer = self._ask("PutImage", image, asked)
        except AwsError as error:
            return self._again(error, image, asked)
        finally:
            self._world.writes += 1
        return str(answer["image"]["imageId"]["imageDigest"])

    def _again(self, error: AwsError, image: Params, asked: _Asked) -> str:
        """The same image once more is well; every other refusal is the engine's to tell."""
        if error.code != "ImageAlreadyExistsException":
            code = "TAG_INVALID" if error.code == "ImageTagAlreadyExistsException" else "MANIFEST_INVALID"
            raise Refusal(400, code, error.message) from None
        ids = [{key: image[key] for key in ("imageDigest", "imageTag") if key in image}]
        wanted = {"repositoryName": asked.name, "imageIds": ids}
        [found] = self._world.call("ecr", "BatchGetImage", asked.region, **wanted)["images"][:1]
        return str(found["imageId"]["imageDigest"])

    def _demand(self, name: str, region: str) -> None:
        try:
            self._world.call("ecr", "DescribeRepositories", region, repositoryNames=[name])
        except AwsError as error:
            raise Refusal(404, "NAME_UNKNOWN", error.message) from None

    def _finish(self, asked: _Asked, upload: str, digest: str) -> Response:
        if not self._blobs.finish(upload, asked.place, digest):
            raise Refusal(400, "DIGEST_INVALID", f"The bytes that were uploaded are not {digest or 'named'}")
        return self._made(asked, "blobs", digest)

    def _accepted(self, asked: _Asked, upload: str, size: int) -> Response:
        place = ("Location", f"/v2/{asked.name}/blobs/uploads/{upload}")
        return Response(202, (place, ("Docker-Upload-UUID", upload), ("Range", f"0-{max(size - 1, 0)}")))

    def _made(self, asked: _Asked, kind: str, digest: str, *more: tuple[str, str]) -> Response:
        place = ("Location", f"/v2/{asked.name}/{kind}/{digest}")
        return Response(201, (place, ("Docker-Content-Digest", digest), *more))

    def _region(self, request: Request) -> str | None:
        """The region that a login is for, by the token that ECR gave out; None for any other."""
        scheme, _, encoded = request.header("authorization").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        token, _, region = password.partition("@")
        known = scheme.lower() == "basic" and user == "AWS" and region
        return region if known and hmac.compare_digest(token, self._world.registry_token) else None


def login(world: World, region: str) -> str:
    """User and password for the registry of a region, as ``AWS:...`` in base64: ECR's authorization token."""
    return base64.b64encode(f"AWS:{world.registry_token}@{region}".encode()).decode()


def _named(manifest: Any) -> Iterator[str]:
    """The blobs that a manifest names; a list of manifests names none."""
    if "manifests" in manifest:
        return
    yield manifest["config"]["digest"]
    yield from (each["digest"] for each in manifest["layers"])


def _json(status: int, content: Any, *headers: tuple[str, str]) -> Response:
    version = ("Docker-Distribution-Api-Version", "registry/2.0")
    return Response(status, (("Content-Type", "application/json"), version, *headers), json.dumps(content).encode())


_Method = Callable[[Registry, _Asked], Response]
_ROUTES: tuple[tuple[str, dict[str, _Method]], ...] = (
    (rf"/v2/{_NAME}/blobs/uploads/?", {"POST": Registry.start}),
    (
        rf"/v2/{_NAME}/blobs/uploads/(?P<reference>[^/]+)",
        {"PATCH": Registry.append, "PUT": Registry.finish, "DELETE": Registry.cancel},
    ),
    (rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)", {"GET": Registry.blob, "HEAD": Registry.blob}),
    (
        rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)",
        {"GET": Registry.manifest, "HEAD": Registry.manifest, "PUT": Registry.put},
    ),
    (rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)", {"GET": Registry.referrers}),
    (rf"/v2/{_NAME}/tags/list", {"GET": Registry.tags}),
)
