"""Extend botocore: resolve its event aliases quickly, refuse a web page in place of AWS's response, report retries.

botocore's own alias lookup takes 5 % of the time of a plan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.hooks import EventAliaser, first_non_none_response
from botocore.response import StreamingBody
from botocore.utils import EVENT_ALIASES

from orchestrator import interruption
from orchestrator.aws.errors import TRANSIENT_CODES, UnexpectedPageError

DOTTED_ALIASES = tuple(name for name in EVENT_ALIASES if "." in name)
OBJECT_HEADERS = ("etag", "x-amz-request-id")
"""Headers with which S3 sends an object: a web page without them is not S3's."""
PLAIN_ALIASES = frozenset(EVENT_ALIASES) - frozenset(DOTTED_ALIASES)


_thread = threading.local()


@contextmanager
def listen_for_retries(on_retry: Callable[[str], None]) -> Iterator[None]:
    """Pass the error code of each failed attempt of this thread's calls to ``on_retry``: botocore retries silently."""
    _thread.on_retry = on_retry
    try:
        yield
    finally:
        _thread.on_retry = None


def report_failed_attempt(response: Any = None, caught_exception: Exception | None = None, **_: Any) -> None:
    """Report an attempt that failed and may be repeated; a hook for ``needs-retry``, which botocore sends each time."""
    on_retry = getattr(_thread, "on_retry", None)
    if on_retry is None:
        return
    if caught_exception is not None:
        on_retry(type(caught_exception).__name__)
        return
    status = response[0].status_code if response else 200
    code = str(response[1].get("Error", {}).get("Code") or status) if status >= 400 else ""
    if status >= 500 or code in TRANSIENT_CODES:
        on_retry(code)


class FastEventAliaser(EventAliaser):  # type: ignore[misc]
    """Skips the alias lookup for events without an alias; botocore tries all 65 aliases on each event.

    It also pauses before each further attempt in place of botocore, whose sleep nothing ends (``needs-retry``).
    """

    def emit(self, event_name: str, **event: Any) -> list[tuple[Any, Any]]:
        """Return the responses of all handlers of an event.  Raises Problems if the run is stopped during a pause."""
        responses: list[tuple[Any, Any]] = super().emit(event_name, **event)
        if not event_name.startswith("needs-retry."):
            return responses
        delay = first_non_none_response(responses)
        if delay is None or delay is False:  # 0 is a retry without a pause
            return responses
        interruption.pause(delay)
        return [(None, 0)]

    def _alias_event_name(self, event_name: str) -> str:
        if PLAIN_ALIASES.isdisjoint(event_name.split(".")) and not any(name in event_name for name in DOTTED_ALIASES):
            return event_name
        alias: str = super()._alias_event_name(event_name)
        return alias


def refuse_web_page(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Raise UnexpectedPageError for a web page; a hook for botocore's ``before-parse``.

    AWS never sends one, except as an object of a bucket, or from an overloaded front end (5xx).
    """
    headers = response_dict["headers"]
    is_page = str(headers.get("content-type", "")).lower().startswith("text/html")
    is_object = any(name in headers for name in OBJECT_HEADERS)
    if not is_page or is_object or response_dict["status_code"] >= 500:
        return
    content = response_dict["body"]
    if isinstance(content, StreamingBody):
        content.close()  # nobody gets it, so nobody else closes its connection
    body = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    title = body.partition("<title>")[2].partition("</title>")[0].strip()[:80] or "no title"
    endpoint = operation_model.service_model.endpoint_prefix
    raise UnexpectedPageError(host=f"the endpoint of {endpoint}", status_code=response_dict["status_code"], title=title)
