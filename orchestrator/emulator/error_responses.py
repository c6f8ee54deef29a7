"""Serialise an AwsError in the wire format of the service that raises it."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Target, service_model


def serialise_error(target: Target, error: AwsError, request_id: str) -> Response:
    """Return an error response in the protocol of the target's service."""
    from botocore.exceptions import UnknownServiceError

    try:
        model = service_model(target.service)
        protocol = str(model.resolved_protocol)
    except UnknownServiceError:  # without a model, use JSON, which most clients read
        model, protocol = None, "json"
    status = error.status or _error_status(model, error.code)
    if protocol == "json" and 400 < status < 500:
        status = 400  # services that speak JSON have no other status for a client's mistakes
    request_id_header = ("x-amzn-RequestId", request_id)
    if protocol in ("query", "ec2", "rest-xml"):
        body = _xml_error_body(target.service, protocol, error, status, request_id)
        return Response(status, (("Content-Type", "text/xml"), request_id_header), body.encode())
    content = {"__type": error.code, _message_member(model, error.code): error.message, **error.fields}
    content_type = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    headers = [("Content-Type", content_type), ("x-amzn-ErrorType", error.code), request_id_header]
    if model is not None and "awsQueryCompatible" in model.metadata:
        headers.append(("x-amzn-query-error", f"{error.code};Sender"))
    return Response(status, tuple(headers), json.dumps(content).encode())


def _xml_error_body(service: str, protocol: str, error: AwsError, status: int, request_id: str) -> str:
    code_and_message = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service == "s3":
        extra_fields = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in error.fields.items())
        return (
            "<?xml version='1.0' "
            f"encoding='UTF-8'?><Error>{code_and_message}{extra_fields}<RequestId>{request_id}</RequestId></Error>"
        )
    if protocol == "ec2":
        errors = f"<Errors><Error>{code_and_message}</Error></Errors>"
        return f"<Response>{errors}<RequestID>{request_id}</RequestID></Response>"
    fault_side = "Sender" if status < 500 else "Receiver"
    details = f"<Error><Type>{fault_side}</Type>{code_and_message}</Error>"
    return f"<ErrorResponse>{details}<RequestId>{request_id}</RequestId></ErrorResponse>"


def _message_member(model: Any, code: str) -> str:
    """Return how the error's shape spells its message: most services write it in lower case."""
    shapes = model.error_shapes if model is not None else ()
    members = {member for shape in shapes if shape.name == code for member in shape.members}
    return "Message" if "Message" in members else "message"


def _error_status(model: Any, code: str) -> int:
    if model is None:
        return 400
    for shape in model.error_shapes:
        error = shape.metadata.get("error", {})
        if code in (shape.name, error.get("code")):
            return int(error.get("httpStatusCode", 400))
    return 400
