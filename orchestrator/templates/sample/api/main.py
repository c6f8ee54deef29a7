"""Sample API with a health check that names the release, and a version page.  Uses the standard library only."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "@VERSION@"
HEALTH = "@HEALTH@"
HEALTHY = HEALTH.startswith("healthy")


class Shop(BaseHTTPRequestHandler):
    """Handles GET requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer ``/health`` and ``/version``, and 404 for everything else."""
        if self.path == "/health":
            self._answer(200 if HEALTHY else 500, {"status": "ok" if HEALTHY else "the database is locked"})
        elif self.path == "/version":
            self._answer(200, {"version": VERSION, "hasKey": bool(os.environ.get("Key"))})  # noqa: SIM112 - the key of the secret
        else:
            self._answer(404, {"error": "not found"})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Release", os.environ.get("ORCHESTRATOR_RELEASE", ""))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """HTTP server that does not log dropped connections."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that closes the connection before the response."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if HEALTHY else 1)
    sys.stdout.write(f"shop {VERSION} listens on port {os.environ['PORT']}\n")
    Server(("0.0.0.0", int(os.environ["PORT"])), Shop).serve_forever()  # noqa: S104 - as in a container
