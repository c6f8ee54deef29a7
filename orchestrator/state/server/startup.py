"""What a process of the service is begun with: settings from all their sources, and its log."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from orchestrator.logs import LogFormat
from orchestrator.state.server.settings import (
    REGION_VARIABLE,
    SECRET_ARN_VARIABLE,
    Settings,
    build_settings,
    parse_secret,
)

GC_THRESHOLDS = (5_000, 10, 10)
WARM_UP_DELAY_SECONDS = 1.0
"""Seconds after which a service that starts is ready, and its processor free."""


def load_settings(environ: Mapping[str, str], **overrides: object) -> Settings:
    """The settings, the secret in Secrets Manager included.

    Raises Problems.  API: Secrets Manager GetSecretValue.
    """
    arn = next((value for name, value in environ.items() if name.upper() == SECRET_ARN_VARIABLE), "")
    return build_settings(environ, parse_secret(_fetch_secret(arn, environ)) if arn else None, **overrides)


class LazyLogger(logging.Handler):
    """A log that is made when there is something to say: structlog takes longer to load than the database driver.

    As a handler it hears what libraries warn of before that.  Safe for threads.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        super().__init__()
        self._create_lock = threading.RLock()
        self._create = create
        self._logger: Any = None
        logging.getLogger().addHandler(self)

    def get_logger(self) -> Any:
        """The logger itself."""
        with self._create_lock:
            if self._logger is None:
                logging.getLogger().removeHandler(self)
                self._logger = self._create()
            return self._logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a library's word to the real log, which from now on hears them itself."""
        self.get_logger()
        logging.getLogger().handle(record)

    def info(self, event: str, **fields: object) -> None:
        """Tell."""
        self.get_logger().info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Warn."""
        self.get_logger().warning(event, **fields)


def create_logger(stream: TextIO, log_format: LogFormat, *, verbose: bool) -> LazyLogger:
    """The service's log: one line a request."""

    def configure_logger() -> Any:
        from orchestrator import logs

        return logs.configure(stream, log_format, verbose=verbose)

    return LazyLogger(configure_logger)


def tune_gc() -> None:
    """Look for garbage often, as a command line need not, but no more among what is loaded."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def warm_up(logger: LazyLogger, delay_seconds: float = WARM_UP_DELAY_SECONDS) -> None:
    """Load in the background, ``after`` seconds from now, what the first page and the first line of the log need."""

    def preload() -> None:
        from orchestrator.state.server.pages import rendering

        logger.get_logger()
        rendering.compile_templates()
        tune_gc()

    timer = threading.Timer(delay_seconds, preload)
    timer.daemon = True
    timer.start()


def _fetch_secret(arn: str, environ: Mapping[str, str]) -> str:
    from orchestrator.aws import AwsError, Clients
    from orchestrator.problems import Problems

    region = arn.split(":")[3] if arn.startswith("arn:") else environ.get(REGION_VARIABLE, "")
    try:
        response = Clients(region).call("secretsmanager", "get_secret_value", {"SecretId": arn})
    except AwsError as error:
        raise Problems.from_message(f"the service's secret cannot be read: {error}") from None
    return str(response["SecretString"])
