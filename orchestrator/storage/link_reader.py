"""Read a file through a link, and renew the link if it has expired.  API: HTTP GET of a link's URL."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, Link

EXPIRED_STATUS_CODES = frozenset({401, 403, 410})
"""S3 returns 403 for an expired link, as for an invalid one."""
TIMEOUT_SECONDS = 60


def read_link(storage: FileStorage, link: Link, client: httpx.Client | None = None) -> tuple[bytes, Link]:
    """Return the bytes behind ``link`` and the link that was used: a new one if ``link`` has expired.

    Raises Problems if there is no response, or a new link is rejected too.
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
    except httpx.HTTPError as error:  # its text may contain the URL, which grants access
        raise Problems.from_message(
            f"cannot read {link.key} through its link: {type(error).__name__}", hint="try again"
        ) from None


def _read_body(response: httpx.Response, link: Link) -> bytes:
    if response.is_success:
        return response.content
    raise Problems.from_message(
        f"cannot read {link.key} through its link: HTTP {response.status_code}",
        hint="check the read permissions of the bucket and the clock of this machine",
    )
