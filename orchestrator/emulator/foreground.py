"""Run an emulator in the foreground, for a command that prints its URL. Prints nothing itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from orchestrator.emulator.emulator import BackendName, Emulator, start
from orchestrator.emulator.faults import Faults


def serve(  # noqa: PLR0913 - mirrors start()
    on_ready: Callable[[Emulator], None],
    port: int = 4566,
    backend: BackendName = "moto",
    latency_ms: float = 0,
    faults_file: Path | None = None,
    settle_seconds: float = 0.05,
    account: str = "123456789012",
    region: str = "eu-west-1",
    *,
    run_services: bool = False,
) -> None:
    """Serve on 127.0.0.1 until SIGINT or SIGTERM; call ``on_ready`` once the emulator listens.

    Runs in the main thread. Raises OSError if the port is taken or the faults file is unreadable, ValueError if the
    file is invalid.
    """
    faults = Faults.load(faults_file) if faults_file else Faults()
    with (
        _until_stopped() as wait,
        start(
            backend, port, latency_ms, faults, settle_seconds, account, region, run_services=run_services
        ) as emulator,
    ):
        on_ready(emulator)
        wait()


def serve_recorder(on_ready: Callable[[Mapping[str, str]], None], file: Path, port: int = 4566) -> None:
    """Pass calls on to real AWS until SIGINT or SIGTERM, and record the answers in a file.

    ``on_ready`` gets the variables for clients.  Raises OSError if the port is taken.
    """
    from orchestrator.emulator.recorder import record

    with _until_stopped() as wait, record(file, port) as variables:
        on_ready(variables)
        wait()


@contextmanager
def _until_stopped() -> Iterator[Callable[[], object]]:
    """Yield a function that waits for SIGINT or SIGTERM."""
    stop_event = threading.Event()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop_event.set()

    previous_handlers = {
        signal_number: signal.signal(signal_number, on_signal) for signal_number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop_event.wait
    finally:
        for signal_number, handler in previous_handlers.items():
            signal.signal(signal_number, handler)
