"""Configure logging: structlog on standard error, as text or as one JSON object per line, with secrets redacted.

May know: structlog, imported on first use, because importing it takes a fifth of a second.  May not: decide what a
command prints as its result.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

from orchestrator.redaction.redact import escape_unprintable, redact

LogFormat = Literal["text", "json"]


def configure(stream: TextIO, log_format: LogFormat, *, verbose: bool = False, colour: bool = False) -> Any:
    """Send the output of structlog and of ``logging`` to ``stream`` and return a structlog logger.

    The level is INFO, or DEBUG with ``verbose``.
    """
    import structlog

    level = logging.DEBUG if verbose else logging.INFO
    shared_processors: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    renderer = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if log_format == "json"
        else _build_console_renderer(colour=colour)
    )
    structlog.configure(
        processors=[*shared_processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _configure_stdlib_logging(stream, shared_processors, renderer, verbose=verbose)
    return structlog.get_logger()


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact secrets, by key or by content, and keep each event on one line; a structlog processor."""
    redacted = {key: redact(value, key) for key, value in event.items()}
    return {
        key: escape_unprintable(value) if isinstance(value, str) and key != "exception" else value
        for key, value in redacted.items()
    }


def _build_console_renderer(*, colour: bool) -> Any:
    import structlog

    return structlog.dev.ConsoleRenderer(colors=colour, exception_formatter=structlog.dev.plain_traceback)


def _configure_stdlib_logging(stream: TextIO, shared_processors: list[Any], renderer: Any, *, verbose: bool) -> None:
    """Format what libraries log through ``logging`` like our own events."""
    from structlog.stdlib import ProcessorFormatter

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared_processors, processors=[ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    handler.set_name(__name__)
    root = logging.getLogger()
    for existing in [existing for existing in root.handlers if existing.get_name() == __name__]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(logging.INFO if verbose else logging.WARNING)
