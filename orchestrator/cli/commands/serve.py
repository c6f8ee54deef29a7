"""``orchestrator serve``: run the state service in the foreground."""

from __future__ import annotations

import gc
import os
from typing import Any

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command(
    "serve",
    "orchestrator serve",
    "orchestrator serve --database postgresql://orchestrator@localhost/orchestrator --port 8080",
    streams=True,
)
@click.option("--host", default="", help="Address to listen on; default: State__Host, otherwise 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; default: State__Port, otherwise 8420.")
@click.option("--database", default="", metavar="URL", help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME.")
@common_options
def command(settings: Settings, host: str, port: int | None, database: str) -> int:
    """Run the state service, which records runs and releases.

    Settings come from options, the environment (State__Database, GitHub__Repository, ...), and the JSON secret whose
    ARN is in State__Secret. On a loopback address without any configuration, everyone can read, and writing requires a
    token.
    """
    from orchestrator.problems import ExitCode, Problems

    gc.disable()  # imported modules are no garbage; tune_gc enables collection after warm-up
    # Without this Pydantic reads the metadata of every installed package to look for plug-ins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        import uvicorn

        from orchestrator.state.server import app, http_protocol, startup
    except ImportError as error:
        raise Problems.from_missing_extra("the state service", "service", error.name) from None
    service_settings = startup.load_settings(os.environ, host=host, port=port, database=database)
    terminal = settings.terminal
    log = startup.create_logger(terminal.err, settings.log_format, verbose=settings.verbose)
    service: Any = app.create_app(service_settings, log=log)
    terminal.print_err(
        f"The state service listens on http://{service_settings.host}:{service_settings.port} "
        "(press Ctrl-C to stop it)."
    )
    if not service_settings.is_authentication_required:
        terminal.print_err("No sign-in required: everyone who can reach this address can read. Writing needs a token:")
        terminal.print_err("    orchestrator token create NAME --scope write --scope propose")
    startup.warm_up(log)
    startup.tune_gc()
    uvicorn_options: Any = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "loop": "asyncio",
        "ws": "none",
        "http": http_protocol.BoundedH11Protocol,
        "proxy_headers": False,  # the service believes those of State__TrustedProxies itself
    }
    uvicorn.run(service, host=service_settings.host, port=service_settings.port, **uvicorn_options)
    return ExitCode.OK
