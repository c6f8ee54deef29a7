"""The processes behind the services of App Runner and ECS: a new one takes over only when it is healthy.

A deployment is a trial.  The old process answers until the new one is well, and goes on if that never happens.
"""

from __future__ import annotations

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
from orchestrator.emulator.container_runtime.image_puller import Ask, ImageError, Source
from orchestrator.emulator.container_runtime.instance import Instance
from orchestrator.emulator.container_runtime.secret_values import SecretError, value_of
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.service_base import Workload, World

_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_FORWARDED = "x-forwarded-"
_SAFE = ("GET", "HEAD", "OPTIONS")
PATIENCE = 10.0
"""Seconds that the end of everything waits for what is being started or stopped."""


@dataclass(eq=False)
class Trial:
    """One attempt to start a service: ``verdict`` is None while it lasts, then whether it is healthy.

    ``anew``: it is no deployment, but a container that ended and is started again.
    """

    workload: Workload
    anew: bool = False
    verdict: bool | None = None
    reason: str = ""
    given_up: threading.Event = field(default_factory=threading.Event)

    def give_up(self) -> None:
        """Nobody wants it any more; what has taken over already goes on."""
        self.given_up.set()


class Fleet:
    """All processes of one emulator.  ``environment`` are the variables that lead an AWS client to it."""

    def __init__(self, world: World, ask: Ask, environment: Callable[[], Mapping[str, str]]) -> None:
        self._world = world
        self._images = Source(world, ask)
        self._environment = environment
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Trial, Instance]] = {}
        self._trials: list[Trial] = []
        self._threads: list[threading.Thread] = []
        self._owner = os.getpid()

    def begin(self, workload: Workload) -> Trial:
        """Try to run a service."""
        return self._begin(Trial(workload))

    def stop(self, host: str) -> None:
        """Stop what runs behind a host, and what is about to."""
        with self._lock:
            for trial in self._trials:
                if trial.workload.host == host:
                    trial.give_up()
            running = self._running.pop(host, None)
        if running is not None:
            running[1].stop()

    def stop_all(self) -> None:
        """Stop everything, and wait until it has.  A fork leaves its parent's processes alone."""
        if self._owner != os.getpid():
            return
        with self._lock:
            hosts = {*self._running, *(trial.workload.host for trial in self._trials)}
        for host in hosts:
            self.stop(host)
        with self._lock:
            threads, self._threads = self._threads, []
        until = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def visit(self, host: str, request: Request) -> Response:
        """What the process behind a host answers; 404 where there is none, 503 where it has died.

        Who asked one that was just replaced is answered by its successor, unless that might do a thing twice.
        """
        while (found := self._behind(host)) is not None:
            try:
                return _asked(found[1].port, host, request)
            except (OSError, http.client.HTTPException) as error:
                if found[1].ended is not None:
                    self._replace(host, found)
                again = isinstance(error, ConnectionRefusedError) or request.method in _SAFE
                if not again or self._behind(host) in (None, found):
                    return _plain(503, "upstream connect error or disconnect/reset before headers")
        return _plain(404, "no service runs here")

    def _behind(self, host: str) -> tuple[Trial, Instance] | None:
        with self._lock:
            return self._running.get(host)

    def _begin(self, trial: Trial) -> Trial:
        with self._lock:
            self._trials.append(trial)
        self._in_the_background("emulator-trial", lambda: self._try(trial))
        return trial

    def _in_the_background(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()

    def _replace(self, host: str, dead: tuple[Trial, Instance]) -> None:
        """App Runner and ECS start a container that ended anew; a deployment that is under way goes on beside it."""
        with self._lock:
            if self._running.get(host) is not dead:
                return
            del self._running[host]
        dead[1].stop()
        self._begin(Trial(dead[0].workload, anew=True))

    def _try(self, trial: Trial) -> None:
        """Whatever happens, there is a verdict at the end."""
        instance, well = None, False
        try:
            instance = self._started(trial)
            trial.reason = health_check.trouble(instance, trial.workload.health, trial.given_up)
        except (ImageError, SecretError, AwsError, OSError) as error:
            trial.reason = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - a service that cannot be run is a failed deployment, not a hang
            trial.reason = f"the emulator could not run it ({type(error).__name__}: {error})"
        try:
            well = instance is not None and not trial.reason and self._take_over(trial, instance)
            self._tell(trial, instance)
            if instance is not None and not well:
                instance.stop()
        finally:
            with self._lock:
                self._trials.remove(trial)
            trial.verdict = well

    def _started(self, trial: Trial) -> Instance:
        wanted = trial.workload
        folder = Path(tempfile.mkdtemp(prefix=f"orchestrator-service-{os.getpid()}-"))
        try:
            image = self._images.unpack(wanted.image, folder / "root")
            variables = {
                **self._environment(),
                **wanted.environment,
                **dict(self._secrets(wanted.secrets, wanted.region)),
            }
            arguments = (*image.entrypoint, *wanted.arguments) if wanted.arguments else ()
            return Instance(image, variables, wanted.command or arguments, folder, wanted.port)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _secrets(self, named: Mapping[str, str], region: str) -> Iterator[tuple[str, str]]:
        for name, reference in named.items():
            yield name, value_of(self._world, reference, region)

    def _take_over(self, trial: Trial, instance: Instance) -> bool:
        """Let the new process answer, and only then stop the old one; False when nobody wants it any more."""
        host = trial.workload.host
        with self._lock:
            old = self._running.get(host)
            if trial.given_up.is_set() or (trial.anew and old is not None):
                return False
            self._running[host] = (trial, instance)
        if old is not None:
            self._in_the_background("emulator-retire", old[1].stop)
        return True

    def _tell(self, trial: Trial, instance: Instance | None) -> None:
        """What the container printed and what became of it, in the log groups that are there for it."""
        wanted = trial.workload
        if wanted.output and instance is not None:
            group, prefix = wanted.output
            self._log(group, f"{prefix}/{uuid.uuid4().hex}", wanted.region, instance.said())
        if wanted.verdicts:
            verdict = trial.reason or "Health check is successful. Routing traffic to application."
            self._log(wanted.verdicts, f"instance/{uuid.uuid4().hex}", wanted.region, [f"[AppRunner] {verdict}"])

    def _log(self, group: str, stream: str, region: str, lines: list[str]) -> None:
        events = [{"timestamp": int(time.time() * 1000), "message": line or " "} for line in lines]
        named = {"logGroupName": group, "logStreamName": stream}
        try:
            if events:
                self._world.call("logs", "CreateLogStream", region, **named)
                self._world.call("logs", "PutLogEvents", region, **named, logEvents=events)
        except AwsError:
            return  # whoever removed the log group wants no lines


def _asked(port: int, host: str, request: Request) -> Response:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        told = [*_passed_on(request), ("Host", host), *_forwarded(request)]
        for name, value in (*told, ("Content-Length", str(len(request.body)))):
            connection.putheader(name, value)
        connection.endheaders(request.body)
        answer = connection.getresponse()
        kept = tuple(pair for pair in answer.getheaders() if pair[0].lower() not in _HOP)
        length = int(answer.getheader("content-length") or 0) if request.method == "HEAD" else None
        return Response(answer.status, kept, answer.read(), length)
    finally:
        connection.close()


def _passed_on(request: Request) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in request.headers
        if name.lower() not in _HOP and not name.lower().startswith(_FORWARDED)
    ]


def _forwarded(request: Request) -> tuple[tuple[str, str], ...]:
    """What a proxy says of whom it speaks for: who a client says it is comes first, who it was seen to be last."""
    said = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    return ("X-Forwarded-For", ", ".join([*said, "127.0.0.1"])), ("X-Forwarded-Proto", "https")


def _plain(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", "text/plain"), ("Server", "envoy")), text.encode())
