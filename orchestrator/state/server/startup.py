"""What a process of the service is begun with: settings from all their sources, and its log."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from orchestrator.logs import Format
from orchestrator.state.server.settings import REGION, SECRET, Settings, gather, parsed

COLLECT_OFTEN = (5_000, 10, 10)
SETTLED = 1.0
"""Seconds after which a service that starts is ready, and its processor free."""


def settle(environ: Mapping[str, str], **given: object) -> Settings:
    """The settings, the secret in Secrets Manager included.

    Raises Problems.  API: Secrets Manager GetSecretValue.
    """
    arn = next((value for name, value in environ.items() if name.upper() == SECRET), "")
    return gather(environ, parsed(_fetch(arn, environ)) if arn else None, **given)


class Late(logging.Handler):
    """A log that is made when there is something to say: structlog takes longer to load than the database driver.

    As a handler it hears what libraries warn of before that.  Safe for threads.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._one = threading.RLock()
        self._make = make
        self._made: Any = None
        logging.getLogger().addHandler(self)

    def open(self) -> Any:
        """The logger itself."""
        with self._one:
            if self._made is None:
                logging.getLogger().removeHandler(self)
                self._made = self._make()
            return self._made

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a library's word to the real log, which from now on hears them itself."""
        self.open()
        logging.getLogger().handle(record)

    def info(self, event: str, **more: object) -> None:
        """Tell."""
        self.open().info(event, **more)

    def warning(self, event: str, **more: object) -> None:
        """Warn."""
        self.open().warning(event, **more)


def log(stream: TextIO, form: Format, *, verbose: bool) -> Late:
    """The service's log: one line a request."""

    def make() -> Any:
        from orchestrator import logs

        return logs.configure(stream, form, verbose=verbose)

    return Late(make)


def settle_memory() -> None:
    """Look for garbage often, as a command line need not, but no more among what is loaded."""
    gc.freeze()
    gc.set_threshold(*COLLECT_OFTEN)
    gc.enable()


def warm(log: Late, after: float = SETTLED) -> None:
    """Load in the background, ``after`` seconds from now, what the first page and the first line of the log need."""

    def load() -> None:
        from orchestrator.state.server.pages import rendering

        log.open()
        rendering.warm()
        settle_memory()

    timer = threading.Timer(after, load)
    timer.daemon = True
    timer.start()


def _fetch(arn: str, environ: Mapping[str, str]) -> str:
    from orchestrator.aws import AwsError, Clients
    from orchestrator.problems import Problems

    region = arn.split(":")[3] if arn.startswith("arn:") else environ.get(REGION, "")
    try:
        answer = Clients(region).call("secretsmanager", "get_secret_value", {"SecretId": arn})
    except AwsError as error:
        raise Problems.one(f"the service's secret cannot be read: {error}") from None
    return str(answer["SecretString"])
