"""Free the lock of an environment: the lease in the release bucket, and that of the state service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients

MAX_REASON_CHARACTERS = 200
REQUEST_TIMEOUT_SECONDS = 5.0


def unlock(settings: Settings, reason: str, clients: Clients | None = None) -> None:
    """Free both leases, and print whose they were.

    The release bucket keeps who did it and why until the next run begins, the state service for good.  If that does not
    answer, or refuses, its lease stays, which is said: it expires by itself, and a rollback goes on without it.

    Raises Problems if the reason is empty, the manifests are invalid, or AWS refuses.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import bucket_lease, checkout, ledger_entry

    reason = reason.strip()[:MAX_REASON_CHARACTERS]
    if not reason:
        raise Problems.from_message("--reason is empty", hint="pass the reason for removing the lock; it is recorded")
    manifest = pipeline.validate(settings.manifests, settings.environment)
    store = checkout.find_store(manifest, clients)
    environment = f"{manifest.scope.project}/{manifest.scope.environment}"
    description = ""
    if store is not None:
        owner = ledger_entry.detect_origin(settings.manifests).actor
        description = bucket_lease.free(store, owner, reason)
    service_description = _free_in_service(settings, environment, reason)
    holders = "; ".join(filter(None, (description, service_description)))
    name = manifest.scope.environment
    settings.terminal.print_out(f"Unlocked {name}: it was {holders}." if holders else f"{name} was not locked.")


def _free_in_service(settings: Settings, environment: str, reason: str) -> str:
    """Free the lease of the state service, if one is configured; return who held it, "" if nobody did."""
    from orchestrator.runs import reporter

    if not reporter.is_configured():
        return ""
    from orchestrator.state.client.api_client import RefusedError, StateClient, UnreachableError
    from orchestrator.state.protocol.requests import RevokedLease

    path = f"/environments/{environment}/lease?{urlencode({'reason': reason})}"
    try:
        with StateClient.from_environ(os.environ) as client:
            revoked = client.request_record(RevokedLease, "DELETE", path, timeout_seconds=REQUEST_TIMEOUT_SECONDS)
    except (UnreachableError, RefusedError, Problems) as error:
        message = str(error).splitlines()[0]
        settings.terminal.print_err(
            f"The lock in the state service was not removed ({message}); it expires a minute after its run has ended."
        )
        return ""
    return f"locked by {revoked.owner} ({revoked.run}) in the state service" if revoked.run else ""
