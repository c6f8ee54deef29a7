"""Speak the server's side of the AWS protocols, driven by botocore's service models.

moto (``moto.core``) does the parsing, routing and serialising; botocore validates the parameters.
"""

from __future__ import annotations

import importlib
import re
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response

Params = dict[str, Any]

_ACTION_PATTERN = re.compile(rb"(?:^|&)Action=([A-Za-z0-9]+)")
_load_lock = threading.RLock()


@dataclass(frozen=True)
class Target:
    """The target of a request: botocore's service name, a region, and an operation ("" if none matches)."""

    service: str
    region: str
    operation: str
    uri_params: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Return ``service:Operation``."""
        return f"{self.service}:{self.operation}"


@cache
def _load_model(service: str) -> Any:
    from moto.core.utils import get_service_model

    model = get_service_model(service)
    for name in model.operation_names:  # before the first use, moto's cache briefly holds botocore's model
        model.operation_model(name)
    return model


def service_model(service: str) -> Any:
    """Return the model of a service. Raises botocore's UnknownServiceError."""
    with _load_lock:
        return _load_model(service)


@lru_cache(maxsize=4096)
def operation_model(service: str, operation: str) -> Any:
    """Return the model of one operation (``DescribeDBInstances``). Raises botocore's OperationNotFoundError."""
    return service_model(service).operation_model(operation)


@cache
def _rest_router(service: str) -> Any:
    from moto.core.routing import ServiceOperationRouter

    return ServiceOperationRouter(service_model(service))


def build_wsgi_environ(request: Request, host: str = "") -> dict[str, Any]:
    """Return the WSGI environment of a request, as moto's and werkzeug's request classes read it."""
    path, _, query = request.target.partition("?")
    metadata_header_names: dict[str, str] = {}
    environ_dict: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": request.target,
        "REQUEST_URI": request.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "moto.preserved_header_names": metadata_header_names,
    }
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if "_" in name and name.lower().startswith("x-amz-meta-"):
            metadata_header_names[key] = name
        environ_dict[key] = f"{environ_dict[key]},{value}" if key in environ_dict else value
    environ_dict["CONTENT_LENGTH"] = str(len(request.body))
    environ_dict.pop("HTTP_TRANSFER_ENCODING", None)
    if host:
        environ_dict["HTTP_HOST"] = host
    return environ_dict


def to_moto_request(request: Request, host: str = "") -> Any:
    """Return the request as an instance of moto's own class."""
    from moto.core.request import Request as MotoRequest

    return MotoRequest(build_wsgi_environ(request, host))


def preload() -> None:
    """Import in one thread what requests need: concurrent first imports can see a half-initialised package."""
    moto_modules = (f"moto.core.{name}" for name in ("parse", "routing", "utils"))
    for module in ("botocore.exceptions", "werkzeug.exceptions", *moto_modules):
        importlib.import_module(module)


def identify_target(service: str, region: str, request: Request) -> Target:
    """Find the operation of a request by its target header, Action parameter or path."""
    target_header = request.header("x-amz-target")
    if target_header:
        return Target(service, region, target_header.rpartition(".")[2])
    if request.header("content-type").startswith("application/x-www-form-urlencoded") or not request.body:
        action_match = _ACTION_PATTERN.search(request.body) or _ACTION_PATTERN.search(
            request.target.partition("?")[2].encode()
        )
        if action_match:
            return Target(service, region, action_match.group(1).decode())
    return _identify_target_by_path(service, region, request)


def _identify_target_by_path(service: str, region: str, request: Request) -> Target:
    from botocore.exceptions import UnknownServiceError
    from werkzeug.exceptions import HTTPException

    try:
        with _load_lock:  # the first match compiles the service's routes, which is not thread-safe
            operation, uri_params = _rest_router(service).match(to_moto_request(request))
    except (UnknownServiceError, HTTPException, NotImplementedError):
        return Target(
            service, region, request.path.rpartition("/operation/")[2] if "/operation/" in request.path else ""
        )
    return Target(service, region, str(operation.name), tuple(uri_params.items()))


def parse_params(request: Request, target: Target) -> Params:
    """Return the parameters of a request, validated by botocore's own validator.

    Raises AwsError ValidationException (or the protocol's equivalent) if the parameters violate the model.
    """
    from moto.core.parse import PROTOCOL_PARSERS

    operation = operation_model(target.service, target.operation)
    wire_request = to_moto_request(request)
    protocol = _determine_protocol(operation.service_model, request.header("content-type"))
    parser = PROTOCOL_PARSERS[protocol](operation)
    message = {
        "method": wire_request.method,
        "values": wire_request.values,
        "headers": wire_request.headers,
        "body": request.body,
        "url_path": wire_request.path,
        "url_params": dict(target.uri_params),
    }
    params: Params = parser.parse(message)
    _validate_params(operation, params)
    return params


def _validate_params(operation: Any, params: Params) -> None:
    from botocore.validate import ParamValidator

    shape = operation.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        protocol = operation.service_model.protocol
        code = {"query": "ValidationError", "ec2": "InvalidParameterValue", "rest-xml": "InvalidArgument"}.get(protocol)
        raise AwsError(code or "ValidationException", report.generate_report())


def serialise_result(target: Target, request: Request, result: Params, request_id: str) -> Response:
    """Return the response for a result (a dict in the shape of the operation's output), as AWS would send it."""
    from moto.core.serialize import SerializationContext, get_serializer_class

    operation = operation_model(target.service, target.operation)
    protocol = _determine_protocol(operation.service_model, request.header("content-type"))
    serializer = get_serializer_class(target.service, protocol)(
        operation, context=SerializationContext(request_id), value_picker=_pick_member
    )
    serialized = serializer.serialize(result)
    body = serialized["body"]
    headers = [(name, str(value)) for name, value in serialized["headers"].items()]
    headers.append(("x-amzn-RequestId", request_id))
    encoded = body.encode() if isinstance(body, str) else bytes(body)
    return Response(int(serialized["status_code"]), tuple(headers), encoded)


def _determine_protocol(model: Any, content_type: str) -> str:
    """Return the protocol of a request; the content type decides if the service has several."""
    from moto.core.request import determine_request_protocol

    return str(determine_request_protocol(model, content_type))


def is_supported_protocol(target: Target, request: Request) -> bool:
    """Return whether this module speaks the protocol of a request (the backend handles CBOR)."""
    return "cbor" not in request.header("content-type") and "/operation/" not in request.path


def _pick_member(context: Any) -> Any:
    """Read members of dicts by their exact name, so that only what a service returned is sent."""
    return context.obj.get(context.key)
