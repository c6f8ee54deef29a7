"""Run moto inside this process. No other module touches moto's backends and their state.

moto keeps its state in module globals. Each instance here owns one set of that state and swaps it in before it
answers, so two emulators in one process stay separate. One lock serves all of them: moto is not thread-safe.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from orchestrator.emulator.error_responses import serialise_error
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Target, build_wsgi_environ, to_moto_request

_moto_lock = threading.RLock()
_PACKAGE_NAMES = {
    "lambda": "awslambda",
    "application-autoscaling": "applicationautoscaling",
    "stepfunctions": "stepfunctions",
}


class MotoBackend:
    """AWS by moto, for one account."""

    name = "moto"
    _active_instance: ClassVar[MotoBackend | None] = None

    def __init__(self, account: str) -> None:
        self._account = account
        self._saved_state: list[tuple[Any, dict[str, Any], dict[str, Any]]] = []

    def start(self) -> None:
        """Stop moto from loading its 1,300 machine images, which take longer than everything else."""
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

    def stop(self) -> None:
        """Discard the state."""
        self.reset()
        with _moto_lock:
            if MotoBackend._active_instance is self:
                MotoBackend._active_instance = None

    def reset(self) -> None:
        """Delete every resource of this account."""
        from moto.core.base_backend import BackendDict

        with _moto_lock:
            self._activate()
            for backends in BackendDict._instances:
                _clear_backends(backends)
            BackendDict._instances.clear()

    def add_managed_policy(self, name: str, policy: dict[str, Any]) -> None:
        """Add one of AWS's managed policies: moto itself loads either all of them or none."""
        from moto.backends import get_backend
        from moto.iam.models import AWSManagedPolicy

        with _moto_lock:
            self._activate()
            iam: Any = get_backend("iam")[self._account]["aws"]
            managed_policy = AWSManagedPolicy.from_data(name, self._account, "aws", policy)
            if managed_policy.arn not in iam.managed_policies:
                iam.managed_policies[managed_policy.arn] = managed_policy
                iam.aws_managed_policies.append(managed_policy)

    def set_current_secret_version(self, region: str, secret_id: str, version_id: str) -> None:
        """Set a secret's value to that of the version labelled AWSCURRENT, which moto tracks separately."""
        from moto.backends import get_backend

        with _moto_lock:
            self._activate()
            stored_secret: Any = get_backend("secretsmanager")[self._account][region].secrets[secret_id]
            stored_secret.set_default_version_id(version_id)

    def handle_registry(self, request: Request) -> Response | None:
        """Return None: moto has no registry."""
        return None

    def forward(self, request: Request, target: Target) -> Response:
        """Answer one request; return a 500 or 501 in the service's protocol if moto fails or lacks the operation."""
        host = f"{target.service}.{target.region}.amazonaws.com"
        account_header = (("x-moto-account-id", self._account),)
        wire_request = Request(request.method, request.target, (*request.headers, *account_header), request.body)
        try:
            with _moto_lock:
                self._activate()
                responder = _find_responder(target.service, _s3_path_depth(target.service, request.path))
                if responder is None:
                    return _respond_with_application(wire_request, target)
                return _call_responder(responder, to_moto_request(wire_request, host), request.method)
        except NotImplementedError as error:
            return serialise_error(target, AwsError("NotImplemented", f"moto: {error}", 501), "moto")
        except Exception as error:  # noqa: BLE001 - moto's own bugs must not look like a dead gateway
            aws_error = AwsError("InternalFailure", f"moto: {type(error).__name__}: {error}", 500)
            return serialise_error(target, aws_error, "moto")

    def _activate(self) -> None:
        """Swap this emulator's state into moto's globals."""
        from moto.core.base_backend import BackendDict

        if MotoBackend._active_instance is self:
            return
        if MotoBackend._active_instance is not None:
            MotoBackend._active_instance._saved_state = [
                _extract_state(backends_by_account) for backends_by_account in BackendDict._instances
            ]
        BackendDict._instances.clear()
        for backends, accounts, attributes in self._saved_state:
            backends.update(accounts)
            for name, value in attributes.items():
                setattr(backends, name, value)
            BackendDict._instances.append(backends)
        self._saved_state = []
        MotoBackend._active_instance = self


