"""Sign requests with AWS Signature Version 4.  Pure, except for the current time.

The algorithm is from AWS's documentation ("Create a signed AWS API request"); S3 paths are signed as they are sent.
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
    """The credentials that sign; botocore's frozen credentials match."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


class SigningScope(Struct, frozen=True):
    """The region and service for which a signature is valid."""

    region: str
    service: str


def sign_headers(
    method: str,
    path: str,
    headers: Mapping[str, str],
    credentials: Credentials,
    scope: SigningScope,
    now: float | None = None,
) -> dict[str, str]:
    """Return ``headers`` with the headers of a signature that covers all of them.

    ``path`` is the quoted path without a query.  ``headers`` have lower-case names and include ``host`` and
    ``x-amz-content-sha256``.  ``now`` is in seconds since 1970.
    """
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    token_header = {"x-amz-security-token": credentials.token} if credentials.token else {}
    all_headers = {**headers, "x-amz-date": timestamp, **token_header}
    names = sorted(all_headers)
    signed_headers = ";".join(names)
    canonical_headers = "".join(f"{name}:{' '.join(all_headers[name].split())}\n" for name in names)
    canonical_request = (
        f"{method}\n{path}\n\n{canonical_headers}\n{signed_headers}\n{all_headers['x-amz-content-sha256']}"
    )
    credential_scope = f"{timestamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    string_to_sign = (
        f"{ALGORITHM}\n{timestamp}\n{credential_scope}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"
    )
    key = _derive_signing_key(credentials.secret_key, timestamp[:8], scope)
    signature = hmac.digest(key, string_to_sign.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{credential_scope}"
    return {
        **all_headers,
        "authorization": f"{ALGORITHM} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}",
    }


@lru_cache(maxsize=4)
def _derive_signing_key(secret: str, date: str, scope: SigningScope) -> bytes:
    """Return the signing key, which is valid for all requests of one day."""
    key = f"AWS4{secret}".encode()
    for part in (date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
