"""The control endpoint, ``/_orchestrator/...``: what Python can do to an emulator, over HTTP.

GET health | GET, DELETE calls | GET, PUT faults | POST reset | POST crash {"n", "when"} | POST revive.
These requests are not AWS calls: they are neither counted nor spoilt, and answered while crashed.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Protocol

from orchestrator.emulator.call_log import Call
from orchestrator.emulator.fault_injector import When
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.http_messages import Request, Response

PREFIX = "/_orchestrator/"


class Controlled(Protocol):
    """What the control endpoint acts on."""

    backend: str
    faults: Faults

    @property
    def calls(self) -> list[Call]:
        """The calls so far."""
        ...

    def forget_calls(self) -> None:
        """Drop the calls."""

    def reset(self) -> None:
        """Empty AWS."""

    def crash_at(self, n: int, when: When = "before") -> None:
        """Arm a crash."""

    def revive(self) -> None:
        """End a crash."""


def control(emulator: Controlled, request: Request) -> Response:
    """Answer one control request: JSON, 400 for bad input, 404 for anything unknown."""
    asked = f"{request.method} {request.path.removeprefix(PREFIX)}"
    try:
        result = _act(emulator, asked, request.body)
    except (ValueError, TypeError, KeyError) as error:
        return _json(400, {"error": str(error)})
    if result is None:
        return _json(404, {"error": f"no such control: {asked}"})
    return _json(200, result)


def _act(emulator: Controlled, asked: str, body: bytes) -> Any:
    match asked:
        case "GET health":
            return {"status": "ok", "backend": emulator.backend}
        case "GET calls":
            return {"calls": [asdict(call) for call in emulator.calls]}
        case "DELETE calls":
            emulator.forget_calls()
        case "GET faults":
            return emulator.faults.data()
        case "PUT faults":
            emulator.faults = Faults.of(json.loads(body))
        case "POST reset":
            emulator.reset()
        case "POST crash":
            wanted = json.loads(body)
            emulator.crash_at(int(wanted["n"]), wanted.get("when", "before"))
        case "POST revive":
            emulator.revive()
        case _:
            return None
    return {"status": "ok"}


def _json(status: int, content: Any) -> Response:
    return Response(status, (("Content-Type", "application/json"),), json.dumps(content).encode())
