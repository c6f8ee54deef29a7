"""Assemble an emulator (gateway, backend, faults, call log) and start and stop it as a whole."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self

from orchestrator.emulator.call_log import Call, CallLog
from orchestrator.emulator.control_api import CONTROL_PREFIX, handle_control_request
from orchestrator.emulator.dispatcher import Dispatcher
from orchestrator.emulator.fault_injector import CrashTiming, Injector
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.gateway import Gateway
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import preload
from orchestrator.emulator.service_base import Backend, EmulatorState

BackendName = Literal["moto", "ministack"]


class Emulator:
    """A running AWS on one loopback port. As a context manager, it stops everything on exit.

    ``pause`` closes the socket and ends every thread; ``resume`` opens a new port. Between the two a process may
    fork; with the moto backend, parent and child each continue with their own copy of the state.
    """

    def __init__(self, backend: Backend, state: EmulatorState, latency_ms: float) -> None:
        self.backend: str = backend.name
        self._backend = backend
        self._state = state
        self._injector = Injector(state.faults, state.account)
        self._call_log = CallLog()
        self._dispatcher = Dispatcher(state, self._injector, self._call_log, latency_ms)
        self._gateway = Gateway(self._handle)
        self._is_open = False

    def enable_container_runtime(self) -> None:
        """Run the images of App Runner and ECS services as processes on this machine from now on (Linux only)."""
        from orchestrator.emulator.container_runtime import ProcessRuntime

        self._state.container_runtime = ProcessRuntime(self._state, self._dispatcher.handle, lambda: self.environment)

    def enable_databases(self) -> None:
        """Run the databases of RDS as PostgreSQL servers from now on, if PostgreSQL is installed (Linux only)."""
        from orchestrator.emulator.database_engine import PostgresEngine, find_binaries

        if find_binaries() is not None:
            self._state.database_engine = PostgresEngine()

    @property
    def database_ca_bundle(self) -> str:
        """Return the certificate authority of the databases in PEM, or "" if none are run."""
        engine = self._state.database_engine
        return engine.ca_bundle if engine else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return ``http://127.0.0.1:PORT``; the port changes with every ``resume``."""
        return f"http://127.0.0.1:{self._gateway.port}"

    def browser_url(self, host: str) -> str:
        """Return the URL, without a path, at which a local browser reaches a distribution or a service."""
        return f"http://{host.lower()}.localhost:{self._gateway.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point an AWS client at this emulator; its IP address implies path-style S3."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_SESSION_TOKEN": "emulator",
            "AWS_REGION": self._state.region,
            "AWS_DEFAULT_REGION": self._state.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        }

    @property
    def calls(self) -> list[Call]:
        """Return a copy of the AWS calls so far, in order of arrival; ``ended`` is None for calls in flight."""
        return self._call_log.list_calls()

    def clear_calls(self) -> None:
        """Drop the recorded calls and number from 1 again."""
        self._call_log.clear()

    @property
    def faults(self) -> Faults:
        """Return the current fault settings; assign to replace them."""
        return self._state.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._state.faults = faults
        self._injector.set_faults(faults)

    def crash_at(self, write_number: int, when: CrashTiming = "before") -> None:
        """Crash at the n-th write from now, counted from 1: before it executes, or after it, losing its response.

        From then on the emulator drops every connection until ``revive``. Raises ValueError for an invalid argument.
        """
        self._injector.crash_at(write_number, when)

    def revive(self) -> None:
        """Answer requests again after a crash."""
        self._injector.revive()

    @property
    def is_crashed(self) -> bool:
        """Return whether the emulator has crashed."""
        return self._injector.is_crashed

    def reset(self) -> None:
        """Delete every resource except the default VPC. Faults and recorded calls stay."""
        self._backend.reset()
        self._dispatcher.reset()

    def open(self, port: int = 0) -> None:
        """Listen on a port, 0 for any free one. Raises OSError if the port is taken."""
        self._gateway.open(port)
        self._is_open = True

    def pause(self) -> None:
        """Stop listening and end all threads, keeping the state. Calls in flight are answered or cut off."""
        if self._is_open:
            self._gateway.close()
            self._is_open = False

    def resume(self) -> None:
        """Listen again, on a new free port."""
        if not self._is_open:
            self.open()

    def stop(self) -> None:
        """Stop for good and discard the state."""
        self.pause()
        self._dispatcher.stop()
        self._backend.stop()

    def _handle(self, request: Request) -> Response | None:
        if request.target.startswith(CONTROL_PREFIX):
            return handle_control_request(self, request)
        return self._dispatcher.handle(request)


def start(  # noqa: PLR0913 - one parameter per setting
    backend: BackendName = "moto",
    port: int = 0,
    latency_ms: float = 0,
    faults: Faults | None = None,
    settle_seconds: float = 0.05,
    account: str = "123456789012",
    region: str = "eu-west-1",
    *,
    run_services: bool = False,
) -> Emulator:
    """Start an empty AWS on 127.0.0.1.

    ``settle_seconds`` is how long asynchronous operations (App Runner, ECS, RDS, CloudFront) take. With
    ``run_services``, App Runner and ECS run the pushed images, and the process decides whether a deployment is healthy;
    RDS runs PostgreSQL, if it is installed.
    Raises ValueError for an unknown backend, OSError if the port is taken, RuntimeError if MiniStack does not start.
    """
    preload()
    aws_backend = _create_backend(backend, account, region)
    state = EmulatorState(account, region, aws_backend, settle_seconds, faults or Faults())
    aws_backend.start()
    emulator = Emulator(aws_backend, state, latency_ms)
    if run_services:
        emulator.enable_container_runtime()
        emulator.enable_databases()
    try:
        emulator.open(port)
    except OSError:
        aws_backend.stop()
        raise
    return emulator


def _create_backend(name: str, account: str, region: str) -> Backend:
    if name == "moto":
        from orchestrator.emulator.backends.moto import MotoBackend

        return MotoBackend(account)
    if name == "ministack":
        from orchestrator.emulator.backends.ministack import MiniStackBackend

        return MiniStackBackend(account, region)
    raise ValueError(f"unknown backend {name!r}: use moto or ministack")
