"""moto inside this process.  The only module that touches moto's backends and their state.

moto keeps its state in module globals.  Each instance here owns a set of that state and swaps it in when it answers,
so two emulators in one process do not see each other.  One lock serves all of them: moto is not thread-safe.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from orchestrator.emulator.error_responses import refuse
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Target, environ, moto_request

_lock = threading.RLock()
_PACKAGES = {
    "lambda": "awslambda",
    "application-autoscaling": "applicationautoscaling",
    "stepfunctions": "stepfunctions",
}


class MotoBackend:
    """AWS by moto, for one account."""

    name = "moto"
    _owner: ClassVar[MotoBackend | None] = None

    def __init__(self, account: str) -> None:
        self._account = account
        self._kept: list[tuple[Any, dict[str, Any], dict[str, Any]]] = []

    def start(self) -> None:
        """Have moto leave out its 1,300 machine images, which take longer to make than everything else."""
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

    def stop(self) -> None:
        """Drop the state."""
        self.reset()
        with _lock:
            if MotoBackend._owner is self:
                MotoBackend._owner = None

    def reset(self) -> None:
        """Empty this account's AWS."""
        from moto.core.base_backend import BackendDict

        with _lock:
            self._enter()
            for backends in BackendDict._instances:
                _discard(backends)
            BackendDict._instances.clear()

    def adopt(self, name: str, policy: dict[str, Any]) -> None:
        """Put one of AWS's managed policies in place: moto would load all of them or none."""
        from moto.backends import get_backend
        from moto.iam.models import AWSManagedPolicy

        with _lock:
            self._enter()
            iam: Any = get_backend("iam")[self._account]["aws"]
            made = AWSManagedPolicy.from_data(name, self._account, "aws", policy)
            if made.arn not in iam.managed_policies:
                iam.managed_policies[made.arn] = made
                iam.aws_managed_policies.append(made)

    def settle(self, region: str, secret: str, version: str) -> None:
        """Have a secret's value be that of the version labelled AWSCURRENT: moto has a mark of its own for it."""
        from moto.backends import get_backend

        with _lock:
            self._enter()
            held: Any = get_backend("secretsmanager")[self._account][region].secrets[secret]
            held.set_default_version_id(version)

    def edge(self, request: Request) -> Response | None:
        """moto has no registry."""
        return None

    def forward(self, request: Request, target: Target) -> Response:
        """Answer one request; a moto that fails or lacks the operation answers 500 or 501 in the service's protocol."""
        host = f"{target.service}.{target.region}.amazonaws.com"
        extra = (("x-moto-account-id", self._account),)
        wire = Request(request.method, request.target, (*request.headers, *extra), request.body)
        try:
            with _lock:
                self._enter()
                respond = _responder(target.service, _segments(target.service, request.path))
                if respond is None:
                    return _by_application(wire, target)
                return _converted(respond, moto_request(wire, host), request.method)
        except NotImplementedError as error:
            return refuse(target, AwsError("NotImplemented", f"moto: {error}", 501), "moto")
        except Exception as error:  # noqa: BLE001 - moto's own bugs must not look like a dead gateway
            failure = AwsError("InternalFailure", f"moto: {type(error).__name__}: {error}", 500)
            return refuse(target, failure, "moto")

    def _enter(self) -> None:
        """Swap this emulator's state into moto's globals."""
        from moto.core.base_backend import BackendDict

        if MotoBackend._owner is self:
            return
        if MotoBackend._owner is not None:
            MotoBackend._owner._kept = [_take(each) for each in BackendDict._instances]
        BackendDict._instances.clear()
        for backends, accounts, attributes in self._kept:
            backends.update(accounts)
            for name, value in attributes.items():
                setattr(backends, name, value)
            BackendDict._instances.append(backends)
        self._kept = []
        MotoBackend._owner = self


def _take(backends: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Move the content of one of moto's globals out of it."""
    accounts = dict(backends.items())
    backends.clear()
    attributes = {}
    if hasattr(backends, "bucket_accounts"):
        attributes["bucket_accounts"] = backends.bucket_accounts
        backends.bucket_accounts = {}
    return backends, accounts, attributes


def _discard(backends: Any) -> None:
    """Empty one of moto's globals.  Only S3 holds files that want closing; the rest would just be made anew."""
    if hasattr(backends, "bucket_accounts"):
        for account in backends.values():
            account.reset()
        backends.bucket_accounts.clear()
    backends.clear()


def _segments(service: str, path: str) -> int:
    """For S3, which of moto's entries a path belongs to: 0 the service, 1 a bucket, 2 an object."""
    if service != "s3":
        return 0
    bucket, _, key = path.lstrip("/").partition("/")
    return 2 if key else 1 if bucket else 0


@cache
def _responder(service: str, segments: int) -> Callable[..., Any] | None:
    """moto's entry for a service with one URL, past Flask's routing; None where there are more."""
    from moto.backends import get_backend

    if service == "s3":
        from moto.s3.responses import S3Response

        found = (S3Response.bucket_dispatch, S3Response.ambiguous_dispatch, S3Response.key_dispatch)[segments]
        get_backend("s3")
        return found  # type: ignore[no-any-return]
    try:
        backends: Any = get_backend(_PACKAGES.get(service, service))
    except (ImportError, KeyError, AttributeError):
        return None
    if service not in _ONE_URL:
        return None
    region = "us-east-1" if "us-east-1" in backends["123456789012"] else "aws"
    paths = backends["123456789012"][region].flask_paths
    respond: Callable[..., Any] = paths["/"]
    return respond


_ONE_URL = frozenset(
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


def _converted(respond: Callable[..., Any], wire: Any, method: str) -> Response:
    from botocore.exceptions import ClientError

    try:
        result = respond(wire, wire.raw_url, dict(wire.headers))
    except ClientError as error:
        result = 400, {}, error.response["Error"]["Message"]
    status, headers, content = result if len(result) == 3 else (200, {}, result)
    body = content.encode() if isinstance(content, str) else bytes(content or b"")
    return _response(int(status), list(headers.items()), body, method)


def _response(status: int, pairs: list[tuple[str, Any]], body: bytes, method: str) -> Response:
    """Drop the headers the gateway writes itself; keep the length HEAD tells."""
    length = next((int(value) for name, value in pairs if name.lower() == "content-length"), None)
    dropped = ("content-length", "connection", "date", "server", "status")
    headers = tuple((str(name), str(value)) for name, value in pairs if name.lower() not in dropped)
    if method == "HEAD":
        return Response(status, headers, b"", length)
    return Response(status, headers, body)


@cache
def _application() -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


def _by_application(request: Request, target: Target) -> Response:
    """Answer through moto's own server application: services with many URLs."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        started.append((status, headers))

    env = environ(request)
    env["wsgi.errors"] = _Discard()
    body = b"".join(_application()(env, start_response))
    status, headers = started[0]
    return _response(int(status.split()[0]), headers, body, request.method)


class _Discard:
    """Where Flask's tracebacks go: the gateway answers the error, the terminal is not moto's."""

    def write(self, _: str) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Nothing to do."""
