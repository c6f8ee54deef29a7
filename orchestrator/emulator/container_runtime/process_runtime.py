"""Run the processes behind App Runner and ECS services; switch traffic to a new one once it is healthy.

The old process answers until the new one is healthy, and keeps running if that never happens.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.emulator.container_runtime import health_check
from orchestrator.emulator.container_runtime.container import Instance
from orchestrator.emulator.container_runtime.image_puller import Dispatch, ImageError, ImagePuller
from orchestrator.emulator.container_runtime.secret_values import SecretError, resolve_secret
from orchestrator.emulator.container_runtime.task_process import TaskProcess
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.service_base import EmulatorState, Workload

_HOP_HEADERS = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_FORWARDED_PREFIX = "x-forwarded-"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
STOP_TIMEOUT_SECONDS = 10.0
"""How long ``stop_all`` waits for processes that are starting or stopping."""


@dataclass(eq=False)
class ProcessStartAttempt:
    """One attempt to start a service: ``is_healthy`` is None until it ends.

    ``is_restart``: not a deployment, but the restart of a container that exited.
    """

    workload: Workload
    is_restart: bool = False
    is_healthy: bool | None = None
    reason: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Give up the attempt; a container that already serves traffic keeps running."""
        self.cancelled.set()


class ProcessRuntime:
    """All processes of one emulator. ``environment`` returns the variables that point an AWS client at it."""

    def __init__(self, state: EmulatorState, dispatch: Dispatch, environment: Callable[[], Mapping[str, str]]) -> None:
        self._state = state
        self._image_puller = ImagePuller(state, dispatch)
        self._environment = environment
        self._lock = threading.Lock()
        self._running: dict[str, tuple[ProcessStartAttempt, Instance]] = {}
        self._attempts: list[ProcessStartAttempt] = []
        self._tasks: list[TaskProcess] = []
        self._threads: list[threading.Thread] = []
        self._owner_pid = os.getpid()

    def start(self, workload: Workload) -> ProcessStartAttempt:
        """Start an attempt to run a workload."""
        return self._start_attempt(ProcessStartAttempt(workload))

    def run_task(self, workload: Workload) -> TaskProcess:
        """Run a workload once; its ``output_log`` names the whole stream, its host nothing but the task."""
        group, stream = workload.output_log or ("", "")

        def write_log(lines: list[str]) -> None:
            if group:
                self._put_log_events(group, stream, workload.region, lines)

        task = TaskProcess(lambda: self._start_instance(workload), write_log)
        self._tasks.append(task)
        self._run_in_background("emulator-task", task.execute)
        return task

    def stop(self, host: str) -> None:
        """Stop the process behind a host and cancel the attempts to start one."""
        with self._lock:
            for attempt in self._attempts:
                if attempt.workload.host == host:
                    attempt.cancel()
            running = self._running.pop(host, None)
        if running is not None:
            running[1].stop()

    def stop_all(self) -> None:
        """Stop everything and wait for it. In a fork, leave the parent's processes alone."""
        if self._owner_pid != os.getpid():
            return
        for task in self._tasks:
            task.stop()
        with self._lock:
            hosts = {*self._running, *(attempt.workload.host for attempt in self._attempts)}
        for host in hosts:
            self.stop(host)
        with self._lock:
            threads, self._threads = self._threads, []
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def forward(self, host: str, request: Request) -> Response:
        """Return the response of the process behind a host; 404 without one, 503 if it has died.

        A request to a process that was just replaced goes to its successor, unless that could execute it twice.
        """
        while (running := self._find_running(host)) is not None:
            try:
                return _proxy_request(running[1].port, host, request)
            except (OSError, http.client.HTTPException) as error:
                if running[1].exit_code is not None:
                    self._restart(host, running)
                can_retry = isinstance(error, ConnectionRefusedError) or request.method in _SAFE_METHODS
                if not can_retry or self._find_running(host) in (None, running):
                    return _text_response(503, "upstream connect error or disconnect/reset before headers")
        return _text_response(404, "no running service has this host name")

    def _find_running(self, host: str) -> tuple[ProcessStartAttempt, Instance] | None:
        with self._lock:
            return self._running.get(host)

    def _start_attempt(self, attempt: ProcessStartAttempt) -> ProcessStartAttempt:
        with self._lock:
            self._attempts.append(attempt)
        self._run_in_background("emulator-start", lambda: self._run_attempt(attempt))
        return attempt

    def _run_in_background(self, name: str, task: Callable[[], None]) -> None:
        thread = threading.Thread(target=task, name=name, daemon=True)
        with self._lock:
            self._threads = [active_thread for active_thread in self._threads if active_thread.is_alive()] + [thread]
            thread.start()

    def _restart(self, host: str, stopped: tuple[ProcessStartAttempt, Instance]) -> None:
        """Restart a container that exited, as App Runner and ECS do; a running deployment goes on."""
        with self._lock:
            if self._running.get(host) is not stopped:
                return
            del self._running[host]
        stopped[1].stop()
        self._start_attempt(ProcessStartAttempt(stopped[0].workload, is_restart=True))

    def _run_attempt(self, attempt: ProcessStartAttempt) -> None:
        """Run an attempt to its end; set ``is_healthy`` whatever happens."""
        instance, is_healthy = None, False
        try:
            instance = self._start_instance(attempt.workload)
            attempt.reason = health_check.wait_until_healthy(instance, attempt.workload.health_check, attempt.cancelled)
        except (ImageError, SecretError, AwsError, OSError) as error:
            attempt.reason = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - a service that cannot be run is a failed deployment, not a hang
            attempt.reason = f"the emulator cannot run the container ({type(error).__name__}: {error})"
        try:
            is_healthy = instance is not None and not attempt.reason and self._switch_traffic(attempt, instance)
            self._write_logs(attempt, instance)
            if instance is not None and not is_healthy:
                instance.stop()
        finally:
            with self._lock:
                self._attempts.remove(attempt)
            attempt.is_healthy = is_healthy

    def _start_instance(self, workload: Workload) -> Instance:
        folder = Path(tempfile.mkdtemp(prefix=f"orchestrator-service-{os.getpid()}-"))
        try:
            image = self._image_puller.unpack(workload.image, folder / "root")
            variables = {
                **self._environment(),
                **workload.environment,
                **dict(self._resolve_secrets(workload.secrets, workload.region)),
            }
            arguments = (*image.entrypoint, *workload.arguments) if workload.arguments else ()
            return Instance(image, variables, workload.command or arguments, folder, workload.port)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _resolve_secrets(self, references: Mapping[str, str], region: str) -> Iterator[tuple[str, str]]:
        for name, reference in references.items():
            yield name, resolve_secret(self._state, reference, region)

    def _switch_traffic(self, attempt: ProcessStartAttempt, instance: Instance) -> bool:
        """Send traffic to the new process, then stop the old one; return False if cancelled."""
        host = attempt.workload.host
        with self._lock:
            previous = self._running.get(host)
            if attempt.cancelled.is_set() or (attempt.is_restart and previous is not None):
                return False
            self._running[host] = (attempt, instance)
        if previous is not None:
            self._run_in_background("emulator-retire", previous[1].stop)
        return True

    def _write_logs(self, attempt: ProcessStartAttempt, instance: Instance | None) -> None:
        """Write the container's output and the result of its start to their log groups."""
        workload = attempt.workload
        if workload.output_log and instance is not None:
            group, prefix = workload.output_log
            self._put_log_events(group, f"{prefix}/{uuid.uuid4().hex}", workload.region, instance.read_log_tail())
        if workload.event_log_group:
            event_message = attempt.reason or "Health check is successful. Routing traffic to application."
            self._put_log_events(
                workload.event_log_group,
                f"instance/{uuid.uuid4().hex}",
                workload.region,
                [f"[AppRunner] {event_message}"],
            )

    def _put_log_events(self, group: str, stream: str, region: str, messages: list[str]) -> None:
        events = [{"timestamp": int(time.time() * 1000), "message": message or " "} for message in messages]
        stream_params = {"logGroupName": group, "logStreamName": stream}
        try:
            if events:
                with contextlib.suppress(AwsError):  # a task writes to its stream again and again
                    self._state.call("logs", "CreateLogStream", region, **stream_params)
                self._state.call("logs", "PutLogEvents", region, **stream_params, logEvents=events)
        except AwsError:
            return  # the log group was deleted, so drop the lines


def _proxy_request(port: int, host: str, request: Request) -> Response:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        request_headers = [*_forwardable_headers(request), ("Host", host), *_forwarded_headers(request)]
        for name, value in (*request_headers, ("Content-Length", str(len(request.body)))):
            connection.putheader(name, value)
        connection.endheaders(request.body)
        http_response = connection.getresponse()
        response_headers = tuple(pair for pair in http_response.getheaders() if pair[0].lower() not in _HOP_HEADERS)
        length = int(http_response.getheader("content-length") or 0) if request.method == "HEAD" else None
        return Response(http_response.status, response_headers, http_response.read(), length)
    finally:
        connection.close()


def _forwardable_headers(request: Request) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in request.headers
        if name.lower() not in _HOP_HEADERS and not name.lower().startswith(_FORWARDED_PREFIX)
    ]


def _forwarded_headers(request: Request) -> tuple[tuple[str, str], ...]:
    """Return X-Forwarded-For, with the client's own entries first, and X-Forwarded-Proto."""
    client_addresses = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    return ("X-Forwarded-For", ", ".join([*client_addresses, "127.0.0.1"])), ("X-Forwarded-Proto", "https")


def _text_response(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", "text/plain"), ("Server", "envoy")), text.encode())
