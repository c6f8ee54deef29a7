"""``orchestrator emulator``: run an emulated AWS in the foreground."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.emulator import Emulator


@cli_command(
    "emulator",
    "orchestrator emulator",
    "orchestrator emulator --port 0 --latency 50 --faults faults.yaml",
    "orchestrator emulator --record recording.json",
    streams=True,
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4566,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--latency", type=click.FloatRange(0), default=0.0, metavar="MS", help="Milliseconds added to each call.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Faults to inject, as a YAML file.",
)
@click.option(
    "--backend",
    type=click.Choice(["moto", "ministack"]),
    default="moto",
    show_default=True,
    help="Backend of the emulator.",
)
@click.option("--run-services", is_flag=True, help="Run the images of container services as processes on this machine.")
@click.option(
    "--record",
    "recording",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Forward calls to AWS instead, and record the responses in this file, without values.",
)
@common_options
def command(
    settings: Settings,
    port: int,
    latency: float,
    faults: Path | None,
    backend: Literal["moto", "ministack"],
    run_services: bool,
    recording: Path | None,
) -> None:
    """Run an emulated AWS on this machine.

    Listens on 127.0.0.1 until interrupted, stores no data, and prints the environment variables that point any AWS
    client to it. With --run-services (Linux only), App Runner and ECS Express Mode run the pushed images, each on the
    port in PORT, check their health, and serve them at their host names: in a browser, open
    http://HOST.awsapprunner.com.localhost:PORT or http://HOST.ecs.REGION.on.aws.localhost:PORT. With --record, nothing
    is emulated: calls are forwarded to AWS with this machine's credentials, and AWS charges for them. The file contains
    operations, status codes, error codes, error messages and member names, for comparison with the emulator.
    """
    from orchestrator.problems import Problems

    if recording is not None:
        _record(settings, recording, port)
        return

    def on_ready(emulator: Emulator) -> None:
        exports = [f"export {name}={shlex.quote(value)}" for name, value in emulator.environment.items()]
        settings.terminal.print_out(
            "\n".join([f"# An empty emulated AWS listens on {emulator.url}. Press Ctrl-C to stop it.", *exports])
        )

    try:
        from orchestrator.emulator import serve

        serve(on_ready, port=port, backend=backend, latency_ms=latency, faults_file=faults, run_services=run_services)
    except ImportError as error:
        raise Problems.from_missing_extra("the emulator", "emulator", error.name) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise Problems.from_message(
            f"the emulator did not start: {error}", hint="pass --port 0 to use a free port"
        ) from None


def _record(settings: Settings, recording: Path, port: int) -> None:
    """Record real AWS until interrupted."""
    from orchestrator.problems import Problems

    def on_ready(variables: Mapping[str, str]) -> None:
        exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        comment = f"# Calls to {variables['AWS_ENDPOINT_URL']} reach real AWS, and are recorded in {recording}."
        settings.terminal.print_out(
            "\n".join([f"{comment} Press Ctrl-C to stop.", *exports, "unset AWS_SESSION_TOKEN"])
        )

    try:
        from orchestrator.emulator import serve_recorder

        serve_recorder(on_ready, recording, port)
    except ImportError as error:
        raise Problems.from_missing_extra("the emulator", "emulator", error.name) from None
    except OSError as error:
        raise Problems.from_message(f"the recorder did not start: {error}", hint="pass --port 0") from None
