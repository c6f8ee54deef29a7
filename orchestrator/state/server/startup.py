"""Load the settings, the logger and the runtime tuning of a service process."""

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
"""Seconds after start at which the service is ready and the CPU is idle."""


def load_settings(environ: Mapping[str, str], **overrides: object) -> Settings:
    """Return the settings, including those of the secret in Secrets Manager.

    Raises Problems if the secret cannot be read or a setting is invalid.  API: Secrets Manager GetSecretValue.
    """
    arn = next((value for name, value in environ.items() if name.upper() == SECRET_ARN_VARIABLE), "")
    return build_settings(environ, parse_secret(_fetch_secret(arn, environ)) if arn else None, **overrides)


class LazyLogger(logging.Handler):
    """A logger that is created at its first message: structlog takes longer to load than the database driver.

    It is also a logging handler, so that earlier warnings of libraries are not lost.  Thread-safe.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        super().__init__()
        self._create_lock = threading.RLock()
        self._create = create
        self._logger: Any = None
        logging.getLogger().addHandler(self)

    def get_logger(self) -> Any:
        """Return the real logger, creating it on first use."""
        with self._create_lock:
            if self._logger is None:
                logging.getLogger().removeHandler(self)
                self._logger = self._create()
            return self._logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a library's message to the real logger, which handles all later ones itself."""
        self.get_logger()
        logging.getLogger().handle(record)

    def info(self, event: str, **fields: object) -> None:
        """Log an event."""
        self.get_logger().info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a warning."""
        self.get_logger().warning(event, **fields)


def create_logger(stream: TextIO, log_format: LogFormat, *, verbose: bool) -> LazyLogger:
    """Return the logger of the service: one line per request."""

    def configure_logger() -> Any:
        from orchestrator import logs

        return logs.configure(stream, log_format, verbose=verbose)

    return LazyLogger(configure_logger)


def tune_gc() -> None:
    """Enable garbage collection, which the command line disables, and exclude loaded modules from it."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def warm_up(logger: LazyLogger, delay_seconds: float = WARM_UP_DELAY_SECONDS) -> None:
    """Load the templates and the logger in the background after ``delay_seconds``."""

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
        raise Problems.from_message(f"cannot read the secret {arn}: {error}") from None
    return str(response["SecretString"])
