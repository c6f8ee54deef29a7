"""One AWS call from arrival to answer: count it, hold it back, spoil it if told to, and have it answered.

Decides who answers (a service here, a correction, or the backend as it is) and nothing about what is answered.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from orchestrator.emulator.call_log import CallLog
from orchestrator.emulator.cdn_edge import Viewer
from orchestrator.emulator.error_responses import refuse
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.eventual_consistency import Visibility
from orchestrator.emulator.fault_injector import Drop, Injector, hold_back
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.image_registry import Registry
from orchestrator.emulator.routing import EDGE, REGISTRY, may_be_alias, route, service_host
from orchestrator.emulator.server_protocol import Target, answer, identify, is_understood, operation_model, parse
from orchestrator.emulator.service_base import Context, Handler, Service, World

_PACKAGE = "orchestrator.emulator"
_SERVICES = {
    "apprunner": "services.apprunner.service:AppRunner",
    "budgets": "services.budgets:Budgets",
    "cloudwatch": "overrides.cloudwatch:CloudWatch",
    "ec2": "overrides.ec2:Ec2",
    "ecr": "overrides.ecr:Ecr",
    "ecs": "services.express.service:Ecs",
    "iam": "overrides.iam:Iam",
    "logs": "overrides.logs:Logs",
    "rds": "overrides.rds.service:Rds",
    "resourcegroupstaggingapi": "services.tagging:Tagging",
    "s3": "overrides.s3:S3",
    "secretsmanager": "overrides.secretsmanager:SecretsManager",
    "sns": "overrides.sns:Sns",
}
_ON_BACKEND: dict[tuple[str, str], str] = {
    ("moto", "cloudfront"): "services.cloudfront.service:CloudFront",
    ("ministack", "cloudfront"): "overrides.cloudfront:CloudFront",
}
_CODE = re.compile(rb"<Code>([^<]+)</Code>|\"__type\"\s*:\s*\"(?:[^\"#]*#)?([^\"]+)\"")

_NOT_RUN = Response(404, (("Content-Type", "text/plain"),), b"this emulator runs no services: start it to run them\n")


@dataclass(frozen=True)
class _Done:
    response: Response | None
    executed: bool
    error: str = ""
    fault: str = ""


class Dispatcher:
    """Answers the AWS calls of one emulator."""

    def __init__(self, world: World, injector: Injector, log: CallLog, latency_ms: float) -> None:
        self._world = world
        self._injector = injector
        self._log = log
        self._latency_ms = latency_ms
        self._visibility = Visibility(world)
        self._services: dict[str, Service | None] = {}
        world.find = self._service
        self._viewer = Viewer(world, self.handle)
        self._registry = Registry(world)

    def forget_state(self) -> None:
        """Empty the services that live here."""
        with self._world.lock:
            self._services.clear()
            self._world.role_born.clear()
            self._world.writes += 1
            self._visibility.forget()
            self._viewer.forget()
            self._registry.forget()
        if self._world.runs is not None:
            self._world.runs.stop_all()

    def stop(self) -> None:
        """Let go of what runs and lies on this machine."""
        if self._world.runs is not None:
            self._world.runs.stop_all()
        self._registry.forget()

    def handle(self, request: Request) -> Response | None:
        """Answer one request; None drops the connection."""
        running = service_host(request)
        if running is not None:
            return self._world.runs.visit(running, request) if self._world.runs else _NOT_RUN
        service, region = route(request, self._world.region)
        if service == EDGE or (may_be_alias(request) and self._viewer.knows(request.header("host").partition(":")[0])):
            return self._viewer.handle(request)
        if service == REGISTRY:
            return _headless(self._world.backend.edge(request) or self._registry.handle(request), request)
        target = identify(service, region, request)
        call = self._log.begin(target.service, target.operation, region)
        done = _Done(None, False, error="Unanswered")
        self._world.writes += call.access == "write"
        try:
            done = self._answer(target, request)
        finally:
            self._world.writes += call.access == "write"
            status = done.response.status if done.response else 0
            self._log.end(call, status=status, error=done.error, executed=done.executed, fault=done.fault)
        return done.response

    def _answer(self, target: Target, request: Request) -> _Done:
        hold_back(self._injector.latency(self._latency_ms))
        decision = self._injector.decide(target)
        if isinstance(decision, AwsError):
            return _Done(refuse(target, decision, _request_id()), False, decision.code, "error answer")
        if isinstance(decision, Drop):
            if decision.executed:
                self._execute(target, request)
            return _Done(None, decision.executed, "Dropped", decision.fault)
        unseen = self._visibility.before(target, request)
        if unseen is not None:
            return _Done(_headless(refuse(target, unseen, _request_id()), request), False, unseen.code, "unseen")
        response = self._execute(target, request)
        return _Done(response, True, error_code(response))

    def _execute(self, target: Target, request: Request) -> Response:
        request_id = _request_id()
        try:
            service = self._service(target.service)
            spoken = service is not None and is_understood(target, request)
            handler = service.handler(target.operation) if service and spoken else None
            if service is None or (handler is None and not service.complete):
                response = self._world.backend.forward(request, target)
            elif handler is None:
                raise AwsError("UnknownOperationException", f"{target.name} is not emulated", 501)
            else:
                response = self._handled(handler, target, request, request_id)
        except AwsError as error:
            response = refuse(target, error, request_id)
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a dead gateway
            failure = AwsError("InternalFailure", f"emulator: {type(error).__name__}: {error}", 500)
            response = refuse(target, failure, request_id)
        self._visibility.after(target, request, response)
        return _headless(response, request)

    def _handled(self, handler: Handler, target: Target, request: Request, request_id: str) -> Response:
        operation_model(target.service, target.operation)
        params = parse(request, target)
        with self._world.lock:
            result = handler(params, Context(self._world, target, request, request_id))
        return result if isinstance(result, Response) else answer(target, request, result, request_id)

    def _service(self, name: str) -> Service | None:
        """The service or correction for a name, made at its first call."""
        if name not in self._services:
            with self._world.lock:
                if name not in self._services:
                    self._services[name] = self._make(name)
        return self._services[name]

    def _make(self, name: str) -> Service | None:
        place = _ON_BACKEND.get((self._world.backend.name, name)) or _SERVICES.get(name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        factory: Any = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)
        made: Service = factory(self._world)
        return made


def _request_id() -> str:
    return str(uuid.uuid4())


def _headless(response: Response, request: Request) -> Response:
    """HEAD gets no body, whoever answered."""
    if request.method != "HEAD" or not response.body:
        return response
    return Response(response.status, response.headers, b"", response.length)


def error_code(response: Response) -> str:
    """The AWS error code in an error response, or "" for a success."""
    if response.status < 400:
        return ""
    found = _CODE.search(response.body)
    return next((part.decode() for part in found.groups() if part), "") if found else str(response.status)
