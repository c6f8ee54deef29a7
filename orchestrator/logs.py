"""Logs: structlog on standard error, for people or as one JSON object a line.  Secrets never.

May know: structlog, imported when logs are wanted, because it costs a fifth of a second.  May not: decide what a
command prints as its result.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

from orchestrator.redaction.redact import redact, visible

Format = Literal["text", "json"]


def configure(stream: TextIO, form: Format, *, verbose: bool = False, colour: bool = False) -> Any:
    """Send what is logged, by structlog or by ``logging``, to ``stream``; a logger to begin with.

    ``verbose`` lets debug messages through; otherwise informational ones and worse.
    """
    import structlog

    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    final = structlog.processors.JSONRenderer(sort_keys=True) if form == "json" else _console(colour=colour)
    structlog.configure(
        processors=[*shared, final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _capture(stream, shared, final, verbose=verbose)
    return structlog.get_logger()


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: blot out what looks like a secret, by its name or its looks; keep to one line."""
    clean = {key: redact(value, key) for key, value in event.items()}
    return {
        key: visible(value) if isinstance(value, str) and key != "exception" else value for key, value in clean.items()
    }


def _console(*, colour: bool) -> Any:
    import structlog

    return structlog.dev.ConsoleRenderer(colors=colour, exception_formatter=structlog.dev.plain_traceback)


def _capture(stream: TextIO, shared: list[Any], final: Any, *, verbose: bool) -> None:
    """Libraries speak through ``logging``: what they warn of is shown in the same form."""
    from structlog.stdlib import ProcessorFormatter

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=shared, processors=[ProcessorFormatter.remove_processors_meta, final])
    )
    handler.set_name(__name__)
    root = logging.getLogger()
    for other in [other for other in root.handlers if other.get_name() == __name__]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.INFO if verbose else logging.WARNING)
