"""Dispatch one request: record it, delay it, inject a fault if the settings ask for one, and answer it.

Decides what answers (a service here, an override, or the backend unchanged) and nothing about the answer itself.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from orchestrator.emulator.authorization.authorizer import Authorizer
from orchestrator.emulator.bucket_owner import check_bucket_owner
from orchestrator.emulator.call_log import CallLog, classify_access
from orchestrator.emulator.cdn_edge import Edge
from orchestrator.emulator.error_responses import serialise_error
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.eventual_consistency import EventualConsistency
from orchestrator.emulator.fault_injector import DropConnection, Injector, wait_latency
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.image_registry import Registry
from orchestrator.emulator.lingering_use import LingeringUse
from orchestrator.emulator.request_routing import (
    EDGE_SERVICE,
    REGISTRY_SERVICE,
    could_be_alias,
    identify_service,
    match_service_host,
)
from orchestrator.emulator.server_protocol import (
    Target,
    identify_target,
    is_supported_protocol,
    operation_model,
    parse_params,
    serialise_result,
)
from orchestrator.emulator.service_base import CallContext, EmulatorState, Handler, Service

_PACKAGE = "orchestrator.emulator"
_SERVICE_CLASSES = {
    "apprunner": "services.apprunner.service:AppRunner",
    "budgets": "services.budgets:Budgets",
    "cloudwatch": "overrides.cloudwatch:CloudWatch",
    "ec2": "overrides.ec2:Ec2",
    "ecr": "overrides.ecr:Ecr",
    "ecs": "services.express.service:Ecs",
    "freetier": "services.account_settings:FreeTier",
    "iam": "overrides.iam:Iam",
    "logs": "overrides.logs:Logs",
    "rds": "overrides.rds.service:Rds",
    "resourcegroupstaggingapi": "services.tagging:Tagging",
    "s3": "overrides.s3:S3",
    "secretsmanager": "overrides.secretsmanager:SecretsManager",
    "service-quotas": "services.account_settings:ServiceQuotas",
    "sns": "overrides.sns:Sns",
    "sts": "overrides.sts:Sts",
}
_BACKEND_SERVICE_CLASSES: dict[tuple[str, str], str] = {
    ("moto", "cloudfront"): "services.cloudfront.service:CloudFront",
    ("ministack", "cloudfront"): "overrides.cloudfront:CloudFront",
}
_ERROR_CODE_PATTERN = re.compile(rb"<Code>([^<]+)</Code>|\"__type\"\s*:\s*\"(?:[^\"#]*#)?([^\"]+)\"")

_DATA_OPERATION = re.compile(
    "(?:Put|Copy|Delete)Objects?|UploadPart|(?:Create|Complete|Abort)MultipartUpload"
    "|CreateInvalidation|PutSecretValue|PutLogEvents|PutImage|(?:Initiate|Complete)LayerUpload|UploadLayerPart"
)
"""Operations that write what a resource contains, and so change no tags of resources."""

_NO_RUNTIME_RESPONSE = Response(
    404, (("Content-Type", "text/plain"),), b"this emulator does not run services: start it with --run-services\n"
)


@dataclass(frozen=True)
class _CallResult:
    response: Response | None
    executed: bool
    error: str = ""
    fault: str = ""


class Dispatcher:
    """Answers the AWS calls of one emulator."""

    def __init__(self, state: EmulatorState, injector: Injector, call_log: CallLog, latency_ms: float) -> None:
        self._state = state
        self._injector = injector
        self._call_log = call_log
        self._latency_ms = latency_ms
        self._consistency = EventualConsistency(state)
        self._authorizer = Authorizer(state)
        self._lingering_use = LingeringUse()
        self._services: dict[str, Service | None] = {}
        state.find_service = self._find_service
        self._edge = Edge(state, self.handle)
        self._registry = Registry(state)

    def reset(self) -> None:
        """Drop the state of the services implemented here, and stop every container."""
        with self._state.lock:
            self._services.clear()
            self._state.role_created_at.clear()
            self._state.linked_role_created_at.clear()
            self._state.sessions.clear()
            self._authorizer.forget_policies()
            self._state.write_count += 1
            self._consistency.clear()
            self._lingering_use.clear()
            self._edge.clear()
            self._registry.clear()
        if self._state.container_runtime is not None:
            self._state.container_runtime.stop_all()
        if self._state.database_engine is not None:
            self._state.database_engine.stop_all(is_final=False)

    def stop(self) -> None:
        """Stop every container and database, and delete the files of the image registry."""
        if self._state.container_runtime is not None:
            self._state.container_runtime.stop_all()
        if self._state.database_engine is not None:
            self._state.database_engine.stop_all()
        self._registry.clear()

    def handle(self, request: Request) -> Response | None:
        """Return the response to one request, or None to drop the connection."""
        container_host = match_service_host(request)
        if container_host is not None:
            return (
                self._state.container_runtime.forward(container_host, request)
                if self._state.container_runtime
                else _NO_RUNTIME_RESPONSE
            )
        service, region = identify_service(request, self._state.region)
        if service == EDGE_SERVICE or (
            could_be_alias(request) and self._edge.serves_host(request.header("host").partition(":")[0])
        ):
            return self._edge.handle(request)
        if service == REGISTRY_SERVICE:
            return _strip_head_body(
                self._state.backend.handle_registry(request) or self._registry.handle(request), request
            )
        target = identify_target(service, region, request)
        call = self._call_log.start(target.service, target.operation, region)
        call_result = _CallResult(None, False, error="Unanswered")
        writes_resource = call.access == "write" and not _DATA_OPERATION.fullmatch(target.operation)
        self._state.write_count += writes_resource
        try:
            call_result = self._respond(target, request)
        finally:
            self._state.write_count += writes_resource
            status = call_result.response.status if call_result.response else 0
            self._call_log.finish(
                call, status=status, error=call_result.error, executed=call_result.executed, fault=call_result.fault
            )
        return call_result.response

    def _respond(self, target: Target, request: Request) -> _CallResult:
        wait_latency(self._injector.latency_seconds(self._latency_ms))
        session = self._state.sessions.find(request)
        injected = self._injector.choose_fault(target, session.started_at if session else None)
        if isinstance(injected, AwsError):
            return _CallResult(
                serialise_error(target, injected, _generate_request_id()), False, injected.code, "error answer"
            )
        if isinstance(injected, Response):
            return _CallResult(injected, False, "NotAws", "html")
        if isinstance(injected, DropConnection):
            if injected.executed:
                self._execute(target, request)
            return _CallResult(None, injected.executed, "Dropped", injected.fault)
        refusal = self._refuse(target, request)
        if refusal is not None:
            body = serialise_error(target, refusal, _generate_request_id())
            return _CallResult(_strip_head_body(body, request), False, refusal.code, "refused")
        not_found_error = self._consistency.check_read(target, request)
        if not_found_error is not None:
            return _CallResult(
                _strip_head_body(serialise_error(target, not_found_error, _generate_request_id()), request),
                False,
                not_found_error.code,
                "unseen",
            )
        response = self._execute(target, request)
        if target.service == "iam" and classify_access(target.operation) == "write":
            self._authorizer.forget_policies()
        return _CallResult(response, True, extract_error_code(response))

    def _refuse(self, target: Target, request: Request) -> AwsError | None:
        try:
            return self._authorizer.refuse(target, request) or self._lingering_use.refuse(
                target, request, self._state.faults.in_use_deletions
            )
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a dead gateway
            return AwsError("InternalFailure", f"emulator: {type(error).__name__}: {error}", 500)

    def _execute(self, target: Target, request: Request) -> Response:
        request_id = _generate_request_id()
        try:
            check_bucket_owner(request, target, self._state)
            service = self._find_service(target.service)
            can_parse = service is not None and is_supported_protocol(target, request)
            handler = service.handler(target.operation) if service and can_parse else None
            if service is None or (handler is None and not service.is_complete):
                response = self._state.backend.forward(request, target)
            elif handler is None:
                raise AwsError("UnknownOperationException", f"{target.name} is not emulated", 501)
            else:
                response = self._call_handler(handler, target, request, request_id)
        except AwsError as error:
            response = serialise_error(target, error, request_id)
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a dead gateway
            internal_error = AwsError("InternalFailure", f"emulator: {type(error).__name__}: {error}", 500)
            response = serialise_error(target, internal_error, request_id)
        self._consistency.record_create(target, request, response)
        return _strip_head_body(response, request)

    def _call_handler(self, handler: Handler, target: Target, request: Request, request_id: str) -> Response:
        operation_model(target.service, target.operation)
        params = parse_params(request, target)
        with self._state.lock:
            result = handler(params, CallContext(self._state, target, request, request_id))
        return result if isinstance(result, Response) else serialise_result(target, request, result, request_id)

    def _find_service(self, name: str) -> Service | None:
        """Return the service or override for a service name, created at its first call, or None."""
        if name not in self._services:
            with self._state.lock:
                if name not in self._services:
                    self._services[name] = self._create_service(name)
        return self._services[name]

    def _create_service(self, name: str) -> Service | None:
        class_path = _BACKEND_SERVICE_CLASSES.get((self._state.backend.name, name)) or _SERVICE_CLASSES.get(name)
        if class_path is None:
            return None
        module, _, class_name = class_path.partition(":")
        service_class: Any = getattr(import_module(f"{_PACKAGE}.{module}"), class_name)
        service: Service = service_class(self._state)
        return service


def _generate_request_id() -> str:
    return str(uuid.uuid4())


def _strip_head_body(response: Response, request: Request) -> Response:
    """Return a response without its body if the request is a HEAD request."""
    if request.method != "HEAD" or not response.body:
        return response
    return Response(response.status, response.headers, b"", response.length)


def extract_error_code(response: Response) -> str:
    """Return the AWS error code in an error response, or "" for a success."""
    if response.status < 400:
        return ""
    code_match = _ERROR_CODE_PATTERN.search(response.body)
    return (
        next((matched_text.decode() for matched_text in code_match.groups() if matched_text), "")
        if code_match
        else str(response.status)
    )
