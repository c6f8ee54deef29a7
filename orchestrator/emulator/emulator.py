"""The emulator as a whole: a gateway, a backend, faults and a log of calls, started and stopped together."""

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
    """A running AWS on one loopback port.  A context manager: leaving it stops everything.

    ``pause`` and ``resume`` take its threads and socket away and give them back, on a new port: between them a
    process may fork, and with the moto backend each side goes on with its own copy of the state.
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
        """From now on, run the images of App Runner's and ECS's services as processes of this machine (Linux only)."""
        from orchestrator.emulator.container_runtime import ProcessRuntime

        self._state.container_runtime = ProcessRuntime(self._state, self._dispatcher.handle, lambda: self.environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; the port changes with every ``resume``."""
        return f"http://127.0.0.1:{self._gateway.port}"

    def browser_url(self, host: str) -> str:
        """The URL, without a path, under which a browser on this machine finds a distribution or a service."""
        return f"http://{host.lower()}.localhost:{self._gateway.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that turn an AWS client to this emulator; S3 paths need no virtual hosts there."""
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
        """A copy of the AWS calls so far, in order of arrival; calls still in flight have ``ended`` None."""
        return self._call_log.list_calls()

    def clear_calls(self) -> None:
        """Drop the recorded calls and number from 1 again."""
        self._call_log.clear()

    @property
    def faults(self) -> Faults:
        """What goes wrong at present; assign to replace it."""
        return self._state.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._state.faults = faults
        self._injector.set_faults(faults)

    def crash_at(self, write_number: int, when: CrashTiming = "before") -> None:
        """Crash at the n-th write (from 1) from now: before it is done, or after, its answer lost.

        From then on every connection is dropped until ``revive``.  Raises ValueError.
        """
        self._injector.crash_at(write_number, when)

    def revive(self) -> None:
        """Answer again."""
        self._injector.revive()

    @property
    def is_crashed(self) -> bool:
        """Whether the crash has come."""
        return self._injector.is_crashed

    def reset(self) -> None:
        """Empty AWS: no resource is left but a default VPC.  Faults and calls stay."""
        self._backend.reset()
        self._dispatcher.reset()

    def open(self, port: int = 0) -> None:
        """Listen.  Raises OSError when the port is taken."""
        self._gateway.open(port)
        self._is_open = True

    def pause(self) -> None:
        """Stop listening and end all threads; the state stays.  Calls in flight are answered or cut."""
        if self._is_open:
            self._gateway.close()
            self._is_open = False

    def resume(self) -> None:
        """Listen again, on a new free port."""
        if not self._is_open:
            self.open()

    def stop(self) -> None:
        """Stop for good; the state is gone."""
        self.pause()
        self._dispatcher.stop()
        self._backend.stop()

    def _handle(self, request: Request) -> Response | None:
        if request.target.startswith(CONTROL_PREFIX):
            return handle_control_request(self, request)
        return self._dispatcher.handle(request)


def start(  # noqa: PLR0913 - its knobs
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

    ``settle_seconds`` is how long asynchronous operations (App Runner, ECS, RDS, CloudFront) take; ``run_services``:
    App Runner and ECS run the images that were pushed, and a deployment is as healthy as they are.  Raises ValueError
    for an unknown backend, OSError when the port is taken, RuntimeError when MiniStack does not come up.
    """
    preload()
    aws_backend = _create_backend(backend, account, region)
    state = EmulatorState(account, region, aws_backend, settle_seconds, faults or Faults())
    aws_backend.start()
    emulator = Emulator(aws_backend, state, latency_ms)
    if run_services:
        emulator.enable_container_runtime()
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
    raise ValueError(f"no such backend: {name!r}; there are moto and ministack")
