"""Reading by a link, and once more by a fresh one when it has expired.  API: HTTP GET of what ``link`` gave."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, Link

EXPIRED_STATUS_CODES = frozenset({401, 403, 410})
"""S3 says 403 to a link that has expired, as to one that was never good."""
TIMEOUT_SECONDS = 60


def read_link(storage: FileStorage, link: Link, client: httpx.Client | None = None) -> tuple[bytes, Link]:
    """The bytes behind ``link`` and the link that led there: a fresh one where the given one had expired.

    Raises Problems: nobody answers, or a fresh link is refused too.
    """
    if client is None:
        with httpx.Client(timeout=TIMEOUT_SECONDS) as own_client:
            return read_link(storage, link, own_client)
    if link.expires > datetime.now(UTC):
        response = _get(client, link)
        if response.status_code not in EXPIRED_STATUS_CODES:
            return _read_body(response, link), link
    fresh_link = storage.create_link(link.key)
    return _read_body(_get(client, fresh_link), fresh_link), fresh_link


def _get(client: httpx.Client, link: Link) -> httpx.Response:
    try:
        return client.get(link.url)
    except httpx.HTTPError as error:  # its text may hold the address, which is as good as a key
        raise Problems.from_message(
            f"cannot read {link.key} by its link: {type(error).__name__}", hint="try again"
        ) from None


def _read_body(response: httpx.Response, link: Link) -> bytes:
    if response.is_success:
        return response.content
    raise Problems.from_message(
        f"cannot read {link.key} by its link: HTTP {response.status_code}",
        hint="look at who may read the bucket, and at the clock of this machine",
    )
