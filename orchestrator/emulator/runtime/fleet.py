"""The processes behind App Runner's services: a new one takes over only when it is healthy.

A deployment is a trial.  The old process answers until the new one is well, and goes on if that never happens.
"""

from __future__ import annotations

import http.client
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.exchange import Request, Response
from orchestrator.emulator.protocol import Params
from orchestrator.emulator.runtime import health
from orchestrator.emulator.runtime.image import Ask, ImageError, Source
from orchestrator.emulator.runtime.instance import Instance
from orchestrator.emulator.runtime.secret import SecretError, value_of
from orchestrator.emulator.service import Place, World

_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass
class Trial:
    """One attempt to start a service: ``verdict`` is None while it lasts, then whether it is healthy."""

    place: Place
    settings: Params
    verdict: bool | None = None
    reason: str = ""
    given_up: threading.Event = field(default_factory=threading.Event)


class Fleet:
    """All processes of one emulator.  ``environment`` are the variables that lead an AWS client to it."""

    def __init__(self, world: World, ask: Ask, environment: Callable[[], Mapping[str, str]]) -> None:
        self._world = world
        self._images = Source(world, ask)
        self._environment = environment
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Trial, Instance]] = {}
        self._trials: dict[str, Trial] = {}
        self._owner = os.getpid()

    def begin(self, place: Place, settings: Params) -> Trial:
        """Try to run a service with these settings."""
        trial = Trial(place, settings)
        with self._lock:
            self._trials[place.host] = trial
        threading.Thread(target=self._try, args=(trial,), name="emulator-trial", daemon=True).start()
        return trial

    def stop(self, host: str) -> None:
        """Stop what runs behind a host, and what is about to."""
        with self._lock:
            trial = self._trials.pop(host, None)
            running = self._running.pop(host, None)
        if trial is not None:
            trial.given_up.set()
        if running is not None:
            running[1].stop()

    def stop_all(self) -> None:
        """Stop everything.  A fork leaves its parent's processes alone."""
        if self._owner == os.getpid():
            for host in {*self._running, *self._trials}:
                self.stop(host)

    def visit(self, host: str, request: Request) -> Response:
        """What the process behind a host answers; 404 where there is none, 503 where it has died."""
        with self._lock:
            found = self._running.get(host)
        if found is None:
            return _plain(404, "no service runs here")
        try:
            return _asked(found[1].port, host, request)
        except (OSError, http.client.HTTPException):
            if found[1].ended is not None:
                self._replace(host, found)
            return _plain(503, "upstream connect error or disconnect/reset before headers")

    def _replace(self, host: str, dead: tuple[Trial, Instance]) -> None:
        """App Runner starts a container that ended anew."""
        with self._lock:
            if self._running.get(host) is not dead:
                return
            del self._running[host]
        dead[1].stop()
        self.begin(dead[0].place, dead[0].settings)

    def _try(self, trial: Trial) -> None:
        instance = None
        try:
            instance = self._started(trial)
            trial.reason = health.trouble(instance, trial.settings["HealthCheckConfiguration"], trial.given_up)
        except (ImageError, SecretError, AwsError, OSError) as error:
            trial.reason = str(error)
        well = instance is not None and not trial.reason and self._take_over(trial, instance)
        self._tell(trial, instance)
        if instance is not None and not well:
            instance.stop()
        trial.verdict = well

    def _started(self, trial: Trial) -> Instance:
        settings = trial.settings
        repository = settings["SourceConfiguration"]["ImageRepository"]
        wanted = repository["ImageConfiguration"]
        folder = Path(tempfile.mkdtemp(prefix="orchestrator-service-"))
        image = self._images.unpack(repository["ImageIdentifier"], folder / "root")
        variables = {
            **self._environment(),
            **wanted.get("RuntimeEnvironmentVariables", {}),
            **dict(self._secrets(wanted.get("RuntimeEnvironmentSecrets", {}), trial.place.region)),
        }
        return Instance(image, variables, tuple(shlex.split(wanted.get("StartCommand", ""))), folder)

    def _secrets(self, named: Mapping[str, str], region: str) -> Iterator[tuple[str, str]]:
        for name, reference in named.items():
            yield name, value_of(self._world, reference, region)

    def _take_over(self, trial: Trial, instance: Instance) -> bool:
        """Let the new process answer, and only then stop the old one; False when nobody wants it any more."""
        host = trial.place.host
        with self._lock:
            if trial.given_up.is_set() or self._trials.get(host) is not trial:
                return False
            old = self._running.get(host)
            self._running[host] = (trial, instance)
        if old is not None:
            threading.Thread(target=old[1].stop, name="emulator-retire", daemon=True).start()
        return True

    def _tell(self, trial: Trial, instance: Instance | None) -> None:
        """What the container printed and what became of it, in the log groups where App Runner has them."""
        verdict = trial.reason or "Health check is successful. Routing traffic to application."
        said = {"application": instance.said() if instance else [], "service": [f"[AppRunner] {verdict}"]}
        for kind, lines in said.items():
            group, stream = f"{trial.place.logs}/{kind}", f"instance/{time.monotonic_ns():x}"
            events = [{"timestamp": int(time.time() * 1000), "message": line or " "} for line in lines]
            try:
                if events:
                    named = {"logGroupName": group, "logStreamName": stream}
                    self._world.call("logs", "CreateLogStream", trial.place.region, **named)
                    self._world.call("logs", "PutLogEvents", trial.place.region, **named, logEvents=events)
            except AwsError:
                return  # whoever removed the log group wants no lines


def _asked(port: int, host: str, request: Request) -> Response:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        told = [(name, value) for name, value in request.headers if name.lower() not in _HOP]
        told += [("Host", host), ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "127.0.0.1")]
        for name, value in (*told, ("Content-Length", str(len(request.body)))):
            connection.putheader(name, value)
        connection.endheaders(request.body)
        answer = connection.getresponse()
        kept = tuple(pair for pair in answer.getheaders() if pair[0].lower() not in _HOP)
        length = int(answer.getheader("content-length") or 0) if request.method == "HEAD" else None
        return Response(answer.status, kept, answer.read(), length)
    finally:
        connection.close()


def _plain(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", "text/plain"), ("Server", "envoy")), text.encode())
