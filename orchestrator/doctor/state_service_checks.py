"""Whether the state service answers, and takes the token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.doctor import Finding, missing
from orchestrator.problems import Problems
from orchestrator.state.client.api_client import Client, RefusedError, UnreachableError

URL = "ORCHESTRATOR_STATE_URL"
_TOKEN = "set ORCHESTRATOR_STATE_TOKEN to what `orchestrator token create` prints where the service runs"  # noqa: S105


def look(environ: Mapping[str, str]) -> Iterator[Finding]:
    """None need be named; one that is named has to answer."""
    url = environ.get(URL)
    if not url:
        yield Finding("state", "ok", f"none is named ({URL}), and none is needed")
        return
    try:
        Client.of(environ).ask("GET", "/environments", patience=0.0)
        yield Finding("state", "ok", f"{url} answers")
    except UnreachableError as error:
        yield Finding("state", "missing", str(error), f"see that it runs, or unset {URL}; a deploy goes on without it")
    except RefusedError as error:
        yield Finding("state", "missing", f"{url} refuses: {error.detail}", _TOKEN)
    except Problems as error:
        yield from missing("state", error)
