"""Emulate AWS on one loopback port: moto or MiniStack behind a gateway, plus the services that both lack.

    with start(backend="moto") as emulator:
        boto3.client("s3", endpoint_url=emulator.url, ...)

Importing this package loads neither moto nor botocore; starting an emulator does. See README.md in this folder.
"""

from orchestrator.emulator.call_log import Call
from orchestrator.emulator.emulator import Emulator, start
from orchestrator.emulator.faults import Faults, Rule
from orchestrator.emulator.foreground import serve, serve_recorder

__all__ = ["Call", "Emulator", "Faults", "Rule", "serve", "serve_recorder", "start"]
