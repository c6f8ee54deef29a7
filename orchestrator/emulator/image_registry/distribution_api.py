"""Serve the registry API of the OCI distribution specification, as ECR speaks it, on the emulated ECR.

Layers are stored here; a manifest becomes an ECR image as soon as it is pushed, so DescribeImages and a pull always
agree. Refusals (immutable tags, unknown repositories) come from ECR.
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

from orchestrator.emulator.client_protocol import serialise_request
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.image_registry.blob_store import DIGEST_PATTERN, BlobStore
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import CallContext, EmulatorState

_NAME_PATTERN = r"(?P<name>[a-z0-9][a-z0-9._/-]*)"
_OCTET_STREAM_HEADER = ("Content-Type", "application/octet-stream")
_INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
_DEFAULT_MANIFEST_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class _RegistryCall:
    """One request on a repository of a region; ``reference`` is a digest, a tag or an upload."""

    request: Request
    region: str
    name: str
    reference: str = ""

    @property
    def repository_key(self) -> str:
        return f"{self.region}/{self.name}"


class RegistryError(Exception):
    """An error response of the specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = _json_response(status, {"errors": [{"code": code, "message": message}]})


class Registry:
    """The registry of one account."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._blobs = BlobStore()

    def clear(self) -> None:
        """Delete every blob."""
        self._blobs.clear()

    def handle(self, request: Request) -> Response:
        """Answer a container engine."""
        region = self._authorized_region(request)
        if region is None:
            challenge = (
                "WWW-Authenticate",
                f'Basic realm="http://{request.header("host")}/",service="ecr.amazonaws.com"',
            )
            return _json_response(401, {"errors": [{"code": "UNAUTHORIZED", "message": "Not Authorized"}]}, challenge)
        if request.path.rstrip("/") == "/v2":
            return _json_response(200, {})
        try:
            for pattern, methods in _ROUTES:
                if path_match := re.fullmatch(pattern, request.path):
                    method = methods.get(request.method)
                    if method is None:
                        raise RegistryError(405, "UNSUPPORTED", f"{request.method} is not supported here")
                    path_parts = path_match.groupdict()
                    self._require_repository(path_parts["name"], region)
                    return method(
                        self, _RegistryCall(request, region, path_parts["name"], path_parts.get("reference", ""))
                    )
        except RegistryError as error:
            return error.response
        except AwsError as error:
            return RegistryError(400, error.code, error.message).response
        return _json_response(404, {"errors": [{"code": "NAME_INVALID", "message": "page not found"}]})

    def start_upload(self, call: _RegistryCall) -> Response:
        """Start an upload; complete it at once if the request has all bytes or mounts an existing blob."""
        query = call.request.query
        if "mount" in query and self._blobs.mount_blob(
            f"{call.region}/{query.get('from', '')}", call.repository_key, query["mount"]
        ):
            return self._created_response(call, "blobs", query["mount"])
        upload = self._blobs.start_upload()
        if "digest" in query:
            self._blobs.append_upload(upload, call.request.body)
            return self._complete_upload(call, upload, query["digest"])
        return self._upload_response(call, upload, 0)

    def append_upload(self, call: _RegistryCall) -> Response:
        """Append bytes to an upload."""
        size = self._blobs.append_upload(call.reference, call.request.body)
        if size is None:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "The specified upload does not exist")
        return self._upload_response(call, call.reference, size)

    def finish_upload(self, call: _RegistryCall) -> Response:
        """Append the last bytes and check the digest of the whole upload."""
        self.append_upload(call)
        return self._complete_upload(call, call.reference, call.request.query.get("digest", ""))

    def cancel_upload(self, call: _RegistryCall) -> Response:
        """Delete an upload."""
        if not self._blobs.cancel_upload(call.reference):
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "The specified upload does not exist")
        return Response(204)

    def get_blob(self, call: _RegistryCall) -> Response:
        """Return a layer or a configuration."""
        blob_path = self._blobs.find_blob(call.repository_key, call.reference)
        if blob_path is None:
            raise RegistryError(404, "BLOB_UNKNOWN", f"The layer with digest {call.reference} does not exist")
        headers = (_OCTET_STREAM_HEADER, ("Docker-Content-Digest", call.reference))
        if call.request.method == "HEAD":
            return Response(200, headers, length=blob_path.stat().st_size)
        return Response(200, headers, blob_path.read_bytes())

    def get_manifest(self, call: _RegistryCall) -> Response:
        """Return a manifest by tag or digest, byte for byte as it was pushed."""
        id_key = "imageDigest" if DIGEST_PATTERN.fullmatch(call.reference) else "imageTag"
        query_params = {"repositoryName": call.name, "imageIds": [{id_key: call.reference}]}
        images = self._state.call("ecr", "BatchGetImage", call.region, **query_params)["images"]
        if not images:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found")
        [image] = images[:1]
        body = image["imageManifest"].encode()
        media_type = image.get("imageManifestMediaType") or json.loads(body).get(
            "mediaType", _DEFAULT_MANIFEST_MEDIA_TYPE
        )
        headers = (("Content-Type", media_type), ("Docker-Content-Digest", image["imageId"]["imageDigest"]))
        return Response(200, headers, b"" if call.request.method == "HEAD" else body, len(body))

    def put_manifest(self, call: _RegistryCall) -> Response:
        """Store a manifest with PutImage; refuse missing layers and an immutable tag."""
        digest = self._put_image({"repositoryName": call.name, **self._image_params(call)}, call)
        subject = json.loads(call.request.body).get("subject")
        return self._created_response(
            call, "manifests", digest, *([("OCI-Subject", subject["digest"])] if subject else [])
        )

    def list_referrers(self, call: _RegistryCall) -> Response:
        """Return an index of the manifests that have one image as their subject."""
        query_params = {"repositoryName": call.name, "subjectId": {"imageDigest": call.reference}}
        referrers = self._call_ecr("ListImageReferrers", query_params, call)["referrers"]
        index = {"schemaVersion": 2, "mediaType": _INDEX_MEDIA_TYPE, "manifests": referrers}
        return Response(200, (("Content-Type", _INDEX_MEDIA_TYPE),), json.dumps(index).encode())

    def list_tags(self, call: _RegistryCall) -> Response:
        """Return every tag of a repository."""
        image_ids = self._state.call("ecr", "ListImages", call.region, repositoryName=call.name)["imageIds"]
        return _json_response(
            200,
            {
                "name": call.name,
                "tags": sorted(image_id["imageTag"] for image_id in image_ids if "imageTag" in image_id),
            },
        )

    def _image_params(self, call: _RegistryCall) -> Params:
        """Return the parameters of PutImage for the manifest in a request. Raises RegistryError."""
        try:
            body = call.request.body.decode()
            manifest = json.loads(body)
            missing_digests = [
                digest
                for digest in _referenced_blobs(manifest)
                if self._blobs.find_blob(call.repository_key, digest) is None
            ]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RegistryError(400, "MANIFEST_INVALID", f"invalid image manifest ({error})") from None
        if missing_digests:
            raise RegistryError(
                400, "MANIFEST_BLOB_UNKNOWN", f"Images with layers {missing_digests} do not exist in the registry"
            )
        media_type = call.request.header("content-type") or manifest.get("mediaType") or _DEFAULT_MANIFEST_MEDIA_TYPE
        id_key = "imageDigest" if DIGEST_PATTERN.fullmatch(call.reference) else "imageTag"
        return {"imageManifest": body, "imageManifestMediaType": media_type, id_key: call.reference}

    def _call_ecr(self, operation: str, params: Params, call: _RegistryCall) -> Any:
        """Call the emulated ECR, override included, instead of the backend. Raises AwsError."""
        target = Target("ecr", call.region, operation)
        service = self._state.find_service("ecr")
        handler = service.handler(operation) if service else None
        assert handler is not None
        context = CallContext(
            self._state, target, serialise_request(target, params, "AKIAIOSFODNN7EXAMPLE"), "registry"
        )
        with self._state.lock:
            return handler(params, context)

    def _put_image(self, image: Params, call: _RegistryCall) -> str:
        try:
            result = self._call_ecr("PutImage", image, call)
        except AwsError as error:
            return self._resolve_existing_image(error, image, call)
        return str(result["image"]["imageId"]["imageDigest"])

    def _resolve_existing_image(self, error: AwsError, image: Params, call: _RegistryCall) -> str:
        """Return the digest of an identical existing image; turn other errors into a RegistryError."""
        if error.code != "ImageAlreadyExistsException":
            code = "TAG_INVALID" if error.code == "ImageTagAlreadyExistsException" else "MANIFEST_INVALID"
            raise RegistryError(400, code, error.message) from None
        image_ids = [{id_key: image[id_key] for id_key in ("imageDigest", "imageTag") if id_key in image}]
        query_params = {"repositoryName": call.name, "imageIds": image_ids}
        [image_detail] = self._state.call("ecr", "BatchGetImage", call.region, **query_params)["images"][:1]
        return str(image_detail["imageId"]["imageDigest"])

    def _require_repository(self, name: str, region: str) -> None:
        try:
            self._state.call("ecr", "DescribeRepositories", region, repositoryNames=[name])
        except AwsError as error:
            raise RegistryError(404, "NAME_UNKNOWN", error.message) from None

    def _complete_upload(self, call: _RegistryCall, upload: str, digest: str) -> Response:
        if not self._blobs.finish_upload(upload, call.repository_key, digest):
            raise RegistryError(
                400, "DIGEST_INVALID", f"The uploaded bytes do not match the digest {digest or '(none given)'}"
            )
        return self._created_response(call, "blobs", digest)

    def _upload_response(self, call: _RegistryCall, upload: str, size: int) -> Response:
        location = ("Location", f"/v2/{call.name}/blobs/uploads/{upload}")
        return Response(202, (location, ("Docker-Upload-UUID", upload), ("Range", f"0-{max(size - 1, 0)}")))

    def _created_response(
        self, call: _RegistryCall, kind: str, digest: str, *extra_headers: tuple[str, str]
    ) -> Response:
        location = ("Location", f"/v2/{call.name}/{kind}/{digest}")
        return Response(201, (location, ("Docker-Content-Digest", digest), *extra_headers))

    def _authorized_region(self, request: Request) -> str | None:
        """Return the region of a login with the token that ECR handed out; None for any other login."""
        scheme, _, encoded = request.header("authorization").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        token, _, region = password.partition("@")
        is_basic_login = scheme.lower() == "basic" and user == "AWS" and region
        return region if is_basic_login and hmac.compare_digest(token, self._state.registry_token) else None


def encode_authorization_token(state: EmulatorState, region: str) -> str:
    """Return ECR's authorization token for a region: ``AWS:...`` in base64."""
    return base64.b64encode(f"AWS:{state.registry_token}@{region}".encode()).decode()


