"""Speak the client's side of the AWS protocols, for calls that the emulator makes to its own backend. No I/O."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target, operation_model


def serialise_request(target: Target, params: Params, access_key: str) -> Request:
    """Return the request an AWS client would send, with a credential scope but no valid signature."""
    from botocore.serialize import create_serializer

    operation = operation_model(target.service, target.operation)
    serialized = create_serializer(str(operation.service_model.resolved_protocol), False).serialize_to_request(
        params, operation
    )
    credential_scope = f"{access_key}/20260101/{target.region}/{operation.service_model.signing_name}/aws4_request"
    headers = {
        **serialized["headers"],
        "Host": "127.0.0.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential_scope}, SignedHeaders=host, Signature=0",
    }
    body = _encode_body(serialized["body"], headers)
    path = serialized["url_path"] + _encode_query(serialized["url_path"], serialized["query_string"])
    return Request(serialized["method"], path, tuple((name, str(value)) for name, value in headers.items()), body)


def _encode_body(body: Any, headers: dict[str, str]) -> bytes:
    from urllib.parse import urlencode

    if isinstance(body, dict):
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        return urlencode(body).encode()
    if isinstance(body, str):
        return body.encode()
    return bytes(body or b"")


def _encode_query(path: str, query: Any) -> str:
    pairs = (
        query.items()
        if isinstance(query, dict)
        else [parameter.partition("=")[::2] for parameter in str(query or "").split("&")]
    )
    query_string = "&".join(
        f"{quote(str(name), safe='')}={quote(str(value), safe='')}" for name, value in pairs if name
    )
    return f"{'&' if '?' in path else '?'}{query_string}" if query_string else ""


def parse_response(target: Target, response: Response) -> Params:
    """Return the output that an AWS client would parse from a response. Raises AwsError for an error response."""
    from botocore.parsers import create_parser

    operation = operation_model(target.service, target.operation)
    parser = create_parser(str(operation.service_model.resolved_protocol))
    response_dict = {
        "status_code": response.status,
        "headers": _CaseInsensitiveHeaders(response.headers),
        "body": response.body,
        "context": {"operation_name": operation.name},
    }
    parsed: Params = parser.parse(response_dict, operation.output_shape)
    if response.status >= 300:
        error = parsed.get("Error", {})
        raise AwsError(str(error.get("Code", response.status)), str(error.get("Message", "")), response.status)
    parsed.pop("ResponseMetadata", None)
    return parsed


class _CaseInsensitiveHeaders(dict[str, str]):
    """Response headers under lower-case names, as botocore's parsers look them up."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        super().__init__((name.lower(), value) for name, value in pairs)

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and super().__contains__(key.lower())
