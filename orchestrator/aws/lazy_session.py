"""Create the botocore session of some clients, once, on first use, from any thread."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime
from typing import Any

import botocore.session
from botocore.hooks import HierarchicalEmitter
from botocore.utils import parse_timestamp

from orchestrator.aws import endpoint_rules, workflow_credentials
from orchestrator.aws.botocore_hooks import FastEventAliaser, refuse_web_page, report_failed_attempt
from orchestrator.aws.s3_listing import ListingParser
from orchestrator.aws.send_guard import SendGuard
from orchestrator.aws.service_models import ServiceModelLoader


class LazySession:
    """A session of one region.  Copies of clients share it, whichever of them needs it first."""

    def __init__(self, region: str, send_guard: SendGuard) -> None:
        """``send_guard`` is asked before each request."""
        self._region, self._send_guard = region, send_guard
        self._lock = threading.Lock()
        self._session: botocore.session.Session | None = None

    def get(self) -> botocore.session.Session:
        """Return the session.  It is not thread-safe: create one client at a time."""
        with self._lock:
            if self._session is None:
                self._session = self._create()
            return self._session

    def _create(self) -> botocore.session.Session:
        emitter = HierarchicalEmitter()
        session = botocore.session.Session(event_hooks=emitter)
        endpoint_rules.install()
        session.register_component("event_emitter", FastEventAliaser(emitter))
        session.register_component("data_loader", ServiceModelLoader(session.get_config_variable("data_path")))
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)
        workflow_credentials.install(session, self._region)
        emitter.register_last("before-send", self._send_guard.check)
        emitter.register("before-parse", refuse_web_page)
        emitter.register("needs-retry", report_failed_attempt)
        # Registered first: botocore's error check of every S3 response then has little left to parse.
        emitter.register_first("before-parse.s3.ListObjectsV2", ListingParser(_parse_time).parse_response)
        return session


def _parse_time(value: Any) -> datetime:
    """Parse an AWS timestamp quickly; botocore's format detection takes two thirds of reading a long listing."""
    with suppress(TypeError, ValueError):
        timestamp = datetime.fromisoformat(value)
        if timestamp.tzinfo:
            return timestamp
    parsed: datetime = parse_timestamp(value)
    return parsed
