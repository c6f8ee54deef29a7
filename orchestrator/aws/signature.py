"""AWS Signature Version 4 of a request whose headers and bytes are known.  Pure, but for the time of day.

The algorithm is AWS's ("Create a signed AWS API request"); S3's paths are signed as they are sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from msgspec import Struct

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(Protocol):
    """What signs; botocore's frozen credentials are such."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


class Scope(Struct, frozen=True):
    """What a signature is good for."""

    region: str
    service: str


def signed(
    method: str,
    target: str,
    headers: Mapping[str, str],
    credentials: Credentials,
    scope: Scope,
    now: float | None = None,
) -> dict[str, str]:
    """``headers`` with those that sign them all.

    ``target`` is the quoted path without a query.  ``headers`` have lower-case names, ``host`` and
    ``x-amz-content-sha256`` among them.  ``now`` in seconds since 1970.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    session = {"x-amz-security-token": credentials.token} if credentials.token else {}
    given = {**headers, "x-amz-date": stamp, **session}
    names = sorted(given)
    listed = ";".join(names)
    lines = "".join(f"{name}:{' '.join(given[name].split())}\n" for name in names)
    request = f"{method}\n{target}\n\n{lines}\n{listed}\n{given['x-amz-content-sha256']}"
    within = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{stamp}\n{within}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = _key(credentials.secret_key, stamp[:8], scope)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{within}"
    return {
        **given,
        "authorization": f"{ALGORITHM} Credential={credential}, SignedHeaders={listed}, Signature={signature}",
    }


@lru_cache(maxsize=4)
def _key(secret: str, day: str, scope: Scope) -> bytes:
    """The key of one day, the same for all its requests."""
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
