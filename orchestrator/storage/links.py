"""Reading by a link, and once more by a fresh one when it has expired.  API: HTTP GET of what ``link`` gave."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, Link

EXPIRED = frozenset({401, 403, 410})
"""S3 says 403 to a link that has expired, as to one that was never good."""
SECONDS = 60


def read(storage: FileStorage, link: Link, client: httpx.Client | None = None) -> tuple[bytes, Link]:
    """The bytes behind ``link`` and the link that led there: a fresh one where the given one had expired.

    Raises Problems: nobody answers, or a fresh link is refused too.
    """
    if client is None:
        with httpx.Client(timeout=SECONDS) as own:
            return read(storage, link, own)
    if link.expires > datetime.now(UTC):
        answer = _get(client, link)
        if answer.status_code not in EXPIRED:
            return _bytes(answer, link), link
    fresh = storage.link(link.key)
    return _bytes(_get(client, fresh), fresh), fresh


def _get(client: httpx.Client, link: Link) -> httpx.Response:
    try:
        return client.get(link.url)
    except httpx.HTTPError as error:  # its text may hold the address, which is as good as a key
        raise Problems.one(f"cannot read {link.key} by its link: {type(error).__name__}", hint="try again") from None


def _bytes(answer: httpx.Response, link: Link) -> bytes:
    if answer.is_success:
        return answer.content
    raise Problems.one(
        f"cannot read {link.key} by its link: HTTP {answer.status_code}",
        hint="look at who may read the bucket, and at the clock of this machine",
    )
