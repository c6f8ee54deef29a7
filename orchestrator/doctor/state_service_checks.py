"""Check that the state service answers and accepts the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.doctor import Finding, findings_from_problems
from orchestrator.problems import Problems
from orchestrator.state.client.api_client import RefusedError, StateClient, UnreachableError

STATE_URL_VARIABLE = "ORCHESTRATOR_STATE_URL"
_TOKEN_HINT = "set ORCHESTRATOR_STATE_TOKEN to the output of `orchestrator token create` on the service's host"  # noqa: S105


def check_state_service(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the configured state service; having none is not an error."""
    url = environ.get(STATE_URL_VARIABLE)
    if not url:
        yield Finding("state", "ok", f"not configured ({STATE_URL_VARIABLE} is not set), and not required")
        return
    try:
        StateClient.from_environ(environ).request("GET", "/environments", timeout_seconds=0.0)
        yield Finding("state", "ok", f"{url} answers")
    except UnreachableError as error:
        yield Finding(
            "state",
            "missing",
            str(error),
            f"start the state service, or unset {STATE_URL_VARIABLE}: a deploy continues without it",
        )
    except RefusedError as error:
        yield Finding("state", "missing", f"{url} rejected the request: {error.detail}", _TOKEN_HINT)
    except Problems as error:
        yield from findings_from_problems("state", error)