def _referenced_blobs(manifest: Any) -> Iterator[str]:
    """Yield the digests of the blobs in a manifest; an index of manifests has none."""
    if "manifests" in manifest:
        return
    yield manifest["config"]["digest"]
    yield from (layer["digest"] for layer in manifest["layers"])


def _json_response(status: int, content: Any, *headers: tuple[str, str]) -> Response:
    version = ("Docker-Distribution-Api-Version", "registry/2.0")
    return Response(status, (("Content-Type", "application/json"), version, *headers), json.dumps(content).encode())


_RouteHandler = Callable[[Registry, _RegistryCall], Response]
_ROUTES: tuple[tuple[str, dict[str, _RouteHandler]], ...] = (
    (rf"/v2/{_NAME_PATTERN}/blobs/uploads/?", {"POST": Registry.start_upload}),
    (
        rf"/v2/{_NAME_PATTERN}/blobs/uploads/(?P<reference>[^/]+)",
        {"PATCH": Registry.append_upload, "PUT": Registry.finish_upload, "DELETE": Registry.cancel_upload},
    ),
    (rf"/v2/{_NAME_PATTERN}/blobs/(?P<reference>[^/]+)", {"GET": Registry.get_blob, "HEAD": Registry.get_blob}),
    (
        rf"/v2/{_NAME_PATTERN}/manifests/(?P<reference>[^/]+)",
        {"GET": Registry.get_manifest, "HEAD": Registry.get_manifest, "PUT": Registry.put_manifest},
    ),
    (rf"/v2/{_NAME_PATTERN}/referrers/(?P<reference>[^/]+)", {"GET": Registry.list_referrers}),
    (rf"/v2/{_NAME_PATTERN}/tags/list", {"GET": Registry.list_tags}),
)
