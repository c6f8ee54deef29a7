"""Record real AWS: a proxy on loopback that passes calls on, and keeps how AWS answered, without any value.

A recording holds operations, statuses, error codes, texts without identifiers, and names of the members of answers.
The proxy signs with the credentials of this machine. So it serves only clients that know its token, which is the access
key that it hands out; other local processes are refused.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.emulator.error_responses import serialise_error
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.gateway import Gateway
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.request_routing import EDGE_SERVICE, REGISTRY_SERVICE, identify_service
from orchestrator.emulator.server_protocol import Target, identify_target, operation_model

EndpointResolver = Callable[[str, str], str]

_REFUSAL = "This proxy accepts only clients that use the printed environment variables."
_TRAILER_PAYLOAD = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_HEADERS_OF_THE_HOP = frozenset(
    {"host", "authorization", "connection", "content-length", "expect", "x-amz-date", "x-amz-security-token"}
)
_HEADERS_OF_THE_ANSWER = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding", "date"})
_IDENTIFIER_PATTERN = re.compile(r"\b\d{12}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[A-Z0-9]{13,}\b|arn:aws[^\s'\"]*")


class Recorder:
    """Passes requests on to AWS and records the answers in a file."""

    def __init__(self, file: Path, endpoint_for: EndpointResolver | None = None) -> None:
        import botocore.session
        from botocore.httpsession import URLLib3Session

        self.token = f"recorder-{secrets.token_urlsafe(18)}"
        self._file = file
        self._session = botocore.session.get_session()
        self._endpoint_for = endpoint_for or self._resolve_endpoint
        self._http = URLLib3Session(timeout=120)
        self._lock = threading.Lock()
        self._endpoints: dict[tuple[str, str], str] = {}
        self._answers: dict[str, dict[str, Any]] = {}

    def handle(self, request: Request) -> Response:
        """Return AWS's response to a request; refuse clients without the token."""
        service, region = identify_service(request, "us-east-1")
        if service in (EDGE_SERVICE, REGISTRY_SERVICE):
            return Response(403, (("Content-Type", "text/plain"),), b"only calls of AWS's API are recorded\n")
        target = identify_target(service, region, request)
        if f"Credential={self.token}/" not in request.header("authorization"):
            return serialise_error(target, AwsError("AccessDenied", _REFUSAL, 403), "recorder")
        started = time.monotonic()
        try:
            response = self._forward(target, request)
        except Exception as error:  # noqa: BLE001 - the client gets every failure as an answer
            message = f"recorder: {type(error).__name__}: {error}"
            return serialise_error(target, AwsError("ServiceUnavailable", message, 503), "recorder")
        self._record(target, response, time.monotonic() - started)
        return response

    def _forward(self, target: Target, request: Request) -> Response:
        from botocore.auth import S3SigV4Auth, SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {name: value for name, value in request.headers if name.lower() not in _HEADERS_OF_THE_HOP}
        url = f"{self._endpoint_for(target.service, target.region).rstrip('/')}{request.target}"
        signed = AWSRequest(method=request.method, url=url, data=request.body, headers=headers)
        if request.header("x-amz-content-sha256") == _TRAILER_PAYLOAD:
            signed.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        credentials = self._session.get_credentials()
        if credentials is None:
            raise RuntimeError("this machine has no AWS credentials")
        name = self._session.get_service_model(target.service).signing_name
        (S3SigV4Auth if target.service == "s3" else SigV4Auth)(
            credentials.get_frozen_credentials(), name, target.region
        ).add_auth(signed)
        answer = self._http.send(signed.prepare())
        kept = tuple(
            (name, value) for name, value in answer.headers.items() if name.lower() not in _HEADERS_OF_THE_ANSWER
        )
        length = int(answer.headers.get("content-length") or 0) if request.method == "HEAD" else None
        return Response(answer.status_code, kept, answer.content, length)

    def _resolve_endpoint(self, service: str, region: str) -> str:
        """Return AWS's own endpoint, whatever the environment of this process says."""
        from botocore.config import Config

        with self._lock:
            if (service, region) not in self._endpoints:
                config = Config(ignore_configured_endpoint_urls=True)
                client = self._session.create_client(service, region_name=region, config=config)
                self._endpoints[service, region] = str(client.meta.endpoint_url)
            return self._endpoints[service, region]

    def _record(self, target: Target, response: Response, seconds: float) -> None:
        code, message, members = describe_answer(target, response)
        key = json.dumps([target.service, target.operation, response.status, code, message])
        with self._lock:
            entry = self._answers.setdefault(
                key,
                {
                    "service": target.service,
                    "operation": target.operation,
                    "status": response.status,
                    "code": code,
                    "message": message,
                    "members": [],
                    "count": 0,
                    "max_seconds": 0.0,
                },
            )
            entry["members"] = sorted({*entry["members"], *members})
            entry["count"] += 1
            entry["max_seconds"] = round(max(entry["max_seconds"], seconds), 2)
            recording = {"version": 1, "answers": [self._answers[name] for name in sorted(self._answers)]}
            self._file.write_text(json.dumps(recording, indent=2) + "\n", encoding="utf-8")


def describe_answer(target: Target, response: Response) -> tuple[str, str, set[str]]:
    """Return the error code, the text without identifiers, and the paths of the members of an answer."""
    from botocore.parsers import create_parser

    try:
        operation = operation_model(target.service, target.operation)
        parser = create_parser(str(operation.service_model.resolved_protocol))
        parsed = parser.parse(
            {
                "status_code": response.status,
                "headers": {name.lower(): value for name, value in response.headers},
                "body": response.body,
                "context": {"operation_name": operation.name},
            },
            operation.output_shape,
        )
    except Exception:  # noqa: BLE001 - an answer that does not fit the model is recorded by its status
        return "", "", set()
    error = parsed.get("Error") or {}
    parsed.pop("ResponseMetadata", None)
    message = _IDENTIFIER_PATTERN.sub("#", str(error.get("Message", "")))
    return str(error.get("Code", "")), message, set(_list_members(operation.output_shape, parsed))


def _list_members(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of a value's members by its shape; the keys of maps are the customer's, and not named."""
    kind = shape.type_name if shape is not None else ""
    if kind == "structure" and isinstance(value, dict):
        for name, item in value.items():
            if name in shape.members:
                yield from _list_members(shape.members[name], item, f"{path}.{name}" if path else str(name))
    elif kind == "list" and isinstance(value, list):
        yield f"{path}[]"
        for item in value:
            yield from _list_members(shape.member, item, f"{path}[]")
    elif kind == "map" and isinstance(value, dict):
        yield f"{path}{{}}"
        for item in value.values():
            yield from _list_members(shape.value, item, f"{path}{{}}")
    elif path:
        yield path


@contextmanager
def record(file: Path, port: int = 0, endpoint_for: EndpointResolver | None = None) -> Iterator[dict[str, str]]:
    """Serve a recorder on a port of 127.0.0.1 for the length of a ``with`` block; yield the variables for clients.

    Raises OSError if the port is taken.
    """
    recorder = Recorder(file, endpoint_for)
    gateway = Gateway(recorder.handle)
    gateway.open(port)
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gateway.port}",
            "AWS_ACCESS_KEY_ID": recorder.token,
            "AWS_SECRET_ACCESS_KEY": "recorder",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        }
    finally:
        gateway.close()
