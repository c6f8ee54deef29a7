"""The embedded AWS: moto or MiniStack behind one loopback gateway, plus what neither has.

    with start(backend="moto") as emulator:
        boto3.client("s3", endpoint_url=emulator.url, ...)

Importing this loads neither moto nor botocore; starting an emulator does.
"""

from orchestrator.emulator.call_log import Call
from orchestrator.emulator.emulator import Emulator, start
from orchestrator.emulator.faults import Faults, Rule
from orchestrator.emulator.foreground import serve

__all__ = ["Call", "Emulator", "Faults", "Rule", "serve", "start"]
