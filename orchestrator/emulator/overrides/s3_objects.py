"""Override S3's objects: conditions of writes, and the encryption and checksum that AWS reports with each object.

Conditions are checked here, under the emulator's lock: moto ignores them in copies, and words others differently.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service

_NOT_IMPLEMENTED = "A header you provided implies functionality that is not implemented"
_PRECONDITION_FAILED = "At least one of the pre-conditions you specified did not hold"
_ENCRYPTION_HEADER = "x-amz-server-side-encryption"
_CHECKSUM_HEADERS = tuple(f"x-amz-checksum-{name}" for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"))


class S3Objects(Service):
    """The operations on objects; ``encryption_by_bucket`` holds the configuration of each bucket that has one."""

    service = "s3"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self.encryption_by_bucket: dict[str, Params] = {}
        self._checksum_algorithms: dict[tuple[str, str, str], str] = {}

    def put_object(self, params: Params, context: CallContext) -> Response:
        """Store an object; refuse unmet conditions and bytes that do not match the checksum in the request."""
        self._check_write_conditions(params, context)
        request = context.request
        expected_checksum = request.header("x-amz-checksum-sha256")
        if expected_checksum and request.header("content-encoding") != "aws-chunked":
            actual_checksum = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
            if expected_checksum != actual_checksum:
                raise AwsError("BadDigest", "The SHA256 you specified did not match the calculated checksum.", 400)
        response = self._describe_object(params, context, context.forward_raw())
        headers = {name.lower(): value for name, value in response.headers}
        if names := headers.keys() & {*_CHECKSUM_HEADERS}:
            version = headers.get("x-amz-version-id", "null")
            algorithm = min(names).removeprefix("x-amz-checksum-").upper()
            self._checksum_algorithms[params["Bucket"], params["Key"], version] = algorithm
        return response

    def list_object_versions(self, params: Params, context: CallContext) -> Params:
        """List versions with their checksums; keys are encoded on request, and owners have no names."""
        response = context.forward(params)
        is_encoded = params.get("EncodingType") == "url" and not response.get("EncodingType")
        for member in ("Versions", "DeleteMarkers"):
            for item in response.get(member) or ():
                item.get("Owner", {}).pop("DisplayName", None)
                algorithm = self._checksum_algorithms.get((params["Bucket"], item["Key"], str(item.get("VersionId"))))
                if algorithm and member == "Versions":
                    item.update({"ChecksumAlgorithm": [algorithm], "ChecksumType": "FULL_OBJECT"})
                if is_encoded:
                    item["Key"] = quote(item["Key"], safe="/")
        return {**response, "EncodingType": "url"} if is_encoded else response

    def get_object(self, params: Params, context: CallContext) -> Response:
        """Return an object with its encryption."""
        return self._describe_object(params, context, context.forward_raw())

    def head_object(self, params: Params, context: CallContext) -> Response:
        """Return the headers of an object with its encryption."""
        return self._describe_object(params, context, context.forward_raw())

    def copy_object(self, params: Params, context: CallContext) -> Response:
        """Copy an object; refuse unmet conditions on the target."""
        self._check_write_conditions(params, context)
        response = self._describe_object(params, context, context.forward_raw())
        if b"<Checksum" in response.body and b"<ChecksumType>" not in response.body:
            body = response.body.replace(
                b"</CopyObjectResult>", b"<ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>"
            )
            return replace(response, body=body)
        return response

    def create_multipart_upload(self, params: Params, context: CallContext) -> Response:
        """Begin an upload in parts, which reports the encryption."""
        return self._describe_object(params, context, context.forward_raw())

    def upload_part(self, params: Params, context: CallContext) -> Response:
        """Store a part, which reports the encryption."""
        return self._describe_object(params, context, context.forward_raw())

    def complete_multipart_upload(self, params: Params, context: CallContext) -> Response:
        """Put the parts together; refuse unmet conditions."""
        self._check_write_conditions(params, context)
        return self._describe_object(params, context, context.forward_raw())

    def _check_write_conditions(self, params: Params, context: CallContext) -> None:
        """Raise AwsError if If-Match or If-None-Match does not hold, or asks for what S3 does not implement."""
        match_tag, none_match_tag = context.request.header("if-match"), context.request.header("if-none-match")
        if not match_tag and not none_match_tag:
            return
        if match_tag and none_match_tag:
            detail = "Multiple conditional request headers present in the request"
            raise AwsError(
                "NotImplemented", _NOT_IMPLEMENTED, 501, Header="If-Match,If-None-Match", additionalMessage=detail
            )
        header = "If-Match" if match_tag else "If-None-Match"
        if (match_tag == "*") if match_tag else (none_match_tag != "*"):
            detail = f"We don't accept the provided value of {header} header for this API"
            raise AwsError("NotImplemented", _NOT_IMPLEMENTED, 501, Header=header, additionalMessage=detail)
        current_tag = self._read_tag(params, context)
        if match_tag and current_tag is None:
            raise AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=params["Key"])
        if (current_tag != match_tag.strip('"')) if match_tag else (current_tag is not None):
            raise AwsError("PreconditionFailed", _PRECONDITION_FAILED, 412, Condition=header)

    def _read_tag(self, params: Params, context: CallContext) -> str | None:
        """Return the entity tag of the current object, or None if there is none."""
        try:
            head = self.state.call("s3", "HeadObject", context.region, Bucket=params["Bucket"], Key=params["Key"])
        except AwsError:
            return None
        return str(head["ETag"]).strip('"')

    def _describe_object(self, params: Params, context: CallContext, response: Response) -> Response:
        """Return a response with what AWS adds for each object: its encryption, the type of its checksum."""
        if response.status >= 300:
            return response
        present = {name.lower() for name, _ in response.headers}
        added: dict[str, str] = {}
        if _ENCRYPTION_HEADER not in present and not context.request.header(f"{_ENCRYPTION_HEADER}-customer-algorithm"):
            added.update(self._list_encryption_headers(params["Bucket"], context))
        if present & {*_CHECKSUM_HEADERS} and "x-amz-checksum-type" not in present and response.status == 200:
            added["x-amz-checksum-type"] = "FULL_OBJECT"
        return replace(response, headers=(*response.headers, *added.items()))

    def _list_encryption_headers(self, bucket: str, context: CallContext) -> Mapping[str, str]:
        requested = context.request.header(_ENCRYPTION_HEADER)
        if requested:
            return {_ENCRYPTION_HEADER: requested}
        rules: list[Any] = self.encryption_by_bucket.get(bucket, {}).get("Rules", [])
        default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
        headers = {_ENCRYPTION_HEADER: default.get("SSEAlgorithm", "AES256")}
        if "KMSMasterKeyID" in default:
            headers[f"{_ENCRYPTION_HEADER}-aws-kms-key-id"] = default["KMSMasterKeyID"]
        if rules and rules[0].get("BucketKeyEnabled") and headers[_ENCRYPTION_HEADER] != "AES256":
            headers[f"{_ENCRYPTION_HEADER}-bucket-key-enabled"] = "true"
        return headers
