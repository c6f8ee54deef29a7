"""Serve the control API, ``/_orchestrator/...``: the operations of the Python API, over HTTP.

GET health | GET, DELETE calls | GET, PUT faults | POST reset | POST crash {"n", "when"} | POST revive |
GET database-ca-bundle.
Control requests are not AWS calls: they are not recorded, get no faults, and are answered even after a crash.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Protocol

from orchestrator.emulator.call_log import Call
from orchestrator.emulator.fault_injector import CrashTiming
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.http_messages import Request, Response

CONTROL_PREFIX = "/_orchestrator/"


class ControllableEmulator(Protocol):
    """The part of an emulator that the control API uses."""

    backend: str
    faults: Faults

    @property
    def database_ca_bundle(self) -> str:
        """Return the certificate authority of the databases."""
        ...

    @property
    def calls(self) -> list[Call]:
        """Return the calls so far."""
        ...

    def clear_calls(self) -> None:
        """Drop the recorded calls."""

    def reset(self) -> None:
        """Delete every resource."""

    def crash_at(self, write_number: int, when: CrashTiming = "before") -> None:
        """Arm a crash."""

    def revive(self) -> None:
        """End a crash."""


def handle_control_request(emulator: ControllableEmulator, request: Request) -> Response:
    """Answer one control request with JSON: 400 for invalid input, 404 for an unknown command."""
    command = f"{request.method} {request.path.removeprefix(CONTROL_PREFIX)}"
    try:
        result = _run_command(emulator, command, request.body)
    except (ValueError, TypeError, KeyError) as error:
        return _json_response(400, {"error": str(error)})
    if result is None:
        return _json_response(404, {"error": f"unknown control command: {command}"})
    return _json_response(200, result)


def _run_command(emulator: ControllableEmulator, command: str, body: bytes) -> Any:
    match command:
        case "GET health":
            return {"status": "ok", "backend": emulator.backend}
        case "GET database-ca-bundle":
            return {"pem": emulator.database_ca_bundle}
        case "GET calls":
            return {"calls": [asdict(call) for call in emulator.calls]}
        case "DELETE calls":
            emulator.clear_calls()
        case "GET faults":
            return emulator.faults.to_dict()
        case "PUT faults":
            emulator.faults = Faults.from_dict(json.loads(body))
        case "POST reset":
            emulator.reset()
        case "POST crash":
            crash_options = json.loads(body)
            emulator.crash_at(int(crash_options["n"]), crash_options.get("when", "before"))
        case "POST revive":
            emulator.revive()
        case _:
            return None
    return {"status": "ok"}


def _json_response(status: int, content: Any) -> Response:
    return Response(status, (("Content-Type", "application/json"),), json.dumps(content).encode())
