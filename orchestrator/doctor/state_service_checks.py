"""Whether the state service answers, and takes the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.doctor import Finding, findings_from_problems
from orchestrator.problems import Problems
from orchestrator.state.client.api_client import RefusedError, StateClient, UnreachableError

STATE_URL_VARIABLE = "ORCHESTRATOR_STATE_URL"
_TOKEN_HINT = "set ORCHESTRATOR_STATE_TOKEN to what `orchestrator token create` prints where the service runs"  # noqa: S105


def check_state_service(environ: Mapping[str, str]) -> Iterator[Finding]:
    """None need be named; one that is named has to answer."""
    url = environ.get(STATE_URL_VARIABLE)
    if not url:
        yield Finding("state", "ok", f"none is named ({STATE_URL_VARIABLE}), and none is needed")
        return
    try:
        StateClient.from_environ(environ).request("GET", "/environments", timeout_seconds=0.0)
        yield Finding("state", "ok", f"{url} answers")
    except UnreachableError as error:
        yield Finding(
            "state",
            "missing",
            str(error),
            f"see that it runs, or unset {STATE_URL_VARIABLE}; a deploy goes on without it",
        )
    except RefusedError as error:
        yield Finding("state", "missing", f"{url} refuses: {error.detail}", _TOKEN_HINT)
    except Problems as error:
        yield from findings_from_problems("state", error)