def _extract_state(backends: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Move the content out of one of moto's globals and return it."""
    accounts = dict(backends.items())
    backends.clear()
    attributes = {}
    if hasattr(backends, "bucket_accounts"):
        attributes["bucket_accounts"] = backends.bucket_accounts
        backends.bucket_accounts = {}
    return backends, accounts, attributes


def _clear_backends(backends: Any) -> None:
    """Empty one of moto's globals. Only S3 holds files that need closing; resetting the rest would recreate them."""
    if hasattr(backends, "bucket_accounts"):
        for account in backends.values():
            account.reset()
        backends.bucket_accounts.clear()
    backends.clear()


def _s3_path_depth(service: str, path: str) -> int:
    """Return which of moto's S3 entry points a path belongs to: 0 the service, 1 a bucket, 2 an object."""
    if service != "s3":
        return 0
    bucket, _, key = path.lstrip("/").partition("/")
    return 2 if key else 1 if bucket else 0


@cache
def _remember_method_names() -> None:
    """Let moto list the methods of a class once: it does so in every request, in a tenth of its time."""
    from moto.core import responses

    responses.method_names_from_class = cache(responses.method_names_from_class)


@cache
def _find_responder(service: str, path_depth: int) -> Callable[..., Any] | None:
    """Return moto's entry point for a service with one URL, bypassing Flask's routing; None if it has several."""
    from moto.backends import get_backend

    _remember_method_names()
    if service == "s3":
        from moto.s3.responses import S3Response

        responder = (S3Response.bucket_dispatch, S3Response.ambiguous_dispatch, S3Response.key_dispatch)[path_depth]
        get_backend("s3")
        return responder  # type: ignore[no-any-return]
    try:
        backends: Any = get_backend(_PACKAGE_NAMES.get(service, service))
    except (ImportError, KeyError, AttributeError):
        return None
    if service not in _SINGLE_URL_SERVICES:
        return None
    region = "us-east-1" if "us-east-1" in backends["123456789012"] else "aws"
    responders_by_path = backends["123456789012"][region].flask_paths
    root_responder: Callable[..., Any] = responders_by_path["/"]
    return root_responder


_SINGLE_URL_SERVICES = frozenset(
    [
        "iam",
        "rds",
        "ec2",
        "secretsmanager",
        "ecr",
        "logs",
        "sns",
        "cloudwatch",
        "budgets",
        "sts",
        "resourcegroupstaggingapi",
        "kms",
        "ssm",
        "ecs",
        "elbv2",
    ]
)


def _call_responder(responder: Callable[..., Any], wire_request: Any, method: str) -> Response:
    from botocore.exceptions import ClientError

    try:
        result = responder(wire_request, wire_request.raw_url, dict(wire_request.headers))
    except ClientError as error:
        result = 400, {}, error.response["Error"]["Message"]
    status, headers, content = result if len(result) == 3 else (200, {}, result)
    body = content.encode() if isinstance(content, str) else bytes(content or b"")
    return _build_response(int(status), list(headers.items()), body, method)


def _build_response(status: int, header_pairs: list[tuple[str, Any]], body: bytes, method: str) -> Response:
    """Drop the headers that the gateway writes itself; keep the content length of a HEAD response."""
    length = next((int(value) for name, value in header_pairs if name.lower() == "content-length"), None)
    dropped_headers = ("content-length", "connection", "date", "server", "status")
    headers = tuple((str(name), str(value)) for name, value in header_pairs if name.lower() not in dropped_headers)
    if method == "HEAD":
        return Response(status, headers, b"", length)
    return Response(status, headers, body)


@cache
def _moto_application() -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


def _respond_with_application(request: Request, target: Target) -> Response:
    """Answer through moto's own server application, for services with many URLs."""
    responses: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        responses.append((status, headers))

    environ_dict = build_wsgi_environ(request)
    environ_dict["wsgi.errors"] = _NullStream()
    body = b"".join(_moto_application()(environ_dict, start_response))
    status, headers = responses[0]
    return _build_response(int(status.split()[0]), headers, body, request.method)


class _NullStream:
    """Discards Flask's tracebacks: the gateway returns the error, and the terminal is not moto's."""

    def write(self, _: str) -> None:
        """Discard the text."""

    def flush(self) -> None:
        """Do nothing."""
