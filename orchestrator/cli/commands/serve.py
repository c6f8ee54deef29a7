"""``orchestrator serve``: the state service, here."""

from __future__ import annotations

import gc
import os
from typing import Any

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


@verb(
    "serve",
    "orchestrator serve",
    "orchestrator serve --database postgresql://orchestrator@localhost/orchestrator --port 8080",
)
@click.option("--host", default="", help="Where to listen; 127.0.0.1 unless State__Host says otherwise.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port; 8420 unless State__Port says otherwise.")
@click.option("--database", default="", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME.")
@common
def command(settings: Settings, host: str, port: int | None, database: str) -> int:
    """Run the service that remembers who deployed what.

    Settings come from options, the environment (State__Database, GitHub__Repository, ...), and the JSON secret whose
    ARN is in State__Secret. On loopback with nothing configured everybody reads, and writing needs a token.
    """
    from orchestrator.problems import Exit, Problems

    gc.disable()  # until all is loaded, which is no garbage
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look through every installed package
    try:
        import uvicorn

        from orchestrator.state.server import app, startup
    except ImportError:
        raise Problems.one("the state service is not installed", hint="pip install 'orchestrator[service]'") from None
    told = startup.settle(os.environ, host=host, port=port, database=database)
    terminal = settings.terminal
    log = startup.log(terminal.err, settings.log_format, verbose=settings.verbose)
    service: Any = app.create(told, log=log)
    terminal.tell(f"The state service listens on http://{told.host}:{told.port} (Ctrl-C ends it).")
    if not told.is_guarded:
        terminal.tell("Nobody has to sign in: whoever reaches this address reads. Writing needs a token:")
        terminal.tell("    orchestrator token create NAME --scope write --scope propose")
    startup.warm(log)
    startup.settle_memory()
    plain: Any = {"log_config": None, "access_log": False, "server_header": False, "loop": "asyncio", "ws": "none"}
    uvicorn.run(service, host=told.host, port=told.port, **plain)
    return Exit.OK
